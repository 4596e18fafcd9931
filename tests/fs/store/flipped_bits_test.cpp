// Promise 4 of design.md: of a whole delta with points, maps and packed records any bit may flip.
// IMGFS_BIT_FLIPS is how many do, IMGFS_SEED says which.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <iostream>
#include <map>

#include "fs/base/fd.h"
#include "tests/support/delta_rig.h"
#include "tests/support/long_form.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

// Three points, what a rollback has set aside, and changes after them; maps are kept in files.
class FlippedBitsTest : public testing::Test {
  protected:
    FlippedBitsTest() {
        auto model = image_;
        for (const auto* name : {"one", "two", "three", "four"}) {
            auto opened = open();
            change(*opened.device, model);
            opened.device->seal({.name = name, .note = "a note"});
            states_[name] = model;
        }
        open().store->roll_back("three");
        states_.erase("four");
        model = states_["three"];
        auto opened = open();
        change(*opened.device, model);
        states_[""] = model;
        opened = {};
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            files_.push_back(entry.path());
        }
        std::ranges::sort(files_);
    }

    OpenDelta open() {
        return open_delta({.folder = folder_, .access = DeltaAccess::read_write, .map_pieces = 16},
                          image_);
    }

    void change(CowDevice& device, Bytes& model) {
        for (int commit = 0; commit < 3; ++commit) {
            for (int i = 0; i < 3; ++i) {
                change_at_random(device, model, 4, random_);
            }
            const auto at = random_() % 16 * kBlockSize;
            const Bytes alike(2 * kBlockSize, std::byte{'x'});  // are packed
            device.write(at, alike);
            std::ranges::copy(alike, model.begin() + static_cast<ptrdiff_t>(at));
            device.flush();
        }
    }

    // Flips a bit, and flips it back.
    static void flip(const std::filesystem::path& file, uint64_t offset, unsigned bit) {
        const auto fd = open_file(file, O_RDWR);
        std::array<std::byte, 1> byte{};
        ASSERT_EQ(read_some(fd.get(), offset, byte, "a test"), 1U);
        byte[0] ^= std::byte(1U << bit);
        write_exactly(fd.get(), offset, byte, "a test");
    }

    // True if a state was refused; what is read of it, block by block, is right.
    bool is_refused(const std::string& at, const Bytes& expected) {
        bool refused = false;
        OpenDelta opened;
        const auto try_to = [&](const auto& action) {
            try {
                action();
                return true;
            } catch (const std::system_error& error) {
                EXPECT_EQ(errno_of(error), EUCLEAN) << message_of(error);
                refused = true;
                return false;
            }
        };
        if (!try_to([&] { opened = open_delta({.folder = folder_, .at = at}, image_); })) {
            return true;
        }
        Bytes block(kBlockSize);
        for (uint64_t offset = 0; offset < image_.size(); offset += kBlockSize) {
            block.resize(std::min<uint64_t>(kBlockSize, image_.size() - offset));
            if (try_to([&] { opened.device->read(offset, block); })) {
                EXPECT_TRUE(same(block, ConstByteSpan(expected).subspan(offset, block.size())))
                    << "wrong bytes at " << offset;
            }
        }
        return refused;
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(18 * kBlockSize + 700, 1);
    std::mt19937_64 random_{long_form("IMGFS_SEED", 3)};
    std::map<std::string, Bytes> states_;  // by name of the point; "": now
    std::vector<std::filesystem::path> files_;
};

TEST_F(FlippedBitsTest, NoneGivesWrongBytes) {
    const auto flips = long_form("IMGFS_BIT_FLIPS", 1000);
    uint64_t refused = 0;
    for (uint64_t i = 0; i < flips && !HasFailure(); ++i) {
        const auto& file = files_[random_() % files_.size()];
        if (file.filename() == "lock") {
            continue;
        }
        const auto offset = random_() % std::filesystem::file_size(file);
        const auto bit = static_cast<unsigned>(random_() % 8);
        flip(file, offset, bit);
        bool seen = false;
        for (const auto& [at, expected] : states_) {
            seen = is_refused(at, expected) || seen;
        }
        refused += seen ? 1 : 0;
        flip(file, offset, bit);
        EXPECT_FALSE(HasFailure()) << file << ", bit " << bit << " of byte " << offset;
    }
    EXPECT_GT(refused, flips / 10);
    std::cout << flips << " bits flipped, " << refused << " of them refused\n";
}

}  // namespace
}  // namespace imgfs
