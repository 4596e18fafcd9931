// An ext file system under a delta, and what differs between its states.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "fs/store/delta_states.h"
#include "fs/view/ext_difference.h"
#include "fs/view/ext_view.h"
#include "tests/support/counting_source.h"
#include "tests/support/delta_rig.h"
#include "tests/support/ext_image.h"
#include "tests/support/temp_dir.h"
#include "tests/support/view_listing.h"

namespace imgfs {

/// One line a difference, as imgfs diff shows it: "A /etc/fstab".
inline std::vector<std::string> lines_of(const std::vector<FileDifference>& found) {
    std::vector<std::string> lines;
    for (const auto& file : found) {
        constexpr std::string_view kLetters = "ACDMR";
        lines.push_back(std::string(1, kLetters[static_cast<size_t>(file.kind)]) + " " + file.path +
                        (file.new_path.empty() ? "" : " -> " + file.new_path));
    }
    return lines;
}

class DifferenceFixture : public testing::Test {
  protected:
    using Lines = std::vector<std::string>;

    explicit DifferenceFixture(const ExtImage& image = {.options = "-t ext4 -b 1024"})
        : image_(make_ext_image(image)), opened_(open_delta(folder_, image_)) {
        view_ = make_ext_view(*opened_.device, ViewAccess::read_write);
    }

    InodeNumber make(InodeNumber directory, const std::string& name, uint32_t mode) {
        return view_->make(directory, {.name = name, .mode = mode}).inode;
    }
    InodeNumber directory(const std::string& name) {
        return make(kRootInode, name, S_IFDIR | 0755);
    }
    InodeNumber file(const std::string& name, uint64_t size, InodeNumber in = kRootInode) {
        const auto inode = make(in, name, S_IFREG | 0644);
        view_->write(inode, 0, noise(size, ++seed_));
        return inode;
    }

    void seal(const std::string& point) {
        view_->commit();
        opened_.device->seal({.name = point});
    }

    /// Makes a point "overwritten" of other bytes. The view is gone then.
    void overwrite(const Bytes& partition) {
        view_.reset();
        opened_.device->write(0, partition);
        opened_.device->flush();
        opened_.device->seal({.name = "overwritten"});
    }

    OpenDelta open(const DeltaStore& whole, const std::string& at) {
        OpenDelta opened{whole.at(at), nullptr};
        opened.device = std::make_unique<CowDevice>(
            std::make_unique<CountingSource>(std::make_unique<MemorySource>(image_), bytes_read_),
            *opened.store);
        return opened;
    }

    Lines differences(const std::string& before, const std::string& after) {
        const auto whole = open_delta(folder_, image_, DeltaAccess::read_only);
        const auto one = open(*whole.store, before);
        const auto other = open(*whole.store, after);
        bytes_read_ = 0;
        return lines_of(find_differences({*one.device, *other.device,
                                          [&](uint64_t offset, uint64_t length) {
                                              return same_bytes(*one.store, *other.store, offset,
                                                                length);
                                          }},
                                         {}));
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_;
    OpenDelta opened_;
    std::unique_ptr<View> view_;
    std::atomic<uint64_t> bytes_read_ = 0;
    uint64_t seed_ = 0;
};

}  // namespace imgfs
