// The answer to the kernel's first request, which says how a mount wants to be asked.
#pragma once

struct fuse_buf;
struct fuse_session;

namespace imgfs {

/// Answers `request`, the first of a mounted session that nobody else uses yet. Lookups and
/// listings of one directory then go on beside each other: libfuse up to 3.14 knows the capability
/// (FUSE_CAP_PARALLEL_DIROPS) but doesn't tell the kernel.
void answer_first(fuse_session* session, const fuse_buf& request);

}  // namespace imgfs
