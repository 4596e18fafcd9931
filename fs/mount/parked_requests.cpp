#include "fs/mount/parked_requests.h"

#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace imgfs {
namespace {

constexpr uint64_t kMostBytes = 64 * kMiB;
constexpr uint64_t kOverhead = 512;  // of one that waits, besides its bytes

}  // namespace

void ParkedRequests::begin(uint64_t number) {
    const std::lock_guard lock(mutex_);
    begun_.push_back({.number = number});
}

void ParkedRequests::end(uint64_t number) {
    const std::lock_guard lock(mutex_);
    take_begun(number);
}

/// True if it was interrupted.
bool ParkedRequests::take_begun(uint64_t number) {
    const auto found = std::ranges::find(begun_, number, &Begun::number);
    const bool interrupted = found->interrupted;
    begun_.erase(found);
    return interrupted;
}

void ParkedRequests::park(uint64_t number, ConstByteSpan request, const NotYet& until) {
    const std::lock_guard lock(mutex_);
    int error = 0;
    if (take_begun(number)) {
        error = EINTR;
    } else if (given_up_) {
        error = EIO;
    } else if (bytes_ + request.size() + kOverhead > kMostBytes) {
        error = EAGAIN;
    }
    if (error != 0) {
        answer(number, error);
        return;
    }
    parked_.emplace(number, Parked{Bytes(request.begin(), request.end()), until});
    bytes_ += request.size() + kOverhead;
    count_ = parked_.size();
}

void ParkedRequests::interrupt(uint64_t number) {
    const std::lock_guard lock(mutex_);
    if (const auto found = parked_.find(number); found != parked_.end()) {
        take_parked(found);
        answer(number, EINTR);
    } else if (const auto at = std::ranges::find(begun_, number, &Begun::number);
               at != begun_.end()) {
        at->interrupted = true;
    }  // else it has just been answered
}

void ParkedRequests::give_up() {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    while (!parked_.empty()) {
        answer(parked_.begin()->first, EIO);
        take_parked(parked_.begin());
    }
}

void ParkedRequests::look() {
    std::vector<std::pair<uint64_t, NotYet>> waiting;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [number, parked] : parked_) {
            waiting.emplace_back(number, parked.until);
        }
    }
    // Without the lock: workers don't wait for whoever answers this.
    std::erase_if(waiting, [](const auto& one) { return !one.second.over(); });
    const std::lock_guard lock(mutex_);
    for (const auto& [number, until] : waiting) {
        if (parked_.contains(number)) {
            due_.insert(number);
        }
    }
    due_count_ = due_.size();
}

std::optional<Bytes> ParkedRequests::take_due() {
    const std::lock_guard lock(mutex_);
    if (due_.empty()) {
        return std::nullopt;
    }
    const auto found = parked_.find(*due_.begin());
    begun_.push_back({.number = found->first});
    return take_parked(found);
}

Bytes ParkedRequests::take_parked(std::map<uint64_t, Parked>::iterator which) {
    auto request = std::move(which->second.request);
    due_.erase(which->first);
    parked_.erase(which);
    bytes_ -= request.size() + kOverhead;
    count_ = parked_.size();
    due_count_ = due_.size();
    return request;
}

/// By ourselves: what libfuse knew of the request was given up when it was parked.
void ParkedRequests::answer(uint64_t number, int error) const {
    const fuse_out_header header{.len = sizeof header, .error = -error, .unique = number};
    // Fails only if nobody waits for it any more.
    [[maybe_unused]] const auto count = ::write(fuse_, &header, sizeof header);
}

}  // namespace imgfs
