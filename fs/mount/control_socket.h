// The sockets between a mount's daemon and the commands that ask it something.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "fs/base/fd.h"

namespace imgfs {

/// Throws, ECONNREFUSED if nobody listens there.
Fd connect_to(const std::string& path);

/// Replaces what is there. Only the owner can connect.
Fd listen_at(const std::string& path);

/// Is the other end the same user, or root?
bool peer_is_trusted(int socket);

void send_line(int socket, const std::string& line);
/// Nothing if the other end closes, or takes too long, before the line is complete.
std::optional<std::string> receive_line(int socket);

/// A peer that says nothing is given up after this.
void limit_waiting(int socket, std::chrono::seconds limit);

/// Returns when the other end has closed.
void wait_for_close(int socket);

}  // namespace imgfs
