// What goes wrong with single files while the rest of a push goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "sync/protocol.h"

namespace imgsync {

/// Passes lines and items on and counts them. Any thread; one call at a time reaches the callbacks.
class Notices {
  public:
    std::function<void(const std::string& line)> on_problem;
    std::function<void(const Item& item)> on_item;

    /// Something wasn't transferred (exit status 23).
    void problem(const std::string& line);
    /// Something was gone, or another one in its place, when it was its turn (exit status 24).
    void vanished(const std::string& path);
    void item(const Item& item);

    uint64_t problems() const;
    uint64_t vanished() const;

  private:
    mutable std::mutex mutex_;
    uint64_t problems_ = 0;
    uint64_t vanished_ = 0;
};

}  // namespace imgsync
