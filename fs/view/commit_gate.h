// CommitGate and Committer: when a commit is cut, so that it always covers a consistent file
// system.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "fs/store/device.h"

namespace imgfs {

/// Every change runs inside; a commit closes the gate, waits for those inside and has the view to
/// itself. A waiting commit is not starved by new changes.
class CommitGate {
  public:
    void enter();  ///< waits while closed
    void leave();
    void close();  ///< waits until nobody is inside
    void open();
};

/// Makes commits for one view: on request, and by itself within 5 s, or sooner at 16 MiB, of a
/// change.
class Committer {
  public:
    /// `prepare` brings the view's own state to the device; it is called with the gate closed.
    Committer(Device& device, std::function<void()> prepare);
    ~Committer();  ///< ends the thread; does not commit

    /// One change: construct it before, destroy it after. Throws EROFS once a commit has failed and
    /// ENOSPC if `bytes` can't be reserved; blocks while the device holds 32 MiB that are not
    /// durable.
    class Change {
      public:
        Change(Committer& committer, uint64_t bytes);
        ~Change();
        /// The operation failed half-way, nothing of it may be committed: the device goes back to
        /// the last commit and takes no more writes.
        void abandon();
    };

    /// As View::commit().
    void commit();
};

}  // namespace imgfs
