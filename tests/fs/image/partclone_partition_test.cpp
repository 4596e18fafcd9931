#include "fs/image/partclone_partition.h"

#include <gtest/gtest.h>

#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

std::unique_ptr<Partition> open_stream(Bytes stream) {
    return open_partition(std::make_unique<MemorySource>(std::move(stream)));
}

TEST(PartclonePartitionTest, ReadsEveryKindOfStream) {
    for (const auto mode : std::initializer_list<uint16_t>{0x00, 0x20, 0x30, 0x31}) {
        for (const uint32_t strip : {1, 3, 7, 256}) {
            for (const bool restart : {true, false}) {
                SCOPED_TRACE(testing::Message() << "mode " << mode << ", strips of " << strip
                                                << (restart ? "" : ", running"));
                const auto image = build_partclone({.block_size = 64,
                                                    .used = used_blocks(1003, 60, strip),
                                                    .tail = 700,
                                                    .checksum_mode = mode,
                                                    .blocks_per_checksum = strip,
                                                    .restart = restart,
                                                    .bits_past_end = true});
                const auto partition = open_stream(image.stream);
                expect_keeps_source_contract(*partition, image.plain);
                std::string damage;
                const auto checked =
                    partition->verify([&](const std::string& line) { damage += line + "\n"; }, {});
                EXPECT_EQ(damage, "");
                const auto used = partition->info().used_blocks;
                EXPECT_EQ(checked, 2 + (mode == 0 ? 0 : (used + strip - 1) / strip));
            }
        }
    }
}

}  // namespace
}  // namespace imgfs
