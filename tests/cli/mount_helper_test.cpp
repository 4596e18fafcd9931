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
    EXPECT_EQ(mount_helper_words({"web1/sda1", "/mnt", "-o", "ro,points"}),
              (Words{"mount", "web1/sda1", "/mnt", "--read-only", "--points"}));
}

TEST(MountHelperTest, WhatIsForMountItselfIsLeftOut) {
    EXPECT_EQ(mount_helper_words({"i", "/m", "-n", "-o",
                                  "rw,noauto,nofail,_netdev,x-systemd.automount", "-t", "imgfs"}),
              (Words{"mount", "i", "/m"}));
}

TEST(MountHelperTest, WhatMountPassesForTheUserOptionIsTaken) {
    EXPECT_EQ(mount_helper_words({"i", "/m", "-o", "rw,noexec,nosuid,nodev,user"}),
              (Words{"mount", "i", "/m", "--noexec"}));
    EXPECT_EQ(mount_helper_words({"i", "/m", "-o", "ro,sync,lazytime,nosuid,nodev,user=anna"}),
              (Words{"mount", "i", "/m", "--read-only"}));
    EXPECT_EQ(mount_helper_words({"i", "/m", "-o",
                                  "async,diratime,nodiratime,strictatime,relatime,group,owner,"
                                  "users,exec,comment=x,X-mount.mkdir"}),
              (Words{"mount", "i", "/m"}));
}

TEST(MountHelperTest, OfContradictingOptionsTheLastCounts) {
    EXPECT_EQ(mount_helper_words({"i", "/m", "-o", "ro,suid,dev,noexec,rw,nosuid,nodev,exec"}),
              (Words{"mount", "i", "/m"}));
    EXPECT_EQ(mount_helper_words({"i", "/m", "-o", "nosuid,nodev,exec,rw,suid,dev,noexec,ro,ro"}),
              (Words{"mount", "i", "/m", "--suid", "--dev", "--noexec", "--read-only"}));
}

TEST(MountHelperTest, UnknownOptionsAreRefused) {
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "rescue"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "delta"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "ro=1"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "remount"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-o", "sync=1"}), UsageError);
    EXPECT_THROW(mount_helper_words({"i", "/m", "-x"}), UsageError);
}

}  // namespace
}  // namespace imgfs
