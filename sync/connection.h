// The other end of a push: `imgsync serve` on another machine through ssh, or a thread here.
#pragma once

#include <sys/types.h>

#include <string>
#include <thread>
#include <vector>

#include "fs/base/fd.h"

namespace imgsync {

struct RemoteEnd {
    std::string host;                        ///< [user@]host; empty: this machine
    std::vector<std::string> ssh = {"ssh"};  ///< the command and its options
    std::string program = "imgsync";         ///< at the far end
};

class Connection {
  public:
    explicit Connection(const RemoteEnd& remote);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    /// As finish(), but ends an ssh that is still there.
    ~Connection();

    int socket() const { return socket_.get(); }
    pid_t ssh_process() const { return process_; }
    /// Closes the connection and waits for the other end. ssh's exit status (128 + signal if
    /// killed), 0 without ssh.
    int finish();

  private:
    void start_ssh(const RemoteEnd& remote, imgfs::Fd far);

    imgfs::Fd socket_;
    pid_t process_ = 0;
    std::thread thread_;
};

/// The command that start ssh: words, host, program, serve. Fails with EINVAL if the host would be
/// taken for an option.
std::vector<std::string> ssh_command(const RemoteEnd& remote);

}  // namespace imgsync
