// Promises 2 and 3 of design.md on a mounted image: the short form of scripts/torture.
#include "tests/support/real_image.h"

namespace imgfs {
namespace {

class CrashMountTest : public RealImageTest {
  protected:
    /// Runs one of the programs of scripts/torture on the image; what it says.
    std::string torture(const std::string& program, const std::string& words) const {
        const auto before = image_hash();
        const auto said =
            in_dir("ASAN_OPTIONS=detect_leaks=0 python3 " TEST_DATA "/../../scripts/" + program +
                   " --imgfs $imgfs --image web1/sda1 --delta delta --work . " + words);
        EXPECT_EQ(image_hash(), before) << "the image is never written (promise 1)";
        return said;
    }
};

TEST_F(CrashMountTest, WhatWasSyncedIsThereAfterEachKillOfTheDaemon) {
    const auto said = torture("torture_mix.py", "--kills 5 --seed 7");
    EXPECT_NE(said.find("5 kills"), std::string::npos) << said;
}

TEST_F(CrashMountTest, APruneIsKilledAtASystemCall) {
    const auto said =
        torture("torture_inject.py", "--what prune --calls fdatasync rename --most 1");
    EXPECT_NE(said.find("prune 2"), std::string::npos) << said;
}

TEST_F(CrashMountTest, WhatADaemonAcknowledgesIsThereWhicheverCallFails) {
    const auto said = torture("torture_inject.py", "--what errors --most-failures 1");
    EXPECT_NE(said.find("errors 4"), std::string::npos) << said;
}

TEST_F(CrashMountTest, OfTwoWritersAtOnceOneIsRefusedOrWaitsItsTurn) {
    const auto said = torture("torture_race.py", "--races 5");
    EXPECT_NE(said.find("5 races"), std::string::npos) << said;
}

}  // namespace
}  // namespace imgfs
