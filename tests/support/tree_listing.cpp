#include "tests/support/tree_listing.h"

#include <gtest/gtest.h>

#include "tests/support/shell.h"

namespace imgfs {
namespace {

constexpr const char* kLister = R"(
import hashlib, os, stat, sys
root = os.fsencode(sys.argv[1])
first = {}
def line(path, name):
    s = os.lstat(path)
    mode = s.st_mode
    fields = [name, oct(mode), s.st_uid, s.st_gid, s.st_mtime_ns]
    if stat.S_ISREG(mode):
        with open(path, 'rb') as f:
            fields += [s.st_size, hashlib.sha256(f.read()).hexdigest()]
    if stat.S_ISLNK(mode):
        fields.append(os.readlink(path))
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        fields.append(s.st_rdev)
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        fields += [key, os.getxattr(path, key, follow_symlinks=False)]
    if not stat.S_ISDIR(mode):
        fields.append(first.setdefault((s.st_dev, s.st_ino), name))
    print(*map(repr, fields))
line(root, b'.')
for folder, folders, files in os.walk(root):
    folders.sort()
    for name in sorted(folders + files):
        path = os.path.join(folder, name)
        line(path, os.path.relpath(path, root))
)";

}  // namespace

std::string tree_listing(const std::filesystem::path& root) {
    return run("python3 -c " + shell_quoted(kLister) + " " + shell_quoted(root.string()));
}

void expect_equal_trees(const std::filesystem::path& source, const std::filesystem::path& target) {
    EXPECT_EQ(tree_listing(source), tree_listing(target));
    EXPECT_EQ(run("rsync -aHAXSn --numeric-ids --delete -i --checksum " +
                  shell_quoted(source.string() + "/") + " " + shell_quoted(target.string() + "/")),
              "");
}

}  // namespace imgfs
