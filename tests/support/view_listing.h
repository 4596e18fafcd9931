// The whole tree of a View as text, and walking it by paths.
#pragma once

#include <string>

#include "fs/view/view.h"

namespace imgfs {

/// One line an entry, sorted by path, as `find -mindepth 1 -printf '%y %m %U %G %n %s %T@ %P ->
/// %l\n'` prints it, but for the size of directories (0) and the fraction of the time.
std::string listing_of(View& view);

/// The same lines for a real directory.
std::string listing_of(const std::string& directory);

/// A test failure that shows the lines which differ.
void expect_same_lines(const std::string& actual, const std::string& expected);

/// ENOENT if there is none.
InodeNumber inode_at(View& view, const std::string& path);

Bytes content_of(View& view, InodeNumber inode);

}  // namespace imgfs
