// A packed stream and the place of its index.
#pragma once

#include <gtest/gtest.h>

#include "fs/source/decode.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

inline std::unique_ptr<Source> memory(Bytes content) {
    return std::make_unique<MemorySource>(std::move(content));
}

inline std::unique_ptr<Source> decoded(std::unique_ptr<Source> packed,
                                       const DecodeOptions& options) {
    return decode(std::move(packed), options).plain;
}

class IndexTest : public testing::Test {
  protected:
    DecodeOptions options() {
        return {.index_files = {dir_ / "index"},
                .note = [this](const std::string& line) { notes_ += line + "\n"; },
                .packed_identity = to_bytes("as it was")};
    }

    TempDir dir_;
    std::string notes_;
    Bytes plain_ = mixed(9 * kMiB + 77);
    Bytes packed_ = packed_by("pigz -1", plain_);
};

}  // namespace imgfs
