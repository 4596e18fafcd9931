// What the target answers, read by a thread of its own, so that neither end ever waits to write
// while the other one does too.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "sync/channel.h"
#include "sync/notices.h"
#include "sync/rolling_delta.h"

namespace imgsync {

struct WantedFile {
    Want want;
    std::unique_ptr<Signature> signature;  ///< complete, if it is wanted as a delta
};
struct PieceListed {
    uint64_t number = 0;
};
struct FileFinished {
    uint64_t id = 0;
};
using Reply = std::variant<WantedFile, PieceListed, FileFinished, TargetCounts>;

/// How many of each may wait to be taken follows from the windows of the protocol; more is a breach
/// of it. Items and problems go to the notices at once.
class Replies {
  public:
    /// `socket` must be a socket, `notices` must outlive this.
    Replies(int socket, int interrupt, Notices& notices);
    Replies(const Replies&) = delete;
    Replies& operator=(const Replies&) = delete;
    /// Ends the connection.
    ~Replies();

    /// The next reply; waits for it. Fails with what ended the connection, or what the target
    /// refused with.
    Reply take();
    /// There is one to take, or a failure.
    bool has_some() const;
    /// Throws what the thread ended with, once it has ended.
    [[noreturn]] void fail_with_its_end();

    /// The signature of a reply was used and is gone: the target may send one more.
    void release_signature();

    uint64_t bytes() const;

  private:
    void read_all();
    void handle(const Frame& frame);
    void add_signature(ConstByteSpan bytes);
    void put(Reply reply);
    void claim_signature();

    const int socket_;
    Notices& notices_;
    // only the thread
    FrameReader reader_;
    std::unique_ptr<WantedFile> incomplete_;
    // guarded by mutex_
    mutable std::mutex mutex_;
    std::condition_variable some_;
    std::deque<Reply> replies_;
    size_t signatures_ = 0;  // announced and not released
    uint64_t bytes_ = 0;
    bool done_ = false;
    std::exception_ptr end_;

    std::thread thread_;
};

}  // namespace imgsync
