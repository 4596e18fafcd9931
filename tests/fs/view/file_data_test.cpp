#include "fs/view/file_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "fs/base/error.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

/// A file system with some empty files, whose free blocks hold what nobody may see.
class Partition {
  public:
    Partition(const std::string& options, uint64_t size, int files)
        : device(make(options, size, files)), fs(device, ViewAccess::read_write), data(fs) {
        fs.prepare_for_changes();
        for (int i = 0; i < files; ++i) {
            ext2_ino_t number = 0;
            ExtFilesystem::check(
                ext2fs_namei(fs.handle(), EXT2_ROOT_INO, EXT2_ROOT_INO, name(i).c_str(), &number),
                name(i));
            numbers.push_back(number);
        }
        const Bytes stale(fs.block_size(), std::byte{0xEE});
        for (blk64_t block = fs.handle()->super->s_first_data_block;
             block < ext2fs_blocks_count(fs.handle()->super); ++block) {
            if (ext2fs_test_block_bitmap2(fs.handle()->block_map, block) == 0) {
                device.write(block * fs.block_size(), stale);
            }
        }
    }

    Bytes content(int file) {
        Bytes all(size(file));
        EXPECT_EQ(data.read(numbers[static_cast<size_t>(file)], 0, all), all.size());
        return all;
    }
    uint64_t size(int file) {
        const std::lock_guard lock(fs.mutex());
        const auto inode = fs.inode(numbers[static_cast<size_t>(file)]);
        return EXT2_I_SIZE(&inode);
    }
    /// As fallocate's punch, but of whole blocks.
    void punch(int file, uint64_t first, uint64_t count) {
        const std::lock_guard lock(fs.mutex());
        const auto number = numbers[static_cast<size_t>(file)];
        auto inode = fs.inode(number);
        free_blocks(fs, number, inode, first, count);
        data.forget(number);
    }
    uint64_t free_count() { return ext2fs_free_blocks_count(fs.handle()->super); }
    int depth(int file) {
        const auto inode = fs.inode(numbers[static_cast<size_t>(file)]);
        return le16(std::as_bytes(std::span(inode.i_block)), 6);
    }
    void expect_clean() {
        fs.flush();
        expect_e2fsck_clean(read_all(device));
    }

    MemoryDevice device;
    ExtFilesystem fs;
    FileData data;
    std::vector<ext2_ino_t> numbers;

  private:
    static std::string name(int file) { return "file" + std::to_string(file); }
    static Bytes make(const std::string& options, uint64_t size, int files) {
        const TempDir tree;
        for (int i = 0; i < files; ++i) {
            write_file(tree / name(i), {});
        }
        return make_ext_image({.options = options, .size = size, .tree = tree.path()});
    }
};

/// What the files should hold.
class Model {
  public:
    explicit Model(size_t files) : files_(files) {}

    void write(size_t file, uint64_t offset, ConstByteSpan bytes) {
        auto& content = files_[file];
        content.resize(std::max<uint64_t>(content.size(), offset + bytes.size()));
        std::ranges::copy(bytes, content.begin() + static_cast<ptrdiff_t>(offset));
    }
    void resize(size_t file, uint64_t size) { files_[file].resize(size); }
    void punch(size_t file, uint64_t offset, uint64_t length) {
        auto& content = files_[file];
        const uint64_t end = std::min<uint64_t>(offset + length, content.size());
        if (offset < end) {
            std::ranges::fill(ByteSpan(content).subspan(offset, end - offset), std::byte{});
        }
    }
    const Bytes& content(size_t file) const { return files_[file]; }

  private:
    std::vector<Bytes> files_;
};

class FileDataTypesTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, FileDataTypesTest,
                         testing::Values("-t ext2 -b 1024", "-t ext2 -b 4096", "-t ext3 -b 2048",
                                         "-t ext4 -b 1024", "-t ext4 -b 2048", "-t ext4 -b 4096",
                                         "-t ext4 -b 1024 -O ^metadata_csum,^64bit",
                                         "-t ext4 -b 4096 -O ^extent,^64bit,^huge_file",
                                         "-t ext3 -b 1024 -I 128"));

