#include "fs/source/seek_index.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "fs/base/error.h"
#include "fs/base/not_yet.h"

namespace imgfs {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

}  // namespace

SeekIndex::SeekIndex(IndexFile file, std::optional<IndexEnd> end, uint64_t packed_size,
                     Progress progress)
    : file_(std::move(file)), packed_size_(packed_size), progress_(std::move(progress)) {
    if (end) {
        finish(*end);
    }
}

std::optional<SeekIndex::Range> SeekIndex::at(uint64_t offset) const {
    std::unique_lock lock(mutex_);
    wait(lock, [this, offset] { return is_over(offset); });
    const auto range = find(offset);
    if (!range && !plain_size_) {
        std::rethrow_exception(failure_);
    }
    return range;
}

std::optional<SeekIndex::Range> SeekIndex::known_at(uint64_t offset) const {
    const std::lock_guard lock(mutex_);
    return find(offset);
}

// Needs mutex_.
std::optional<SeekIndex::Range> SeekIndex::find(uint64_t offset) const {
    if (offset >= reached_) {
        return std::nullopt;
    }
    const auto next = std::ranges::upper_bound(entries_, offset, {}, &IndexEntry::begin);
    const auto& entry = *std::prev(next);
    return Range{.begin = entry.begin,
                 .end = next == entries_.end() ? reached_ : next->begin,
                 .packed_bit = entry.packed_bit,
                 .offset = entry.offset,
                 .next_bit = next != entries_.end() ? next->packed_bit
                             : plain_size_          ? packed_size_ * 8
                                                    : 0};
}

Vouched SeekIndex::vouched(uint64_t begin, uint64_t end) const {
    const std::lock_guard lock(mutex_);
    auto entry = std::ranges::upper_bound(entries_, begin, {}, &IndexEntry::begin);
    for (entry -= entry == entries_.begin() ? 0 : 1; entry != entries_.end(); ++entry) {
        if (entry->begin >= end) {
            break;
        }
        if (entry->unchecked) {
            return Vouched::no;
        }
    }
    return plain_size_ ? Vouched::yes : Vouched::not_yet;
}

// Needs mutex_.
bool SeekIndex::is_over(uint64_t offset) const {
    return offset < reached_ || plain_size_ || failure_;
}

/// `over` is true, too, where nothing more will come.
template <typename Condition>
void SeekIndex::wait(std::unique_lock<std::mutex>& lock, Condition over) const {
    while (!over()) {
        if (NoWaiting::is_on()) {
            throw NotYet([this, over] {
                const std::lock_guard again(mutex_);
                return over();
            });
        }
        if (grown_.wait_for(lock, kProgressInterval) == std::cv_status::timeout) {
            lock.unlock();
            tell_progress();
            lock.lock();
        }
    }
}

void SeekIndex::tell_progress() const {
    const std::unique_lock lock(progress_mutex_, std::try_to_lock);
    if (lock && progress_) {
        progress_(packed_done_, packed_size_);
    }
}

IndexRecord SeekIndex::load(const Range& range) const {
    auto read = file_.read_record(range.offset);
    if (!read || read->record.begin != range.begin || read->record.end < range.end ||
        read->record.point.packed_bit != range.packed_bit) {
        if (file_.remove()) {
            removed_ = true;
        }
        imgfs::fail(EUCLEAN, file_.name() + ": the seek index is damaged" +
                                 (removed_ ? "; it was removed and is made again when the image is "
                                             "opened next"
                                           : "; imgfs index IMAGE looks it through and makes it "
                                             "again where it can be kept"));
    }
    return std::move(read->record);
}

uint64_t SeekIndex::size() const {
    std::unique_lock lock(mutex_);
    wait(lock, [this] { return plain_size_ || failure_; });
    if (!plain_size_) {
        std::rethrow_exception(failure_);
    }
    return *plain_size_;
}

Hash128 SeekIndex::content() const {
    size();
    const std::lock_guard lock(mutex_);
    return content_;
}

std::optional<uint64_t> SeekIndex::known_size() const {
    const std::lock_guard lock(mutex_);
    return plain_size_;
}

uint64_t SeekIndex::reached() const {
    const std::lock_guard lock(mutex_);
    return reached_;
}

std::string SeekIndex::failure() const {
    const std::lock_guard lock(mutex_);
    try {
        if (failure_) {
            std::rethrow_exception(failure_);
        }
    } catch (const std::exception& error) {
        return message_of(error);
    }
    return {};
}

uint64_t SeekIndex::file_end() const {
    const std::lock_guard lock(mutex_);
    return file_end_;
}

void SeekIndex::add(const IndexRecord& record, uint64_t behind) {
    const std::lock_guard lock(mutex_);
    entries_.push_back({.begin = record.begin,
                        .packed_bit = record.point.packed_bit,
                        .offset = file_end_,
                        .unchecked = record.unchecked});
    digest_.add(record);
    reached_ = record.end;
    file_end_ = behind;
    grown_.notify_all();
}

IndexEnd SeekIndex::end() const {
    const std::lock_guard lock(mutex_);
    return {.plain_size = reached_, .content = digest_.digest(), .entries = entries_};
}

void SeekIndex::finish(const IndexEnd& end) {
    const std::lock_guard lock(mutex_);
    entries_ = end.entries;
    reached_ = end.plain_size;
    plain_size_ = end.plain_size;
    content_ = end.content;
    grown_.notify_all();
}

void SeekIndex::fail(std::exception_ptr why) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(why);
    grown_.notify_all();
}

}  // namespace imgfs
