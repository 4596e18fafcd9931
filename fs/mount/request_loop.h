// RequestLoop: reads FUSE requests and has them answered, with few wake-ups between the CPUs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/base/fd.h"
#include "fs/mount/parked_requests.h"

struct fuse_buf;
struct fuse_req;
struct fuse_session;

namespace imgfs {

/// One worker leads: it alone reads requests, and answers them itself, so that no other thread has
/// to be woken for a short one. Before it starts a long one it hands the lead over, and a watcher
/// takes it from a worker that has been at one request for a millisecond. After a request the
/// leader polls for the next one for a short while before it sleeps: waking a CPU costs far more.
/// Workers never wait for an indexing pass: a request that throws NotYet is put aside without an
/// answer, and is processed again from its beginning when it is worth another try.
class RequestLoop {
  public:
    /// The session must be mounted. `poll_us`: how long the leader polls; 0: it sleeps at once.
    RequestLoop(fuse_session* session, unsigned poll_us);
    ~RequestLoop();

    /// Answers the kernel's first request, which says what it can do; false if the mount is gone.
    bool start();
    /// Answers requests until the mount is gone or stop() was called.
    void run();
    /// From any thread.
    void stop();
    /// From any thread: nothing waits for an indexing pass any more, it fails with EIO instead.
    void stop_waiting();

    /// For operations that may take long (reading, writing, syncing); the calling thread is a
    /// worker of some loop.
    static void hand_over();
    /// The request that the calling worker is at has changed nothing and is to be processed again.
    /// Takes the place of its answer.
    static void try_again_after(fuse_req* request, const NotYet& until);

  private:
    struct Buffer;
    enum class Next { lead, try_again, end };

    void work();
    void watch();
    bool receive(Buffer& buffer);
    bool sleep_until_request();
    bool answer_received(const fuse_buf& content);
    void answer_due();
    void process(const fuse_buf& content, uint64_t turn);
    Next wait_for_turn();
    bool finish_turn(uint64_t turn);
    void give_up_lead(uint64_t turn);
    void pass_lead();
    void call_worker();
    void look_at_parked(std::unique_lock<std::mutex>& lock);
    void end();

    fuse_session* const session_;
    const unsigned poll_us_;
    const Fd stop_event_;
    std::atomic<bool> stopping_ = false;
    ParkedRequests parked_;

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable watch_;
    bool led_ = false;        // somebody leads
    bool asleep_ = false;     // the leader waits for the kernel
    bool over_ = false;       // no more requests
    uint64_t turns_ = 0;      // requests that were received
    uint64_t serving_ = 0;    // the turn that the leader is at; 0: none
    unsigned idle_ = 0;       // workers that wait for the lead, or for what is due
    bool due_first_ = false;  // before the lead, the next time a worker has the choice
    std::vector<std::thread> workers_;
    std::chrono::steady_clock::time_point next_look_{};  // the watcher's
};

}  // namespace imgfs
