#include "fs/store/unpacked_records.h"

#include <algorithm>

namespace imgfs {

UnpackedRecords::Blocks UnpackedRecords::find(const Name& name) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(records_, name, &Record::name);
    if (found == records_.end()) {
        return nullptr;
    }
    records_.splice(records_.begin(), records_, found);
    return found->blocks;
}

void UnpackedRecords::add(const Name& name, Blocks blocks) {
    const std::lock_guard lock(mutex_);
    records_.push_front({name, std::move(blocks)});
    if (records_.size() > most_) {
        records_.pop_back();
    }
}

}  // namespace imgfs
