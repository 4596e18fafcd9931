// Ctrl-C and the signals like it, as a descriptor that becomes readable.
#pragma once

#include "fs/base/fd.h"

namespace imgfs {

/// While it lives, SIGINT, SIGTERM and SIGHUP only make fd() readable. One at a time.
class Interrupt {
  public:
    Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;
    ~Interrupt();

    int fd() const { return fd_.get(); }

  private:
    Fd fd_;
};

}  // namespace imgfs
