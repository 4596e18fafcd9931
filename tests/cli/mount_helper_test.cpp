#include "cli/mount_helper.h"

#include <gtest/gtest.h>

#include "cli/options.h"

namespace imgfs {
namespace {

using Words = std::vector<std::string>;

TEST(MountHelperTest, FstabOptionsBecomeCommandLineOptions) {
    EXPECT_EQ(mount_helper_words({"web1/sda1", "/mnt", "-o", "ro,delta=/var/d,cache-size=64M"}),
              (Words{"mount", "web1/sda1", "/mnt", "--read-only", "--delta", "/var/d",
                     "--cache-size", "64M"}));
}

TEST(MountHelperTest, WhatIsForMountItselfIsLeftOut) {
    EXPECT_EQ(mount_helper_words({"i", "/m", "-n", "-o",
                                  "rw,noauto,nofail,_netdev,x-systemd.automount", "-t", "imgfs"}),
              (Words{"mount", "i", "/m"}));
}

TEST(MountHelperTest, UnknownOptionsAreRefused) {
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "rescue"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "delta"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "ro=1"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-x"}), UsageError);
}

}  // namespace
}  // namespace imgfs
