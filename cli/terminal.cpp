#include "cli/terminal.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <memory>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

std::atomic<bool> interrupt_seen = false;

void note_interrupt(int) {
    interrupt_seen = true;
}

/// Rewrites one line of a terminal; wipes it when it goes.
class ProgressLine {
  public:
    explicit ProgressLine(std::string what) : what_(std::move(what)) {}
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() {
        if (shown_) {
            std::cerr << "\r\x1b[K" << std::flush;
        }
    }

    void show(uint64_t done, uint64_t total) {
        const auto now = Clock::now();
        if (now - last_ < std::chrono::milliseconds(200) || total == 0) {
            return;
        }
        last_ = now;
        const auto seconds = std::chrono::duration<double>(now - start_).count();
        const auto rate = static_cast<double>(done) / std::max(seconds, 0.001);
        const auto left = static_cast<double>(total - std::min(done, total)) / std::max(rate, 1.0);
        std::cerr << "\r\x1b[K" << what_ << ": " << done * 100 / total << " % of "
                  << format_size(total) << ", " << format_size(static_cast<uint64_t>(rate))
                  << "/s, " << static_cast<uint64_t>(left) << " s left" << std::flush;
        shown_ = true;
    }

  private:
    using Clock = std::chrono::steady_clock;
    std::string what_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point last_ = start_;
    bool shown_ = false;
};

}  // namespace

void say(const std::string& line) {
    std::cerr << "imgfs: " << line << std::endl;
}

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

Progress terminal_progress(std::string what) {
    // Shared, since std::function must be copyable; the line goes with the last copy.
    std::shared_ptr<ProgressLine> line;
    if (::isatty(STDERR_FILENO) != 0) {
        line = std::make_shared<ProgressLine>(std::move(what));
    }
    return [line](uint64_t done, uint64_t total) {
        if (interrupt_seen) {
            fail(ECANCELED, "interrupted");
        }
        if (line) {
            line->show(done, total);
        }
    };
}

void allow_many_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

bool can_ask() {
    return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0;
}

std::string ask(const std::string& question) {
    std::cerr << question << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer;
}

}  // namespace imgfs
