#include "fs/mount/request_loop.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "fs/base/error.h"
#include "fs/mount/first_answer.h"
#include "fs/mount/fuse_api.h"

namespace imgfs {
namespace {

constexpr size_t kMostWorkers = 10;
constexpr auto kPatience = std::chrono::milliseconds(1);
constexpr auto kBetweenLooks = std::chrono::milliseconds(25);  // at what is parked

// What the calling worker is at, for hand_over() and try_again_after().
struct Turn {
    RequestLoop* loop = nullptr;
    uint64_t number = 0;
    std::optional<NotYet> until;
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

ConstByteSpan bytes_in(const fuse_buf& content) {
    return {static_cast<const std::byte*>(content.mem), content.size};
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
    : session_(session),
      poll_us_(poll_us),
      stop_event_(make_event()),
      parked_(fuse_session_fd(session)) {
    make_nonblocking(fuse_session_fd(session));
}

RequestLoop::~RequestLoop() = default;

bool RequestLoop::start() {
    Buffer buffer;
    if (!receive(buffer)) {
        return false;
    }
    answer_first(session_, buffer.content);
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

void RequestLoop::stop_waiting() {
    parked_.give_up();
}

void RequestLoop::hand_over() {
    if (current_turn.loop != nullptr) {
        current_turn.loop->give_up_lead(current_turn.number);
    }
}

void RequestLoop::try_again_after(fuse_req_t request, const NotYet& until) {
    current_turn.until = until;
    fuse_reply_none(request);
}

void RequestLoop::work() {
    const NoWaiting no_waiting;
    Buffer buffer;
    for (auto next = wait_for_turn(); next != Next::end; next = wait_for_turn()) {
        if (next == Next::try_again) {
            answer_due();
            continue;
        }
        do {
            if (!receive(buffer)) {
                end();
                return;
            }
        } while (answer_received(buffer.content));
    }
}

/// The caller leads; true if it still does afterwards.
bool RequestLoop::answer_received(const fuse_buf& content) {
    const auto header = load<fuse_in_header>(bytes_in(content), 0);
    if (header.opcode == FUSE_INTERRUPT) {
        // Whoever read the request that it is about began with it before he gave up the lead.
        parked_.interrupt(load<fuse_interrupt_in>(bytes_in(content), sizeof header).unique);
        return true;
    }
    parked_.begin(header.unique);
    uint64_t turn = 0;
    {
        const std::lock_guard lock(mutex_);
        turn = serving_ = ++turns_;
    }
    process(content, turn);
    return finish_turn(turn);
}

void RequestLoop::answer_due() {
    auto request = parked_.take_due();
    uint64_t turn = 0;
    {
        const std::lock_guard lock(mutex_);
        turn = ++turns_;
        if (parked_.any_due()) {
            call_worker();
        }
    }
    if (request) {
        process({.size = request->size(), .mem = request->data()}, turn);
    }
}

void RequestLoop::process(const fuse_buf& content, uint64_t turn) {
    const auto number = load<fuse_in_header>(bytes_in(content), 0).unique;
    current_turn = {this, turn, std::nullopt};
    fuse_session_process_buf(session_, &content);
    const auto until = std::exchange(current_turn, {}).until;
    if (!until) {
        parked_.end(number);
        return;
    }
    parked_.park(number, bytes_in(content), *until);
    const std::lock_guard lock(mutex_);
    watch_.notify_one();
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

RequestLoop::Next RequestLoop::wait_for_turn() {
    std::unique_lock lock(mutex_);
    ++idle_;
    work_.wait(lock, [this] { return !led_ || parked_.any_due() || over_; });
    --idle_;
    if (over_) {
        return Next::end;
    }
    if (led_) {
        return Next::try_again;
    }
    if (parked_.any_due()) {
        call_worker();  // for the other of the two
        due_first_ = !due_first_;
        if (due_first_) {
            return Next::try_again;
        }
    }
    led_ = true;
    return Next::lead;
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
    call_worker();
}

// Needs mutex_.
void RequestLoop::call_worker() {
    if (idle_ > 0) {
        work_.notify_one();
    } else if (workers_.size() + 1 < kMostWorkers && !over_) {
        workers_.emplace_back([this] { work(); });
    }  // else the first worker that is done does it
}

void RequestLoop::watch() {
    std::unique_lock lock(mutex_);
    uint64_t seen = 0;
    while (!over_) {
        const auto is_awake = [this] { return !asleep_ || over_; };
        if (!asleep_) {
            watch_.wait_for(lock, kPatience, [this] { return over_; });
        } else if (parked_.any()) {
            watch_.wait_for(lock, kBetweenLooks, is_awake);
        } else {
            watch_.wait(lock, [&] { return is_awake() || parked_.any(); });
        }
        if (serving_ != 0 && serving_ == seen) {
            pass_lead();
        }
        seen = serving_;
        look_at_parked(lock);
    }
}

void RequestLoop::look_at_parked(std::unique_lock<std::mutex>& lock) {
    const auto now = std::chrono::steady_clock::now();
    if (!parked_.any() || now < next_look_) {
        return;
    }
    next_look_ = now + kBetweenLooks;
    lock.unlock();
    parked_.look();
    lock.lock();
    if (parked_.any_due()) {
        call_worker();
    }
}

void RequestLoop::end() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
        work_.notify_all();
        watch_.notify_all();
    }
    parked_.give_up();
}

}  // namespace imgfs
