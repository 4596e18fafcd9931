#include "fs/source/file_source.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "fs/base/error.h"
#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

TEST(FileSourceTest, KeepsTheContract) {
    const TempDir dir;
    const auto content = noise(300'000, 1);
    write_file(dir / "file", content);
    expect_keeps_source_contract(FileSource(dir / "file"), content);
    write_file(dir / "empty", {});
    expect_keeps_source_contract(FileSource(dir / "empty"), {});
}

TEST(FileSourceTest, AFileThatBecomesShorterIsDamageAndSaysWhere) {
    const TempDir dir;
    write_file(dir / "file", noise(5000, 1));
    const FileSource source(dir / "file");
    std::filesystem::resize_file(dir / "file", 2100);
    Bytes out(3000);
    try {
        source.read(1000, out);
        FAIL() << "the missing bytes were not noticed";
    } catch (const std::exception& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN);
        EXPECT_NE(message_of(error).find("file: ends at byte 2,100"), std::string::npos)
            << message_of(error);
    }
}

TEST(FileSourceTest, OnlyFilesAndBlockDevicesAreSources) {
    const TempDir dir;
    EXPECT_THROW(FileSource(dir.path()), std::system_error);
    EXPECT_THROW(FileSource("/dev/null"), std::system_error);
    EXPECT_THROW(FileSource(dir / "none"), std::system_error);
}

}  // namespace
}  // namespace imgfs
