// One target under libFuzzer: FUZZ_TARGET is its name.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

#include <cstdlib>
#include <iostream>

#include "tests/fuzz/targets.h"

namespace imgfs {
namespace {

/// So that libFuzzer takes a test failure for what it is.
class EndAtFailure final : public testing::EmptyTestEventListener {
  public:
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (result.failed()) {
            std::cerr << result << '\n';
            std::abort();
        }
    }
};

/// Of processor time: libFuzzer's own -timeout also counts what a busy machine makes of it.
constexpr itimerval kMostTime = {.it_interval = {}, .it_value = {.tv_sec = 10, .tv_usec = 0}};

}  // namespace
}  // namespace imgfs

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    ::signal(SIGPROF, [](int) { std::abort(); });
    testing::UnitTest::GetInstance()->listeners().Append(new imgfs::EndAtFailure);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    ::setitimer(ITIMER_PROF, &imgfs::kMostTime, nullptr);
    static const auto& target = imgfs::fuzz_target(FUZZ_TARGET);
    target.run(target.name, std::as_bytes(std::span(data, size)));
    return 0;
}
