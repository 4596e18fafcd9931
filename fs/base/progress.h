// How a long job tells how far it is.
#pragma once

#include <cstdint>
#include <functional>

namespace imgfs {

/// Called now and then with bytes done and bytes in all, on the thread that does the job. It may
/// throw (Ctrl-C): the job then cleans up and lets the exception pass. An empty function is
/// allowed.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

}  // namespace imgfs
