// A close that fails: on some mounts it is the first to tell that the content couldn't be written.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "fs/base/error.h"
#include "tests/sync/push_fixture.h"

namespace {

std::atomic<int> failure_of_close{0};

bool is_temporary(int fd) {
    std::array<char, 4096> path{};
    const auto link = "/proc/self/fd/" + std::to_string(fd);
    const auto length = ::readlink(link.c_str(), path.data(), path.size());
    const auto flags = ::fcntl(fd, F_GETFL);
    return length > 0 && (flags & O_PATH) == 0 &&
           std::string_view(path.data(), static_cast<size_t>(length)).find("/.imgsync.") !=
               std::string_view::npos;
}

}  // namespace

/// Before the one of the C library or a sanitizer, which keeps account of descriptors, for the
/// whole test program.
extern "C" int close(int fd) {
    const bool fails = failure_of_close != 0 && is_temporary(fd);
    const auto next = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "close"));
    const auto result = next(fd);
    if (fails) {
        errno = failure_of_close;
        return -1;
    }
    return result;
}

namespace imgsync {
namespace {

class CloseTest : public PushFixture {
  protected:
    ~CloseTest() override { failure_of_close = 0; }
};

TEST_F(CloseTest, AFileThatCantBeClosedIsNotPutInPlace) {
    in_directory("mkdir source target; echo new > source/a; echo old > target/a");
    for (const int code : {ENOSPC, EIO}) {
        failure_of_close = code;
        try {
            push_now();
            FAIL() << "all well";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), code);
            EXPECT_NE(imgfs::message_of(error).find("target/a"), std::string::npos);
        }
        failure_of_close = 0;
        EXPECT_EQ(in_directory("cd target; ls -A; cat a"), "a\nold\n");
    }
    push_equal();
}

}  // namespace
}  // namespace imgsync
