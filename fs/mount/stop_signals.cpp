#include "fs/mount/stop_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

std::atomic<int> signal_pipe = -1;  // for the handler

void tell(int fd, unsigned char what) {
    [[maybe_unused]] const auto count = ::write(fd, &what, 1);  // a full pipe has been told enough
}

void handle(int signal) {
    const int saved = errno;
    tell(signal_pipe, static_cast<unsigned char>(signal));
    errno = saved;
}

}  // namespace

StopSignals::StopSignals(std::function<void(int)> stop) : stop_(std::move(stop)) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail_errno("pipe");
    }
    reader_ = Fd(ends[0]);
    writer_ = Fd(ends[1]);
    signal_pipe = writer_.get();
    thread_ = std::thread([this] { work(); });
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], &action, &before_[i]);
    }
}

StopSignals::~StopSignals() {
    for (size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], &before_[i], nullptr);
    }
    tell(writer_.get(), 0);
    thread_.join();
    signal_pipe = -1;
}

void StopSignals::work() {
    unsigned char what = 0;
    for (;;) {
        const auto count = ::read(reader_.get(), &what, 1);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count != 1 || what == 0) {
            return;
        }
        stop_(what);
    }
}

}  // namespace imgfs
