// All that makes a tree of files, as text to compare: read without the project's own code.
#pragma once

#include <filesystem>
#include <string>

namespace imgfs {

/// A line for each name, sorted: kind, mode, owners, mtime in ns, size, content hash, symlink
/// target, device, xattrs with ACLs, and the first of the names it is hard-linked with.
std::string tree_listing(const std::filesystem::path& root);

/// Fails the test unless rsync -aHAXS --checksum --delete finds nothing to do from `source` to
/// `target`, and their listings are equal.
void expect_equal_trees(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace imgfs
