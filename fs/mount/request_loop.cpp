#include "fs/mount/request_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "fs/base/error.h"
#include "fs/mount/fuse_api.h"

namespace imgfs {
namespace {

constexpr size_t kMostWorkers = 10;
constexpr auto kPatience = std::chrono::milliseconds(1);

// What the calling worker is at, for hand_over().
struct Turn {
    RequestLoop* loop = nullptr;
    uint64_t number = 0;
};
thread_local Turn current_turn;

Fd make_event() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        fail_errno("eventfd");
    }
    return Fd(fd);
}

void make_nonblocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        fail_errno("/dev/fuse");
    }
}

}  // namespace

struct RequestLoop::Buffer {
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(content.mem); }

    fuse_buf content{};
};

RequestLoop::RequestLoop(fuse_session* session, unsigned poll_us)
    : session_(session), poll_us_(poll_us), stop_event_(make_event()) {
    make_nonblocking(fuse_session_fd(session));
}

RequestLoop::~RequestLoop() = default;

bool RequestLoop::start() {
    Buffer buffer;
    if (!receive(buffer)) {
        return false;
    }
    fuse_session_process_buf(session_, &buffer.content);
    return true;
}

void RequestLoop::run() {
    std::thread watcher([this] { watch(); });
    work();
    watcher.join();
    // Nobody starts workers any more: over_ is set.
    for (auto& worker : workers_) {
        worker.join();
    }
}

void RequestLoop::stop() {
    stopping_ = true;
    ::eventfd_write(stop_event_.get(), 1);
}

void RequestLoop::hand_over() {
    if (current_turn.loop != nullptr) {
        current_turn.loop->give_up_lead(current_turn.number);
    }
}

void RequestLoop::work() {
    Buffer buffer;
    bool leading = false;
    while (leading || wait_for_lead()) {
        if (!receive(buffer)) {
            end();
            return;
        }
        {
            const std::lock_guard lock(mutex_);
            serving_ = ++turns_;
            current_turn = {this, serving_};
        }
        fuse_session_process_buf(session_, &buffer.content);
        leading = finish_turn(current_turn.number);
        current_turn = {};
    }
}

bool RequestLoop::receive(Buffer& buffer) {
    using Clock = std::chrono::steady_clock;
    auto give_up = Clock::now() + std::chrono::microseconds(poll_us_);
    while (!stopping_) {
        const int size = fuse_session_receive_buf(session_, &buffer.content);
        if (size > 0) {
            return true;
        }
        if (size == -EAGAIN && Clock::now() >= give_up) {
            if (!sleep_until_request()) {
                return false;
            }
            give_up = Clock::now();  // what woke us is there; if another took it, sleep again
        } else if (size != -EAGAIN && size != -EINTR) {
            return false;
        }
    }
    return false;
}

bool RequestLoop::sleep_until_request() {
    {
        const std::lock_guard lock(mutex_);
        asleep_ = true;
    }
    std::array<pollfd, 2> wait{pollfd{fuse_session_fd(session_), POLLIN, 0},
                               pollfd{stop_event_.get(), POLLIN, 0}};
    const int ready = ::poll(wait.data(), wait.size(), -1);
    {
        const std::lock_guard lock(mutex_);
        asleep_ = false;
    }
    watch_.notify_one();
    return (ready > 0 || errno == EINTR) && wait[1].revents == 0;
}

bool RequestLoop::wait_for_lead() {
    std::unique_lock lock(mutex_);
    ++idle_;
    lead_free_.wait(lock, [this] { return !led_ || over_; });
    --idle_;
    if (over_) {
        return false;
    }
    led_ = true;
    return true;
}

bool RequestLoop::finish_turn(uint64_t turn) {
    const std::lock_guard lock(mutex_);
    if (serving_ != turn) {
        return false;  // somebody else leads by now
    }
    serving_ = 0;
    return true;
}

void RequestLoop::give_up_lead(uint64_t turn) {
    const std::lock_guard lock(mutex_);
    if (serving_ == turn) {
        pass_lead();
    }
}

// Needs mutex_.
void RequestLoop::pass_lead() {
    serving_ = 0;
    led_ = false;
    if (idle_ > 0) {
        lead_free_.notify_one();
    } else if (workers_.size() + 1 < kMostWorkers && !over_) {
        workers_.emplace_back([this] { work(); });
    }  // else the first worker that is done leads
}

void RequestLoop::watch() {
    std::unique_lock lock(mutex_);
    uint64_t seen = 0;
    while (!over_) {
        if (asleep_) {
            watch_.wait(lock, [this] { return !asleep_ || over_; });
        } else {
            watch_.wait_for(lock, kPatience, [this] { return over_; });
        }
        if (serving_ != 0 && serving_ == seen) {
            pass_lead();
        }
        seen = serving_;
    }
}

void RequestLoop::end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    lead_free_.notify_all();
    watch_.notify_all();
}

}  // namespace imgfs
