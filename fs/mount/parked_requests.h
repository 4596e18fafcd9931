// ParkedRequests: requests that can't be answered yet, and are tried again when they can.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "fs/base/bytes.h"
#include "fs/base/not_yet.h"

namespace imgfs {

/// Knows every request by the kernel's number for it, from its receipt to its answer, so that who
/// gets a signal while he waits is answered at once. 64 MiB of requests wait at most, what comes
/// then gets EAGAIN. Safe from any thread.
///
/// What waits here holds up others where the kernel holds a lock for it. Not so for reads, for
/// lookups and listings of one directory, and for changes of names, which are sent back (see
/// View::prepare_for_changes). It remains so for chmod, chown and setfattr of a directory, for a
/// new name in a directory that is itself ahead, for any change at the top of an ordinary user's
/// mount, for who looks up a name that is being looked up (not even SIGKILL ends that), and for who
/// changes a directory while a lookup in it waits: he waits for it, and all that
/// come after for him.
class ParkedRequests {
  public:
    /// `fuse` is the session's /dev/fuse; must outlive it.
    explicit ParkedRequests(int fuse) : fuse_(fuse) {}

    /// A worker begins with a request that was just received.
    void begin(uint64_t number);
    /// It has been answered.
    void end(uint64_t number);
    /// Instead of end(): it has not been answered and is to be tried again after `until`; a copy
    /// is kept.
    void park(uint64_t number, ConstByteSpan request, const NotYet& until);

    /// Whoever waits for the answer got a signal: it is EINTR, unless there is a better one.
    void interrupt(uint64_t number);
    /// The answer to all that waits, and would have to wait from now on, is EIO.
    void give_up();

    bool any() const { return count_ != 0; }
    bool any_due() const { return due_count_ != 0; }
    /// Looks which are worth another try.
    void look();
    /// One of them, which the calling worker begins with; none if other workers were faster.
    std::optional<Bytes> take_due();

  private:
    struct Begun {
        uint64_t number = 0;
        bool interrupted = false;
    };
    struct Parked {
        Bytes request;
        NotYet until;
    };

    bool take_begun(uint64_t number);
    Bytes take_parked(std::map<uint64_t, Parked>::iterator which);
    void answer(uint64_t number, int error) const;

    const int fuse_;
    std::atomic<size_t> count_ = 0;      // of parked_
    std::atomic<size_t> due_count_ = 0;  // of due_

    std::mutex mutex_;
    bool given_up_ = false;
    std::vector<Begun> begun_;
    std::map<uint64_t, Parked> parked_;
    std::set<uint64_t> due_;  // of parked_
    uint64_t bytes_ = 0;      // of parked_
};

}  // namespace imgfs
