#include "fs/source/decoder_pool.h"

#include <utility>

namespace imgfs {
namespace {

uint64_t needed(const OpenDecoder& one, const DecoderPool::Wanted& wanted) {
    return one.decoder->memory(wanted.end - one.start);
}

}  // namespace

void EndUse::operator()(DecoderPool* pool) const {
    pool->end_use(bytes);
}

OpenDecoder DecoderPool::take(const Wanted& wanted, const Open& open) {
    Decoders gone;  // ends outside the lock
    std::unique_lock lock(mutex_);
    auto found = nearest(wanted);
    OpenDecoder fresh;
    if (found == idle_.end() || turn_ != turns_ || !has_room(needed(*found, wanted))) {
        lock.unlock();
        fresh = open();
        lock.lock();
        const auto turn = turns_++;
        room_.wait(lock, [&] {
            found = nearest(wanted);
            return turn == turn_ && has_room(needed(found == idle_.end() ? fresh : *found, wanted));
        });
        ++turn_;
        room_.notify_all();
    }
    if (found == idle_.end()) {
        const auto bytes = needed(fresh, wanted);
        return use(std::move(fresh), bytes, gone);
    }
    auto taken = std::move(*found);
    idle_.erase(found);
    idle_held_ -= taken.use.get_deleter().bytes;
    const auto bytes = needed(taken, wanted);
    return use(std::move(taken), bytes, gone);
}

void DecoderPool::give(OpenDecoder decoder) {
    Decoders gone;
    {
        const std::lock_guard lock(mutex_);
        const auto bytes = decoder.use.get_deleter().bytes;
        used_ -= bytes;
        idle_held_ += bytes;
        (void)decoder.use.release();
        idle_.push_front(std::move(decoder));
        drop_idle(limits_.idle, 1, gone);
        tell_held();
    }
    room_.notify_all();
}

DecoderPool::Decoders::iterator DecoderPool::nearest(const Wanted& wanted) {
    auto best = idle_.end();
    for (auto i = idle_.begin(); i != idle_.end(); ++i) {
        const bool same_point =
            i->packed_bit == wanted.packed_bit && i->next_bit == wanted.next_bit;
        if ((same_point || i->plain >= wanted.from) && i->plain <= wanted.plain &&
            (best == idle_.end() || i->plain > best->plain)) {
            best = i;
        }
    }
    return best;
}

OpenDecoder DecoderPool::use(OpenDecoder decoder, uint64_t bytes, Decoders& gone) {
    used_ += bytes;
    decoder.use = std::unique_ptr<DecoderPool, EndUse>(this, EndUse{bytes});
    drop_idle(limits_.most > used_ ? limits_.most - used_ : 0, 0, gone);
    tell_held();
    return decoder;
}

void DecoderPool::end_use(uint64_t bytes) {
    {
        const std::lock_guard lock(mutex_);
        used_ -= bytes;
        tell_held();
    }
    room_.notify_all();
}

void DecoderPool::drop_idle(uint64_t most, size_t kept, Decoders& gone) {
    while (idle_held_ > most && idle_.size() > kept) {
        idle_held_ -= idle_.back().use.get_deleter().bytes;
        gone.splice(gone.begin(), idle_, std::prev(idle_.end()));
    }
}

void DecoderPool::tell_held() const {
    if (tell_held_) {
        tell_held_(used_ + idle_held_);
    }
}

}  // namespace imgfs
