#include "fs/source/split_source.h"

#include <algorithm>
#include <cerrno>
#include <limits>

#include "fs/base/error.h"

namespace imgfs {

SplitSource::SplitSource(std::vector<std::unique_ptr<Source>> parts) : parts_(std::move(parts)) {
    if (parts_.empty()) {
        fail(EINVAL, "an image has at least one part");
    }
    starts_.push_back(0);
    for (const auto& part : parts_) {
        if (part->size() > std::numeric_limits<uint64_t>::max() - starts_.back()) {
            fail(EFBIG, part->place(0) + ": the parts are larger than an image can be");
        }
        starts_.push_back(starts_.back() + part->size());
    }
}

std::string SplitSource::place(uint64_t offset) const {
    // The end of the whole belongs to the last part.
    const auto next = std::upper_bound(starts_.begin() + 1, starts_.end() - 1, offset);
    const auto part = static_cast<size_t>(next - starts_.begin()) - 1;
    return parts_[part]->place(offset - starts_[part]);
}

void SplitSource::read_inside(uint64_t offset, ByteSpan out) const {
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    for (auto part = static_cast<size_t>(next - starts_.begin()) - 1; !out.empty(); ++part) {
        const auto count = std::min<uint64_t>(out.size(), starts_[part + 1] - offset);
        parts_[part]->read(offset - starts_[part], out.first(count));
        out = out.subspan(count);
        offset += count;
    }
}

}  // namespace imgfs
