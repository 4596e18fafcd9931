// A real sshd on a free port of this machine, for one test.
#pragma once

#include <sys/types.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace imgfs {

class SshServer {
  public:
    SshServer();
    SshServer(const SshServer&) = delete;
    SshServer& operator=(const SshServer&) = delete;
    ~SshServer();

    /// ssh with the options that reach it and nothing of the user's configuration.
    std::string ssh_command() const;

  private:
    TempDir directory_;
    int port_ = 0;
    pid_t process_ = 0;
};

}  // namespace imgfs
