// The process that stays behind a mount's daemon, so that its death leaves no dead mount.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "fs/base/fd.h"

namespace imgfs {

/// Makes stdin /dev/null, and stdout and stderr what `output` is.
void redirect_standard_streams(const Fd& output);

/// Runs `serve` in a child process (its result is the exit status) and makes the calling process
/// its supervisor, which ends after it: a child that dies leaves no dead mount, and its record says
/// why it ended. SIGTERM, SIGINT and SIGHUP are passed on. Descriptors over 2 are closed but for
/// `kept`, which is the child's alone.
[[noreturn]] void supervise(const std::string& mountpoint, Fd kept,
                            const std::function<int(Fd kept)>& serve);

/// The same for a mount in the foreground: the child stays at the caller's terminal, and gets a
/// SIGTERM if the caller dies. Returns the child's wait status after its end.
int supervise_in_foreground(const std::string& mountpoint, const std::function<int()>& serve);

}  // namespace imgfs