TEST_P(FileDataTypesTest, AgreesWithVectorsUnderRandomChanges) {
    constexpr int kFiles = 3;
    Partition part(GetParam(), 16 * kMiB, kFiles);
    Model model(kFiles);
    std::mt19937_64 random(11);
    const uint64_t block_size = part.fs.block_size();
    for (int round = 1; round <= 400; ++round) {
        const int file = static_cast<int>(random() % kFiles);
        const auto slot = static_cast<size_t>(file);
        const uint64_t offset = random() % (random() % 3 == 0 ? 1'500'000 : 100'000);
        const uint64_t length = random() % (random() % 4 == 0 ? 60'000 : 6'000);
        switch (random() % 8) {
            case 0:
                part.data.resize(part.numbers[slot], offset);
                model.resize(slot, offset);
                break;
            case 1:
            case 2: {
                const uint64_t first = offset / block_size;
                const uint64_t count = length / block_size + 1;
                part.punch(file, first, count);
                model.punch(slot, first * block_size, count * block_size);
                break;
            }
            default: {
                const Bytes bytes = noise(length, static_cast<uint64_t>(round));
                part.data.write(part.numbers[slot], offset, bytes);
                if (!bytes.empty()) {
                    model.write(slot, offset, bytes);
                }
            }
        }
        if (round % 10 == 0) {
            ASSERT_TRUE(part.content(file) == model.content(slot)) << "round " << round;
        }
        if (round % 200 == 0) {
            part.expect_clean();
        }
    }
    const uint64_t free_before = part.free_count();
    for (int file = 0; file < kFiles; ++file) {
        ASSERT_TRUE(part.content(file) == model.content(static_cast<size_t>(file)));
        part.data.resize(part.numbers[static_cast<size_t>(file)], 0);
    }
    EXPECT_GT(part.free_count(), free_before);
    part.expect_clean();
}

class FileDataFragmentsTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, FileDataFragmentsTest,
                         testing::Values("-t ext2 -b 1024", "-t ext4 -b 1024",
                                         "-t ext4 -b 1024 -O ^metadata_csum,^64bit"));

TEST_P(FileDataFragmentsTest, MapsAHeavilyFragmentedFileAndTakesItApart) {
    constexpr uint64_t kBlocks = 8'000;
    const std::string options = GetParam();
    const uint64_t block_size = std::stoul(options.substr(options.find("-b ") + 3));
    Partition part(options, (kBlocks / 2 + 6000) * block_size, 1);
    const auto number = part.numbers[0];
    const uint64_t free_at_first = part.free_count();
    const auto stamp = [&](uint64_t block) { return noise(16, block); };
    // Back and forth, so that entries come at the end, at the front and in between.
    for (uint64_t i = 0; i < kBlocks / 4; ++i) {
        for (const uint64_t block : {4 * i, kBlocks - 4 * i - 2}) {
            part.data.write(number, block * block_size, stamp(block));
        }
    }
    if (options.find("ext4") != std::string::npos) {
        EXPECT_GE(part.depth(0), 2);
    }
    part.expect_clean();
    const auto expect_block = [&](uint64_t block, bool there) {
        Bytes found(block_size);
        ASSERT_GE(part.data.read(number, block * block_size, found), 16U);
        Bytes expected = there ? stamp(block) : Bytes();
        expected.resize(block_size);
        ASSERT_TRUE(std::equal(expected.begin(), expected.begin() + 16, found.begin())) << block;
    };
    for (uint64_t block = 0; block < kBlocks - 2; block += 101) {
        expect_block(block, block % 2 == 0);
    }
    for (uint64_t block = 0; block < kBlocks; block += 4) {
        part.punch(0, block, 1);
    }
    part.expect_clean();
    for (uint64_t block = 0; block < kBlocks - 2; block += 101) {
        expect_block(block, block % 4 == 2);
    }
    part.data.resize(number, kBlocks / 3 * block_size);
    part.expect_clean();
    part.data.resize(number, 0);
    part.expect_clean();
    EXPECT_EQ(part.depth(0), 0);
    EXPECT_EQ(part.free_count(), free_at_first);
}

