// RequestLoop: reads FUSE requests and has them answered, with few wake-ups between the CPUs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/base/fd.h"

struct fuse_buf;
struct fuse_session;

namespace imgfs {

/// One worker leads: it alone reads requests, and answers them itself, so that no other thread has
/// to be woken for a short one. Before it starts a long one it hands the lead over, and a watcher
/// takes it from a worker that has been at one request for a millisecond. After a request the
/// leader polls for the next one for a short while before it sleeps: waking a CPU costs far more.
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

    /// For operations that may take long (reading, writing, syncing); the calling thread is a
    /// worker of some loop.
    static void hand_over();

  private:
    struct Buffer;

    void work();
    void watch();
    bool receive(Buffer& buffer);
    bool sleep_until_request();
    bool wait_for_lead();
    bool finish_turn(uint64_t turn);
    void give_up_lead(uint64_t turn);
    void pass_lead();
    void end();

    fuse_session* const session_;
    const unsigned poll_us_;
    const Fd stop_event_;
    std::atomic<bool> stopping_ = false;

    std::mutex mutex_;
    std::condition_variable lead_free_;
    std::condition_variable watch_;
    bool led_ = false;      // somebody leads
    bool asleep_ = false;   // the leader waits for the kernel
    bool over_ = false;     // no more requests
    uint64_t turns_ = 0;    // requests that were received
    uint64_t serving_ = 0;  // the turn that the leader is at; 0: none
    unsigned idle_ = 0;     // workers that wait for the lead
    std::vector<std::thread> workers_;
};

}  // namespace imgfs
