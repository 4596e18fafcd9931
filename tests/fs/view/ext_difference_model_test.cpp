// Random operations between two points, and what differs compared with a walk through both trees.
#include <map>
#include <set>
#include <tuple>

#include "tests/fs/view/difference_fixture.h"
#include "tests/fs/view/view_model.h"

namespace imgfs {
namespace {

/// What a file is, whatever its name: inode number, generation and type.
using Identity = std::tuple<InodeNumber, uint32_t, uint32_t>;

struct Found {
    Identity identity;
    Identity directory;
    std::string name;
    Attributes attributes;
    Bytes content;
    std::map<std::string, Bytes> xattrs;

    bool operator==(const Found& other) const {
        return identity == other.identity && directory == other.directory && name == other.name;
    }
};

using Tree = std::map<std::string, Found>;  // by path

Identity identity_of(const Attributes& file) {
    return {file.inode, file.generation, file.mode & S_IFMT};
}

void walk(View& view, const Attributes& directory, const std::string& path, Tree& tree) {
    for (const auto& entry : view.entries(directory.inode)) {
        if (entry.name == "." || entry.name == "..") {
            continue;
        }
        Found found{.name = entry.name, .attributes = view.attributes(entry.inode)};
        found.identity = identity_of(found.attributes);
        found.directory = identity_of(directory);
        if (S_ISREG(found.attributes.mode)) {
            found.content = content_of(view, entry.inode);
        } else if (S_ISLNK(found.attributes.mode)) {
            const auto target = view.link_target(entry.inode);
            found.content.assign(bytes_of(target).begin(), bytes_of(target).end());
        }
        for (const auto& name : view.xattr_names(entry.inode)) {
            found.xattrs[name] = view.xattr(entry.inode, name).value();
        }
        if (S_ISDIR(found.attributes.mode)) {
            walk(view, found.attributes, path + "/" + entry.name, tree);
        }
        tree.emplace(path + "/" + entry.name, std::move(found));
    }
}

std::pair<time_t, long> pair_of(const timespec& time) {
    return {time.tv_sec, time.tv_nsec};
}

auto metadata_of(const Found& file, bool renamed) {
    const auto& all = file.attributes;
    const bool directory = S_ISDIR(all.mode);
    using Time = std::pair<time_t, long>;
    return std::tuple(all.mode, all.uid, all.gid, file.xattrs, directory ? 0 : all.links,
                      directory ? Time() : pair_of(all.modified),
                      directory || renamed ? Time() : pair_of(all.changed));
}

/// The expected lines, file by file.
class Expected {
  public:
    Expected(const Tree& before, const Tree& after) : before_(before), after_(after) {
        std::map<Identity, std::pair<Paths, Paths>> files;
        for (const auto& [path, file] : before) {
            files[file.identity].first.push_back(path);
        }
        for (const auto& [path, file] : after) {
            files[file.identity].second.push_back(path);
        }
        for (auto& [identity, paths] : files) {
            compare(paths.first, paths.second);
        }
        for (const auto& path : gone_) {
            const bool replaced =
                come_.contains(path) && (before.at(path).attributes.mode & S_IFMT) ==
                                            (after.at(path).attributes.mode & S_IFMT);
            if (!replaced) {
                lines.insert("D " + path);
            } else {
                show(path, path, false);
                come_.erase(path);
            }
        }
        for (const auto& path : come_) {
            lines.insert("A " + path);
        }
    }

    std::set<std::string> lines;

  private:
    using Paths = std::vector<std::string>;

    void compare(Paths& before, Paths& after) {
        Paths kept_before;
        Paths kept_after;
        const auto keep = [&](auto is_kept) {
            for (const auto& old : Paths(before)) {
                const auto now = std::ranges::find_if(
                    after, [&](const std::string& path) { return is_kept(old, path); });
                if (now != after.end()) {
                    kept_before.push_back(old);
                    kept_after.push_back(*now);
                    after.erase(now);
                    std::erase(before, old);
                }
            }
        };
        keep([&](const auto& old, const auto& now) { return before_.at(old) == after_.at(now); });
        keep([](const auto& old, const auto& now) { return old == now; });
        const auto renamed = std::min(before.size(), after.size());
        for (size_t i = 0; i < renamed; ++i) {
            lines.insert("R " + before[i] + " -> " + after[i]);
            show(before[i], after[i], true);
        }
        for (size_t i = 0; i < kept_before.size(); ++i) {
            show(kept_before[i], kept_after[i], renamed != 0);
        }
        gone_.insert(before.begin() + static_cast<ptrdiff_t>(renamed), before.end());
        come_.insert(after.begin() + static_cast<ptrdiff_t>(renamed), after.end());
    }

    void show(const std::string& old, const std::string& now, bool renamed) {
        const auto& one = before_.at(old);
        const auto& other = after_.at(now);
        if (text_of(one.content) != text_of(other.content)) {
            lines.insert("C " + now);
        } else if (metadata_of(one, renamed) != metadata_of(other, renamed)) {
            lines.insert("M " + now);
        }
    }

    const Tree& before_;
    const Tree& after_;
    std::set<std::string> gone_;
    std::set<std::string> come_;
};

class ExtDifferenceModelTest : public DifferenceFixture,
                               public testing::WithParamInterface<const char*> {
  protected:
    ExtDifferenceModelTest()
        : DifferenceFixture({.options = GetParam(), .size = 32 * kMiB}),
          model_(*view_, std::hash<std::string>{}(GetParam())) {}

    Tree change_and_seal(const std::string& point, int steps) {
        for (int i = 0; i < steps; ++i) {
            model_.step();
        }
        seal(point);
        Tree tree;
        walk(*view_, view_->attributes(kRootInode), "", tree);
        return tree;
    }

    Model model_;
};

INSTANTIATE_TEST_SUITE_P(Types, ExtDifferenceModelTest,
                         testing::Values("-t ext2 -b 1024 -I 256", "-t ext4 -b 1024",
                                         "-t ext4 -b 4096",
                                         "-t ext4 -b 2048 -O ^metadata_csum,^64bit,uninit_bg"));

TEST_P(ExtDifferenceModelTest, AgreesWithAWalkThroughBothTrees) {
    std::vector<Tree> trees;
    size_t found = 0;
    for (const int steps : {300, 30, 300, 1}) {
        trees.push_back(change_and_seal(std::to_string(trees.size()), steps));
    }
    for (size_t one = 0; one < trees.size(); ++one) {
        for (size_t other = 0; other < trees.size(); ++other) {
            const auto lines = differences(std::to_string(one), std::to_string(other));
            const auto expected = Expected(trees[one], trees[other]).lines;
            std::set<std::string> more(lines.begin(), lines.end());
            EXPECT_EQ(more.size(), lines.size());
            found += lines.size();
            for (const auto& line : expected) {
                // Blocks of zeros instead of a hole aren't told from others.
                if (more.erase(line) == 0 &&
                    (line[0] != 'M' || more.erase("C" + line.substr(1)) == 0)) {
                    ADD_FAILURE() << "missing from " << one << " to " << other << ": " << line;
                }
            }
            EXPECT_EQ(more, std::set<std::string>()) << "from " << one << " to " << other;
        }
    }
    EXPECT_GT(found, 200U);
}

}  // namespace
}  // namespace imgfs
