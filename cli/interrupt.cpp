#include "cli/interrupt.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> raised_fd = -1;  // what the handler writes to

void raise_it(int /*signal*/) {
    const int saved = errno;
    const uint64_t one = 1;
    [[maybe_unused]] const auto count = ::write(raised_fd.load(), &one, sizeof one);
    errno = saved;
}

void set_handlers(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    for (const int number : kSignals) {
        ::sigaction(number, &action, nullptr);
    }
}

}  // namespace

Interrupt::Interrupt() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!fd_) {
        fail_errno("eventfd");
    }
    raised_fd = fd_.get();
    ::signal(SIGPIPE, SIG_IGN);
    set_handlers(raise_it);
}

Interrupt::~Interrupt() {
    set_handlers(SIG_DFL);
    raised_fd = -1;
}

}  // namespace imgfs
