#include "tests/support/ext_image.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

Bytes make_ext_image(const ExtImage& image) {
    const TempDir folder;
    const std::string path = folder / "partition";
    std::ofstream(path).close();
    std::filesystem::resize_file(path, image.size);
    run("mke2fs -q -F " + image.options + (image.tree.empty() ? "" : " -d " + image.tree) + " " +
        path);
    Bytes bytes(image.size);
    std::ifstream(path, std::ios::binary)
        .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

void expect_e2fsck_clean(ConstByteSpan partition) {
    const TempDir folder;
    write_file(folder / "partition", partition);
    const auto checked = shell("e2fsck -fn " + (folder / "partition").string());
    EXPECT_EQ(checked.status, 0) << checked.output;
}

std::string debugfs(ConstByteSpan partition, const std::string& request) {
    const TempDir folder;
    write_file(folder / "partition", partition);
    return run("debugfs -R " + shell_quoted(request) + " " + (folder / "partition").string() +
               " 2>/dev/null");
}

}  // namespace imgfs
