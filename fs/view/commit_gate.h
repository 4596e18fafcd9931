// CommitGate and Committer: when a commit is cut, so that it always covers a consistent file
// system.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "fs/store/device.h"

namespace imgfs {

/// Every change runs inside; a commit closes the gate, waits for those inside and has the view to
/// itself. A waiting commit is not starved by new changes.
class CommitGate {
  public:
    void enter();  ///< waits while closed
    void leave();
    void close();  ///< waits until nobody is inside; one thread at a time may close
    void open();

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    size_t inside_ = 0;
    bool closed_ = false;
};

struct CommitterOptions {
    /// The most that `prepare` may write; reserved ahead of the first change after each commit.
    std::function<uint64_t()> prepare_bytes = [] { return uint64_t{0}; };
    /// Takes back what `prepare` did for the commit only; called after each prepare that returned,
    /// with the gate still closed. What it writes is no change: it doesn't cause a commit.
    std::function<void()> after_cut = [] {};
    /// The device has gone back to the last commit: the view shall show that, read-only. Called
    /// with the gate closed.
    std::function<void()> go_back = [] {};

    std::chrono::milliseconds delay{4000};  ///< from the first change to a commit
    uint64_t commit_at = 16 * kMiB;         ///< of changes
    uint64_t block_at = 32 * kMiB;          ///< that are not durable
};

/// Makes commits for one view: on request, and by itself within 5 s, or sooner at 16 MiB, of a
/// change. While nothing is changed it does nothing. That a commit of its own failed, which it has
/// no caller to tell, it says on stderr. Safe from any thread.
class Committer {
  public:
    /// `prepare` brings the view's own state to the device; it is called with the gate closed.
    /// `device` must outlive the committer, and so must what the functions use.
    Committer(Device& device, std::function<void()> prepare, CommitterOptions options = {});
    Committer(const Committer&) = delete;
    Committer& operator=(const Committer&) = delete;
    ~Committer();  ///< ends the thread; does not commit

    /// One change: construct it before, destroy it after, holding no lock that a function given to
    /// the committer takes. Throws EROFS once a commit has failed or a change was abandoned, and
    /// ENOSPC if `bytes` can't be reserved; blocks while the device holds 32 MiB that are not
    /// durable. A thread has one change at a time, and makes no commit while it has.
    class Change {
      public:
        Change(Committer& committer, uint64_t bytes);
        Change(const Change&) = delete;
        Change& operator=(const Change&) = delete;
        ~Change();
        /// The operation failed half-way, nothing of it may be committed: the device takes no more
        /// writes and, as soon as the changes that run have ended, goes back to the last commit.
        void abandon(const std::string& reason = "an operation failed half-way");

      private:
        Committer& committer_;
    };

    /// As View::commit().
    void commit();
    /// As View::failure().
    std::string failure() const;

  private:
    struct Failure {
        int code = 0;  ///< 0: none
        std::string reason;
    };

    void run();
    void enter(uint64_t bytes);
    void enter_gate(uint64_t bytes);
    void leave();
    void reserve(uint64_t bytes);
    void throw_if_failed(int code) const;
    std::string failure_line() const;
    void note_failure(int code, const std::string& reason);
    void lead(std::unique_lock<std::mutex>& lock);
    bool cut_commit();
    void go_back();
    bool is_due() const;

    Device& device_;
    const std::function<void()> prepare_;
    const CommitterOptions options_;

    CommitGate gate_;

    std::mutex promise_mutex_;
    bool promised_ = false;  // prepare_bytes, since the last commit

    mutable std::mutex mutex_;
    std::condition_variable wake_;   // the thread
    std::condition_variable ended_;  // those who wait for a commit
    bool leading_ = false;           // somebody is at a commit
    uint64_t begun_ = 0;             // commits, counted when the gate is closed
    uint64_t finished_ = 0;
    bool changed_ = false;  // since the last commit began
    std::chrono::steady_clock::time_point first_change_;
    uint64_t on_its_way_ = 0;  // bytes that were cut and are not durable yet
    bool abandoned_ = false;   // and the device has not gone back yet
    Failure failure_;
    bool stopping_ = false;

    std::thread thread_;
};

}  // namespace imgfs
