#include "tests/support/view_listing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <sstream>

#include "fs/base/error.h"
#include "tests/support/shell.h"

namespace imgfs {
namespace {

char letter_of(uint32_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return 'f';
        case S_IFDIR:
            return 'd';
        case S_IFLNK:
            return 'l';
        case S_IFIFO:
            return 'p';
        case S_IFSOCK:
            return 's';
        case S_IFCHR:
            return 'c';
        default:
            return 'b';
    }
}

void add_lines(View& view, InodeNumber directory, const std::string& prefix,
               std::vector<std::string>& lines) {
    for (const DirectoryEntry& entry : view.entries(directory)) {
        if (entry.name == "." || entry.name == ".." || entry.name == "lost+found") {
            continue;
        }
        const Attributes found = view.lookup(directory, entry.name).value();
        const std::string path = prefix + entry.name;
        const bool is_link = S_ISLNK(found.mode);
        std::ostringstream line;
        line << path << " : " << letter_of(found.mode) << ' ' << std::oct << (found.mode & 07777)
             << std::dec << ' ' << found.uid << ' ' << found.gid << ' ' << found.links << ' '
             << (S_ISDIR(found.mode) ? 0 : found.size) << ' ' << found.modified.tv_sec << " -> "
             << (is_link ? view.link_target(found.inode) : "");
        lines.push_back(line.str());
        if (S_ISDIR(found.mode)) {
            add_lines(view, found.inode, path + "/", lines);
        }
    }
}

std::string joined(std::vector<std::string> lines) {
    std::ranges::sort(lines);
    std::string text;
    for (const std::string& line : lines) {
        text += line + "\n";
    }
    return text;
}

}  // namespace

std::string listing_of(View& view) {
    std::vector<std::string> lines;
    add_lines(view, kRootInode, "", lines);
    return joined(lines);
}

std::string listing_of(const std::string& directory) {
    std::istringstream found(run("cd " + shell_quoted(directory) +
                                 " && find . -mindepth 1 -printf '%P : %y %m %U %G %n %s %Ts -> "
                                 "%l\\n' | sed -E 's/( : d .*) [0-9]+ ([0-9-]+ ->)/\\1 0 \\2/'"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(found, line);) {
        lines.push_back(line);
    }
    return joined(lines);
}

void expect_same_lines(const std::string& actual, const std::string& expected) {
    const auto lines_of = [](const std::string& text) {
        std::multiset<std::string> lines;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) {
            lines.insert(line);
        }
        return lines;
    };
    const auto is = lines_of(actual);
    const auto should_be = lines_of(expected);
    std::vector<std::string> more;
    std::vector<std::string> missing;
    std::ranges::set_difference(is, should_be, std::back_inserter(more));
    std::ranges::set_difference(should_be, is, std::back_inserter(missing));
    EXPECT_EQ(more, missing);
}

InodeNumber inode_at(View& view, const std::string& path) {
    InodeNumber inode = kRootInode;
    std::istringstream names(path);
    for (std::string name; std::getline(names, name, '/');) {
        const auto found = view.lookup(inode, name);
        if (!found) {
            fail(ENOENT, path);
        }
        inode = found->inode;
    }
    return inode;
}

Bytes content_of(View& view, InodeNumber inode) {
    Bytes content(view.attributes(inode).size);
    content.resize(view.read(inode, 0, content));
    return content;
}

}  // namespace imgfs
