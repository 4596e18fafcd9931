#include "fs/mount/first_answer.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/mount/fuse_api.h"

namespace imgfs {
namespace {

constexpr size_t kOfferedAt = sizeof(fuse_in_header) + offsetof(fuse_init_in, flags);
constexpr size_t kWantedAt = sizeof(fuse_out_header) + offsetof(fuse_init_out, flags);
constexpr size_t kLongestAnswer = 4096;  // which a pipe takes whole

void put_in_place(const Fd& fd, int place) {
    if (::dup3(fd.get(), place, O_CLOEXEC) < 0) {
        fail_errno("/dev/fuse");
    }
}

/// libfuse writes to a number: for a moment a pipe has it.
Bytes answer_of_libfuse(fuse_session* session, const fuse_buf& request, const Fd& device) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail_errno("pipe");
    }
    const Fd reader(ends[0]);
    {
        const Fd writer(ends[1]);
        put_in_place(writer, fuse_session_fd(session));
    }
    fuse_session_process_buf(session, &request);
    put_in_place(device, fuse_session_fd(session));  // closes the pipe: what was written is all
    Bytes answer(kLongestAnswer);
    const auto count = ::read(reader.get(), answer.data(), answer.size());
    answer.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return answer;
}

}  // namespace

void answer_first(fuse_session* session, const fuse_buf& request) {
    const Fd device(::fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 0));
    if (!device) {
        fail_errno("/dev/fuse");
    }
    auto answer = answer_of_libfuse(session, request, device);
    const ConstByteSpan asked{static_cast<const std::byte*>(request.mem), request.size};
    if (asked.size() >= kOfferedAt + sizeof(uint32_t) &&
        answer.size() >= kWantedAt + sizeof(uint32_t)) {
        const auto both = load<uint32_t>(asked, kOfferedAt) & uint32_t{FUSE_PARALLEL_DIROPS};
        store<uint32_t>(answer, kWantedAt, load<uint32_t>(answer, kWantedAt) | both);
    }
    if (::write(device.get(), answer.data(), answer.size()) < 0) {
        fail_errno("/dev/fuse");
    }
}

}  // namespace imgfs
