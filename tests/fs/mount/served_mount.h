// A view served by a thread of the test for as long as this lives.
#pragma once

#include <filesystem>
#include <future>
#include <thread>

#include "fs/mount/fuse_mount.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

class ServedMount {
  public:
    explicit ServedMount(View& view, MountOptions options = {.source = "memory"}) {
        std::filesystem::create_directory(path());
        std::promise<void> ready;
        server_ = std::thread([&, options] {
            try {
                serve(view, path(), options, [&] { ready.set_value(); });
            } catch (...) {
                ready.set_exception(std::current_exception());
            }
        });
        try {
            ready.get_future().get();
        } catch (...) {
            server_.join();
            throw;
        }
    }
    ServedMount(const ServedMount&) = delete;
    ServedMount& operator=(const ServedMount&) = delete;
    ~ServedMount() { stop(); }

    void stop() {
        if (server_.joinable()) {
            stop_serving();
            server_.join();
        }
    }
    /// Waits until somebody has unmounted it.
    void join() { server_.join(); }

    std::string path() const { return (directory_ / "mnt").string(); }
    std::string operator/(const std::string& name) const { return path() + "/" + name; }

  private:
    TempDir directory_;
    std::thread server_;
};

}  // namespace imgfs
