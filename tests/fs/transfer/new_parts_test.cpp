#include "fs/transfer/new_parts.h"

#include <gtest/gtest.h>

#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

class NewPartsTest : public testing::Test {
  protected:
    std::string names() const { return run("cd " + dir_.path().string() + " && ls -A"); }
    std::string joined() const { return run("cd " + dir_.path().string() + " && cat image.*"); }

    TempDir dir_{memory_directory()};
    std::filesystem::path path_ = dir_ / "image";
};

TEST_F(NewPartsTest, NothingHasItsNameBeforeAllIsThere) {
    NewParts parts(path_, 10);
    parts.write(to_bytes("0123456789abcdefghijklm"));
    EXPECT_EQ(run("cd " + dir_.path().string() + " && ls"), "");
    EXPECT_EQ(parts.publish(),
              (std::vector{dir_ / "image.aa", dir_ / "image.ab", dir_ / "image.ac"}));
    EXPECT_EQ(names(), "image.aa\nimage.ab\nimage.ac\n");
    EXPECT_EQ(joined(), "0123456789abcdefghijklm");
    EXPECT_EQ(parts.size(), 23);
}

TEST_F(NewPartsTest, APartThatIsFullIsTheLastIfNothingFollows) {
    NewParts parts(path_, 4);
    parts.write(to_bytes("0123"));
    parts.write(to_bytes("4567"));
    parts.publish();
    EXPECT_EQ(names(), "image.aa\nimage.ab\n");
}

TEST_F(NewPartsTest, WhatIsGivenUpLeavesNothing) {
    {
        NewParts parts(path_, 4);
        parts.write(to_bytes("0123456789"));
        EXPECT_NE(names(), "");
    }
    EXPECT_EQ(names(), "");
}

TEST_F(NewPartsTest, AFileOfThatNameIsReplacedWhole) {
    for (const auto* content : {"old", "new one"}) {
        NewParts one(path_, 0);
        one.write(to_bytes(content));
        one.publish();
        EXPECT_EQ(names(), "image\n");
        EXPECT_EQ(files_of_name(path_), std::vector{path_});
    }
}

TEST_F(NewPartsTest, OtherFilesAreLeftAlone) {
    run("cd " + dir_.path().string() + " && touch image.gz image.zst image2.aa imag image.aa.txt");
    EXPECT_TRUE(files_of_name(path_).empty());
    NewParts parts(path_, 0);
    parts.publish();
    EXPECT_EQ(names(), "imag\nimage\nimage.aa.txt\nimage.gz\nimage.zst\nimage2.aa\n");
}

TEST_F(NewPartsTest, ManyPartsHaveLongerNames) {
    NewParts parts(path_, 1);
    parts.write(Bytes(26 * 26 + 1));
    const auto made = parts.publish();
    EXPECT_EQ(made.front(), dir_ / "image.aaa");
    EXPECT_EQ(made.back(), dir_ / "image.baa");
}

TEST_F(NewPartsTest, AFolderThatIsNotThereIsSaid) {
    EXPECT_EQ(error_of([&] { files_of_name(dir_ / "none/image"); }), ENOENT);
    EXPECT_EQ(error_of([&] { NewParts(dir_ / "none/image", 0); }), ENOENT);
}

}  // namespace
}  // namespace imgfs
