#include "fs/source/decoder_pool.h"

#include <utility>

namespace imgfs {

OpenDecoder DecoderPool::take(uint64_t packed_bit, uint64_t plain) {
    const std::lock_guard lock(mutex_);
    auto best = decoders_.end();
    for (auto i = decoders_.begin(); i != decoders_.end(); ++i) {
        if (i->packed_bit == packed_bit && i->plain <= plain &&
            (best == decoders_.end() || i->plain > best->plain)) {
            best = i;
        }
    }
    if (best == decoders_.end()) {
        return {};
    }
    auto taken = std::move(*best);
    decoders_.erase(best);
    held_ -= taken.memory;
    return taken;
}

void DecoderPool::give(OpenDecoder decoder) {
    decoder.memory = decoder.decoder->memory();
    std::list<OpenDecoder> gone;  // ends outside the lock
    const std::lock_guard lock(mutex_);
    held_ += decoder.memory;
    decoders_.push_front(std::move(decoder));
    while (held_ > most_ && decoders_.size() > 1) {
        held_ -= decoders_.back().memory;
        gone.splice(gone.begin(), decoders_, std::prev(decoders_.end()));
    }
}

}  // namespace imgfs
