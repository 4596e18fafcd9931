#include "sync/notices.h"

#include "fs/base/text.h"

namespace imgsync {

void Notices::problem(const std::string& line) {
    const std::lock_guard lock(mutex_);
    ++problems_;
    if (on_problem) {
        on_problem(line);
    }
}

void Notices::vanished(const std::string& path) {
    const std::lock_guard lock(mutex_);
    ++vanished_;
    if (on_problem) {
        on_problem(imgfs::printable(path) + ": vanished or was replaced before it was read");
    }
}

void Notices::item(const Item& item) {
    const std::lock_guard lock(mutex_);
    if (on_item) {
        on_item(item);
    }
}

uint64_t Notices::problems() const {
    const std::lock_guard lock(mutex_);
    return problems_;
}

uint64_t Notices::vanished() const {
    const std::lock_guard lock(mutex_);
    return vanished_;
}

}  // namespace imgsync
