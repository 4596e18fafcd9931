// UnpackedRecords: the plain blocks of the packed records that were read last.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "fs/base/bytes.h"

namespace imgfs {

/// Safe from any thread.
class UnpackedRecords {
  public:
    using Blocks = std::shared_ptr<const Bytes>;

    /// A record's name: its layer's salt and its offset there.
    struct Name {
        uint64_t salt = 0;
        uint64_t offset = 0;
        bool operator==(const Name&) const = default;
    };

    /// Keeps `most` records.
    explicit UnpackedRecords(size_t most) : most_(most) {}

    /// Nothing if it isn't kept.
    Blocks find(const Name& name);
    void add(const Name& name, Blocks blocks);

  private:
    struct Record {
        Name name;
        Blocks blocks;
    };

    const size_t most_;
    std::mutex mutex_;
    std::list<Record> records_;  // the latest first
};

}  // namespace imgfs
