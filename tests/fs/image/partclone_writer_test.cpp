#include "fs/image/partclone_writer.h"

#include <gtest/gtest.h>

#include "fs/base/fd.h"
#include "fs/image/partition.h"
#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

struct Written {
    Bytes stream;
    Bytes plain;  ///< the partition that it stands for
};

BlockBitmap bitmap_of(const std::vector<bool>& used) {
    std::vector<uint64_t> words((used.size() + 63) / 64);
    for (size_t block = 0; block < used.size(); ++block) {
        words[block / 64] |= uint64_t{used[block]} << (block % 64);
    }
    return {std::move(words), used.size()};
}

Written written(const NewPartclone& image, const std::vector<bool>& used) {
    Written result;
    PartcloneWriter writer(image, bitmap_of(used), [&](ConstByteSpan bytes) {
        result.stream.insert(result.stream.end(), bytes.begin(), bytes.end());
    });
    Bytes blocks;
    for (size_t block = 0; block < used.size(); ++block) {
        const auto bytes = used[block] ? noise(image.block_size, block) : Bytes(image.block_size);
        result.plain.insert(result.plain.end(), bytes.begin(), bytes.end());
        if (used[block]) {
            blocks.insert(blocks.end(), bytes.begin(), bytes.end());
        }
    }
    constexpr size_t kStep = 100'001;
    for (size_t at = 0; at < blocks.size(); at += kStep) {
        writer.add(ConstByteSpan(blocks).subspan(at, std::min(kStep, blocks.size() - at)));
    }
    writer.finish();
    return result;
}

TEST(PartcloneWriterTest, OurReaderFindsAllOfItSound) {
    for (const auto mode :
         {ChecksumMode::none, ChecksumMode::crc32, ChecksumMode::xxh64, ChecksumMode::xxh128}) {
        for (const size_t count : {1, 2559, 2560, 2561, 7000}) {
            SCOPED_TRACE(count);
            const std::vector<bool> used(count, true);
            const auto [stream, plain] = written({.file_system = "FAT16",
                                                  .device_size = count * 512,
                                                  .block_size = 512,
                                                  .checksum = mode},
                                                 used);
            const auto partition = open_partition(std::make_unique<MemorySource>(stream));
            EXPECT_EQ(read_all(*partition), plain);
            const auto checked =
                partition->verify([](const std::string& line) { ADD_FAILURE() << line; }, {});
            EXPECT_EQ(checked, 2 + (mode == ChecksumMode::none ? 0 : (count + 2559) / 2560));
            EXPECT_EQ(partition->info().file_system, "FAT16");
            EXPECT_EQ(partition->info().made_by, "imgfs " IMGFS_VERSION);
        }
    }
}

TEST(PartcloneWriterTest, PartcloneChecksAndRestoresIt) {
    const auto used = used_blocks(9000, 60, 3);
    const auto [stream, plain] =
        written({.file_system = "EXTFS", .device_size = 9000 * 1024, .block_size = 1024}, used);
    const TempDir dir;
    write_file(dir / "image", stream);
    run("cd " + dir.path().string() +
        " && partclone.chkimg -L log -s image && truncate -s 9216000 disk && "
        "partclone.restore -L log -C -s image -O disk");
    EXPECT_EQ(read_file(dir / "disk", kGiB), plain);
}

}  // namespace
}  // namespace imgfs
