// A real image for system tests: mke2fs, partclone, pigz and split, as Clonezilla runs them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

/// Each test has its own copy of one image of a small tree: web1/sda1.ext4-ptcl-img.gz.aa … in
/// dir().
class RealImageTest : public testing::Test {
  protected:
    RealImageTest();
    ~RealImageTest() override;

    /// Runs `command` in dir(), with $imgfs and $imgsync being the programs, and `kill_daemon`
    /// killing that of `mnt` and waiting until no dead mount is left; a failure unless it exits
    /// with 0.
    std::string in_dir(const std::string& command) const;
    /// The same, whatever the exit status.
    ShellResult try_in_dir(const std::string& command) const;

    /// The image's sha256, over all parts: must never change.
    std::string image_hash() const;

    /// Restores to `disk`, and e2fsck finds nothing wrong with it.
    void expect_restores_clean() const;

    const TempDir& dir() const { return dir_; }

  private:
    TempDir dir_;
};

/// With mke2fs options; of the content of `tree`, in `folder` as sda1.ext4-ptcl-img.gz.aa ….
void make_real_image(const std::string& tree, const std::string& folder,
                     const std::string& options);

/// A small tree with everything that a file system can hold.
void make_real_tree(const std::string& tree);

}  // namespace imgfs
