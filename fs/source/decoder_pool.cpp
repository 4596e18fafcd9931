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
    return taken;
}

void DecoderPool::give(OpenDecoder decoder) {
    std::list<OpenDecoder> gone;  // ends outside the lock
    const std::lock_guard lock(mutex_);
    decoders_.push_front(std::move(decoder));
    if (decoders_.size() > most_) {
        gone.splice(gone.begin(), decoders_, std::prev(decoders_.end()));
    }
}

}  // namespace imgfs
