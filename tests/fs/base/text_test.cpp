#include "fs/base/text.h"

#include <gtest/gtest.h>

#include <system_error>

namespace imgfs {
namespace {

TEST(TextTest, SizesAreReadAsPeopleWriteThem) {
    EXPECT_EQ(parse_size("0"), 0u);
    EXPECT_EQ(parse_size("10485760"), 10485760u);
    EXPECT_EQ(parse_size("4k"), 4096u);
    EXPECT_EQ(parse_size("256M"), 256u << 20);
    EXPECT_EQ(parse_size("1GiB"), 1u << 30);
    for (const auto* bad : {"", "M", "-1", "4q", "1.5G", "99999999999999999999", "99999999999G"}) {
        EXPECT_THROW(parse_size(bad), std::system_error) << bad;
    }
}

TEST(TextTest, SizesAndCountsAreShownShort) {
    EXPECT_EQ(format_size(812), "812 B");
    EXPECT_EQ(format_size(4ULL << 30), "4.0 GiB");
    EXPECT_EQ(format_count(7), "7");
    EXPECT_EQ(format_count(41203), "41,203");
    EXPECT_EQ(format_count(123456), "123,456");
}

TEST(TextTest, NamesCannotReachTheTerminalAsControls) {
    EXPECT_EQ(printable("Grüße 日本"), "Grüße 日本");
    EXPECT_EQ(printable("it's"), "it's");
    EXPECT_EQ(printable("a\nb"), "$'a\\x0ab'");
    EXPECT_EQ(printable("\x1b[2J'"), "$'\\x1b[2J\\''");
    EXPECT_EQ(printable("\xff\xc2\x9b"), "$'\\xff\\xc2\\x9b'");
}

TEST(TextTest, TimesAreUtcForMachines) {
    EXPECT_EQ(format_utc(std::chrono::system_clock::from_time_t(0)), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace imgfs
