// A view served through FUSE.
#pragma once

#include <functional>
#include <string>

#include "fs/view/view.h"

namespace imgfs {

struct MountOptions {
    bool read_only = false;
    bool allow_other = false;  ///< others may enter: the kernel then checks permissions
    bool suid = false;         ///< root only: set-uid bits work
    bool dev = false;          ///< root only: device nodes work
    bool noexec = false;       ///< nothing there can be run
    std::string source;        ///< shown as the device in /proc/mounts
    /// How long to poll for a next request before sleeping: on two CPUs, waking one costs ten times
    /// what an answer does. 0: not at all.
    unsigned poll_us = 50;
};

/// Mounts `view` and serves it until it is unmounted or stop_serving() is called. `on_ready` is
/// called once requests are answered. Root's mounts, and those that others may enter, use the
/// kernel's default_permissions, and nosuid,nodev unless the options allow it; a user's own mount
/// permits its owner everything and keeps ids and modes as they are set. Returns after the last
/// request; the caller then commits the view and learns whether that worked.
void serve(View& view, const std::string& mountpoint, const MountOptions& options,
           const std::function<void()>& on_ready);

/// From any thread but not from a signal handler: makes serve() unmount and return. If files are
/// open, what they have in the kernel's cache is written back and the mount is detached.
void stop_serving();

}  // namespace imgfs
