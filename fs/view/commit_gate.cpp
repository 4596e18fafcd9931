// A commit goes: somebody leads (a caller of commit(), or the thread); the gate is closed, which
// waits for the changes that run; prepare; cut; the gate is open again; sync. A caller whose
// changes are covered by no commit that has begun waits for the next one, together with all others.
#include "fs/view/commit_gate.h"

#include <cerrno>
#include <iostream>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr const char* kNoMoreWrites = "nothing can be written any more: ";

}  // namespace

void CommitGate::enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !closed_; });
    ++inside_;
}

void CommitGate::leave() {
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) {
        changed_.notify_all();
    }
}

void CommitGate::close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
}

void CommitGate::open() {
    const std::lock_guard lock(mutex_);
    closed_ = false;
    changed_.notify_all();
}

Committer::Committer(Device& device, std::function<void()> prepare, CommitterOptions options)
    : device_(device),
      prepare_(std::move(prepare)),
      options_(std::move(options)),
      thread_([this] { run(); }) {}

Committer::~Committer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
    }
    thread_.join();
}

Committer::Change::Change(Committer& committer, uint64_t bytes) : committer_(committer) {
    committer_.enter(bytes);
}

Committer::Change::~Change() {
    committer_.leave();
}

void Committer::Change::abandon(const std::string& reason) {
    const std::lock_guard lock(committer_.mutex_);
    committer_.note_failure(EROFS, reason);
    committer_.abandoned_ = true;
}

void Committer::enter(uint64_t bytes) {
    {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] {
            return failure_.code != 0 || device_.dirty_bytes() + on_its_way_ <= options_.block_at;
        });
        throw_if_failed(EROFS);
    }
    try {
        enter_gate(bytes);
    } catch (const std::system_error& error) {
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
        commit();  // what earlier changes reserved and didn't use is free again after it
        enter_gate(bytes);
    }
}

void Committer::enter_gate(uint64_t bytes) {
    gate_.enter();
    try {
        reserve(bytes);
        const std::lock_guard lock(mutex_);
        throw_if_failed(EROFS);
        if (!changed_) {
            changed_ = true;
            first_change_ = std::chrono::steady_clock::now();
            wake_.notify_all();
        }
    } catch (...) {
        gate_.leave();
        throw;
    }
}

/// Inside the gate, since a commit ends all promises.
void Committer::reserve(uint64_t bytes) {
    std::unique_lock lock(promise_mutex_);
    if (promised_) {
        lock.unlock();
        device_.reserve(bytes);
    } else {
        device_.reserve(bytes + options_.prepare_bytes());
        promised_ = true;
    }
}

void Committer::leave() {
    gate_.leave();
    std::unique_lock lock(mutex_);
    if (device_.dirty_bytes() >= options_.commit_at) {
        wake_.notify_all();
    }
    while (abandoned_) {
        lead(lock);
    }
}

void Committer::throw_if_failed(int code) const {
    if (failure_.code != 0) {
        fail(code, failure_line());
    }
}

/// The first reason stays.
void Committer::note_failure(int code, const std::string& reason) {
    if (failure_.code == 0) {
        failure_ = {code, reason};
    }
}

void Committer::commit() {
    std::unique_lock lock(mutex_);
    const uint64_t needed = begun_ + (changed_ ? 1 : 0);
    while (failure_.code == 0 && finished_ < needed) {
        lead(lock);
    }
    throw_if_failed(failure_.code);
}

std::string Committer::failure_line() const {
    return failure_.code == 0 ? "" : kNoMoreWrites + failure_.reason;
}

std::string Committer::failure() const {
    const std::lock_guard lock(mutex_);
    if (failure_.code == 0 && device_.read_only()) {  // a recovery point failed, not a commit
        return kNoMoreWrites + device_.why_read_only();
    }
    return failure_line();
}

bool Committer::is_due() const {
    return changed_ && (device_.dirty_bytes() >= options_.commit_at ||
                        std::chrono::steady_clock::now() >= first_change_ + options_.delay);
}

void Committer::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (failure_.code == 0 && is_due()) {
            lead(lock);
            if (failure_.code != 0) {
                std::cerr << ("imgfs: " + failure_line() + "\n") << std::flush;
            }
        } else if (failure_.code == 0 && changed_) {
            wake_.wait_until(lock, first_change_ + options_.delay);
        } else {
            wake_.wait(lock);
        }
    }
}

/// Makes a commit, or waits for the end of the one that somebody else makes.
void Committer::lead(std::unique_lock<std::mutex>& lock) {
    if (leading_) {
        ended_.wait(lock, [this] { return !leading_; });
        return;
    }
    leading_ = true;
    lock.unlock();
    Failure failed;
    try {
        if (cut_commit()) {
            device_.sync();
        }
    } catch (const std::exception& error) {
        failed = {errno_of(error) == 0 ? EIO : errno_of(error), message_of(error)};
    }
    lock.lock();
    if (failed.code != 0) {
        note_failure(failed.code, failed.reason);
    }
    finished_ = begun_;
    on_its_way_ = 0;
    leading_ = false;
    ended_.notify_all();
}

/// With the gate closed.
void Committer::go_back() {
    std::string problem;
    try {
        device_.drop_uncommitted();
        options_.go_back();
    } catch (const std::exception& error) {
        problem = ", and going back to the last commit failed: " + message_of(error);
    }
    const std::lock_guard lock(mutex_);
    failure_.reason += problem;
    abandoned_ = false;
}

/// False if there is nothing to sync. What was abandoned is undone here, as nothing else runs.
bool Committer::cut_commit() {
    struct Closed {
        explicit Closed(CommitGate& which) : gate(which) { gate.close(); }
        ~Closed() { gate.open(); }
        CommitGate& gate;
    };
    const Closed closed(gate_);
    std::unique_lock lock(mutex_);
    ++begun_;
    changed_ = false;
    const bool abandoned = abandoned_;
    const bool failed = failure_.code != 0;
    lock.unlock();
    if (abandoned) {
        go_back();
    }
    if (failed) {
        return false;
    }
    {
        const std::lock_guard none_inside(promise_mutex_);
        promised_ = false;
    }
    prepare_();
    const uint64_t bytes = device_.dirty_bytes();
    try {
        device_.cut();  // also if nothing is dirty: it ends what was reserved and not used
    } catch (...) {
        options_.after_cut();
        throw;
    }
    options_.after_cut();
    if (bytes == 0) {
        return false;
    }
    lock.lock();
    on_its_way_ = bytes;
    return true;
}

}  // namespace imgfs