TEST_P(FileDataTypesTest, RunsOutOfSpaceWithoutHarm) {
    Partition part(GetParam(), 6 * kMiB, 2);
    const uint64_t free_at_first = part.free_count();
    std::mt19937_64 random(3);
    Model model(2);
    int refused = 0;
    for (int round = 0; refused < 20; ++round) {
        ASSERT_LT(round, 5000);
        const Bytes bytes = noise(random() % 50'000 + 1, static_cast<uint64_t>(round));
        const uint64_t offset = random() % 12'000'000;
        const size_t file = random() % 2;
        try {
            part.data.write(part.numbers[file], offset, bytes);
            model.write(file, offset, bytes);
        } catch (const std::system_error& error) {
            ASSERT_EQ(error.code().value(), ENOSPC) << error.what();
            ++refused;
        }
    }
    for (int file = 0; file < 2; ++file) {
        EXPECT_TRUE(part.content(file) == model.content(static_cast<size_t>(file)));
    }
    part.expect_clean();
    part.data.resize(part.numbers[0], 0);
    part.data.resize(part.numbers[1], 0);
    EXPECT_EQ(part.free_count(), free_at_first);
    part.expect_clean();
}

TEST_P(FileDataTypesTest, NeverShowsWhatABlockHeldBefore) {
    Partition part(GetParam(), 6 * kMiB, 2);
    const uint64_t block_size = part.fs.block_size();
    const auto number = part.numbers[0];
    // In the middle of a new block, then past the end, so that the rest of the block shows.
    part.data.write(number, block_size + 100, noise(10, 1));
    part.data.write(number, 5 * block_size + 300, noise(10, 2));
    Bytes expected(5 * block_size + 310);
    std::ranges::copy(noise(10, 1), expected.begin() + static_cast<ptrdiff_t>(block_size) + 100);
    std::ranges::copy(noise(10, 2),
                      expected.begin() + static_cast<ptrdiff_t>(5 * block_size) + 300);
    EXPECT_TRUE(part.content(0) == expected);
    part.data.write(number, 0, Bytes(6 * block_size, std::byte{0x77}));
    part.data.resize(number, block_size / 2);
    part.data.resize(number, 6 * block_size);
    expected.assign(6 * block_size, std::byte{});
    std::fill_n(expected.begin(), block_size / 2, std::byte{0x77});
    EXPECT_TRUE(part.content(0) == expected) << "what was cut off came back";
    part.expect_clean();
}

TEST_P(FileDataTypesTest, DiscardsWhatItFrees) {
    Partition part(GetParam(), 6 * kMiB, 1);
    const auto number = part.numbers[0];
    const uint64_t block_size = part.fs.block_size();
    part.data.write(number, 0, noise(20 * block_size, 4));
    auto inode = part.fs.inode(number);
    const auto runs = map_blocks(part.fs, number, inode, 0, 20);
    part.data.resize(number, 0);
    for (const BlockRun& run : runs) {
        Bytes found(run.count * block_size);
        part.device.read(run.physical * block_size, found);
        EXPECT_TRUE(found == Bytes(found.size()));
    }
}

TEST_P(FileDataTypesTest, RefusesFilesThatAreTooLarge) {
    Partition part(GetParam(), 6 * kMiB, 1);
    const auto number = part.numbers[0];
    auto inode = part.fs.inode(number);
    const uint64_t largest = mappable_blocks(part.fs, inode) * part.fs.block_size();
    for (const uint64_t offset : {largest, largest - 3, uint64_t{INT64_MAX}, UINT64_MAX - 2}) {
        try {
            part.data.write(number, offset, noise(10, 1));
            FAIL() << offset;
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), EFBIG) << error.what();
        }
    }
    EXPECT_THROW(part.data.resize(number, largest + 1), std::system_error);
    EXPECT_EQ(part.size(0), 0U);
    part.data.write(number, largest - 10, noise(10, 1));
    Bytes end(20);
    EXPECT_EQ(part.data.read(number, largest - 20, end), 20U);
    EXPECT_TRUE(std::ranges::equal(ByteSpan(end).subspan(10), noise(10, 1)));
    part.expect_clean();
    part.data.resize(number, 0);
    part.expect_clean();
}

