// Directories as the kernel leaves them: with a hash index, whose root keeps the bytes of the tail
// that the block had before.
#include <gtest/gtest.h>

#include "fs/base/fd.h"
#include "fs/view/ext_view.h"
#include "fs/view/path.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr int kFiles = 400;

/// An ext4 partition in which the kernel itself has made a directory of many names.
Bytes partition_used_by_the_kernel() {
    const TempDir dir;
    write_file(dir / "image", make_ext_image({.options = "-t ext4 -b 1024", .tree = ""}));
    std::filesystem::create_directory(dir / "mnt");
    run("cd " + dir.path().string() +
        " && mount -o loop image mnt && mkdir mnt/etc && for i in $(seq " + std::to_string(kFiles) +
        "); do echo $i > mnt/etc/file$i.conf; done; umount mnt");
    return read_file(dir / "image", kGiB);
}

TEST(KernelHtreeTest, IsReadAndChangedAndStaysClean) {
    MemoryDevice device(partition_used_by_the_kernel());
    ASSERT_NE(debugfs(device.committed(), "htree_dump /etc").find("Root node"), std::string::npos);
    {
        const auto view = make_ext_view(device, ViewAccess::read_write);
        const auto etc = resolve_path(*view, "/etc", LastLink::keep);
        ASSERT_TRUE(etc);
        EXPECT_EQ(view->entries(etc->inode).size(), kFiles + 2u);
        EXPECT_TRUE(view->lookup(etc->inode, "file399.conf"));
        // Removing and renaming keep the index; so does another parent.
        for (int i = 1; i <= 100; ++i) {
            view->unlink(etc->inode, "file" + std::to_string(i) + ".conf");
        }
        const auto other = view->make(kRootInode, {.name = "other", .mode = S_IFDIR | 0755});
        view->rename(kRootInode, "etc", other.inode, "etc", RenameMode::replace);
        view->commit();
        expect_e2fsck_clean(device.committed());
        // Inserting drops it.
        for (int i = 0; i < 300; ++i) {
            view->make(etc->inode, {.name = "new" + std::to_string(i), .mode = S_IFREG | 0644});
        }
        view->commit();
    }
    expect_e2fsck_clean(device.committed());
    MemoryDevice again(device.committed());
    const auto view = make_ext_view(again, ViewAccess::read_only);
    const auto etc = resolve_path(*view, "/other/../other/etc", LastLink::keep);
    ASSERT_TRUE(etc);
    EXPECT_EQ(view->entries(etc->inode).size(), kFiles - 100 + 300 + 2u);
}

}  // namespace
}  // namespace imgfs
