#include "sync/filter.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgsync {
namespace {

constexpr const char* kMakeTree =
    "mkdir -p t/foo/bar/foo t/a/foo t/a/b/c t/foobar t/x.d t/deep/a/b; cd t; "
    "touch foo/bar/foo/f foo/one.o a/foo/two.o a/b/c/three.o a/b/bar foobar/baz x.d/y "
    "'a/star*' 'a/back\\slash' a/starry one.o 'a/[x]' a/x deep/a/b/c deep/foo deep/bar";

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t at = 0; at < text.size();) {
        const auto end = text.find('\n', at);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

class FilterTest : public ::testing::TestWithParam<const char*> {};

/// What our filter leaves of the tree, not going into what it excludes.
std::set<std::string> left_by_filter(const std::string& found, const Filter& filter) {
    std::set<std::string> left;
    for (const auto& line : lines_of(found)) {
        const bool is_directory = line[0] == 'd';
        const auto path = line.substr(2);
        const auto slash = path.rfind('/');
        const bool parent_left = slash == std::string::npos || left.contains(path.substr(0, slash));
        if (parent_left && !filter.excludes(path, is_directory)) {
            left.insert(path);
        }
    }
    return left;
}

TEST_P(FilterTest, LeavesOutWhatRsyncLeavesOut) {
    const imgfs::TempDir directory;
    const auto cd = "cd " + imgfs::shell_quoted(directory.path().string()) + " && ";
    imgfs::run(cd + kMakeTree);
    const std::string pattern = GetParam();
    imgfs::run(cd + "rsync -a --exclude=" + imgfs::shell_quoted(pattern) + " t/ u/");
    const auto listed = lines_of(imgfs::run(cd + "find u -mindepth 1 -printf '%P\\n'"));
    const auto found = imgfs::run(cd + "find t -mindepth 1 -printf '%y %P\\n'");
    EXPECT_EQ(left_by_filter(found, Filter({pattern})),
              std::set<std::string>(listed.begin(), listed.end()));
}

INSTANTIATE_TEST_SUITE_P(Patterns, FilterTest,
                         ::testing::Values("foo", "/foo", "foo/", "/foo/", "*.o", "/*.o", "foo/bar",
                                           "/foo/bar", "foo/*", "/foo/*", "/a/*", "a/*/c", "a/**",
                                           "**/foo", "/**/foo", "**", "*", "foo/**", "fo?",
                                           "f[no]o", "f[!n]o", "f[^o]o", "a/**/c", "foo**",
                                           "/a/***", "foo/***", "[[:alpha:]].d", "star\\*", "star*",
                                           "back\\slash", "\\[x]", "[x]", "x", "a/b", "/b",
                                           "bar/foo/", "b**", "deep/**/c", "?ne.o", "[a-c]", "[",
                                           "[a", "a/[!]]", "*/foo", "/*/foo", "deep/***", "**r"));

TEST(PatternTest, TakesNoLongTimeForAnyPattern) {
    std::string pattern;
    for (int times = 0; times < 500; ++times) {
        pattern += "*a**";
    }
    const Pattern hostile(pattern + "b");
    EXPECT_FALSE(hostile.matches(std::string(1000, 'a'), false));
}

}  // namespace
}  // namespace imgsync
