#include "fs/store/delta_states.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

DeltaOptions with_state(DeltaOptions options, const std::string& at) {
    options.at = at;
    return options;
}

bool is_same(const StoredPiece& left, const StoredPiece& right) {
    return left.kind == right.kind &&
           (left.kind != StoredPiece::Kind::data ||
            (left.from == right.from && left.record == right.record && left.skip == right.skip));
}

}  // namespace

DeltaStore::DeltaStore(const DeltaStore& whole, const std::string& at)
    : options_(with_state(whole.options_, at)),
      unpacked_(0),
      folder_(options_.folder, whole.folder_.list()),
      log_end_(kLogStart) {
    if (options_.access != DeltaAccess::read_only) {
        fail(EINVAL, "a delta that is open for changes doesn't share its layers");
    }
    const auto count = layers_at(folder_.list(), at, options_.folder.string());
    layers_ = whole.layers().part(0, count);
    note_commit();
}

std::unique_ptr<DeltaStore> DeltaStore::at(const std::string& point) const {
    return std::unique_ptr<DeltaStore>(new DeltaStore(*this, point));
}

bool same_bytes(const DeltaStore& left, const DeltaStore& right, uint64_t offset, uint64_t length) {
    auto at = offset / kBlockSize;
    const auto end = blocks_of(offset + length);
    const auto left_pieces = left.find(at, end);
    const auto right_pieces = right.find(at, end);
    auto one = left_pieces.begin();
    auto other = right_pieces.begin();
    while (at < end) {
        const auto stop = std::min(one->end(), other->end());
        if (!is_same(one->part(at, stop), other->part(at, stop))) {
            return false;
        }
        at = stop;
        one += one->end() == stop ? 1 : 0;
        other += other->end() == stop ? 1 : 0;
    }
    return true;
}

}  // namespace imgfs