TEST(FileDataTest, WritesAContiguousFileInOneRun) {
    Partition part("-t ext4 -b 4096", 64 * kMiB, 1);
    for (uint64_t i = 0; i < 100; ++i) {
        part.data.write(part.numbers[0], i * 20'000, noise(20'000, i));
    }
    auto inode = part.fs.inode(part.numbers[0]);
    EXPECT_LE(map_blocks(part.fs, part.numbers[0], inode, 0, 489).size(), 2U);
    part.expect_clean();
}

TEST(FileDataTest, FillsAllocatedButUnwrittenBlocks) {
    Partition part("-t ext4 -b 1024", 8 * kMiB, 1);
    const auto number = part.numbers[0];
    part.data.resize(number, 100 * 1024);
    auto inode = part.fs.inode(number);
    ExtFilesystem::check(ext2fs_fallocate(part.fs.handle(), EXT2_FALLOCATE_FORCE_UNINIT, number,
                                          reinterpret_cast<ext2_inode*>(&inode), ~0ULL, 0, 100),
                         "fallocate");
    part.fs.write_inode(number, inode);
    part.data.forget(number);
    part.expect_clean();
    EXPECT_TRUE(part.content(0) == Bytes(100 * 1024)) << "unwritten blocks read as zero";
    const uint64_t free = part.free_count();
    Bytes expected(100 * 1024);
    for (const uint64_t offset : {500, 1024, 30'000, 30'700, 50'000, 102'390}) {
        part.data.write(number, offset, Bytes(7, std::byte{1}));
        std::fill_n(expected.begin() + static_cast<ptrdiff_t>(offset), 7, std::byte{1});
        ASSERT_TRUE(part.content(0) == expected) << offset;
    }
    EXPECT_GE(part.free_count() + 1, free) << "nothing but a node of the map was taken";
    part.expect_clean();
}

TEST(FileDataTest, SetsTimesWhenItWrites) {
    Partition part("-t ext4", 8 * kMiB, 1);
    auto inode = part.fs.inode(part.numbers[0]);
    inode.i_mtime = inode.i_ctime = 1;
    part.fs.write_inode(part.numbers[0], inode);
    part.data.write(part.numbers[0], 0, noise(10, 1));
    inode = part.fs.inode(part.numbers[0]);
    EXPECT_GT(inode.i_mtime, 1U);
    EXPECT_GT(inode.i_ctime, 1U);
}

TEST(FileDataTest, IsSafeFromManyThreads) {
    constexpr int kFiles = 4;
    Partition part("-t ext4 -b 1024", 16 * kMiB, kFiles);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            std::mt19937_64 random(static_cast<uint64_t>(thread));
            for (int i = 0; i < 200; ++i) {
                const auto number = part.numbers[random() % kFiles];
                const uint64_t offset = random() % 200 * 1000;
                Bytes bytes(1000, static_cast<std::byte>(offset / 1000 + 1));
                switch (random() % 8) {
                    case 0:
                        part.data.resize(number, offset);
                        break;
                    case 1:
                        part.data.forget(number);
                        break;
                    case 2:
                    case 3:
                    case 4:
                        part.data.write(number, offset, bytes);
                        break;
                    default: {
                        const size_t count = part.data.read(number, offset, bytes);
                        const auto right = [&](std::byte byte) {
                            return byte == std::byte{} ||
                                   byte == static_cast<std::byte>(offset / 1000 + 1);
                        };
                        EXPECT_TRUE(std::ranges::all_of(ByteSpan(bytes).first(count), right));
                    }
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    part.expect_clean();
}

}  // namespace
}  // namespace imgfs
