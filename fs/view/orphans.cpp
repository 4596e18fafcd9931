#include "fs/view/orphans.h"

#include <cstddef>
#include <ctime>

#include "fs/view/ext_inode.h"

namespace imgfs {

bool Orphans::open(ext2_ino_t number) {
    if (numbers_.contains(number) && !open_counts_.contains(number)) {
        return false;
    }
    ++open_counts_[number];
    return true;
}

bool Orphans::close(ext2_ino_t number) {
    const auto found = open_counts_.find(number);
    if (found == open_counts_.end() || --found->second > 0) {
        return false;
    }
    open_counts_.erase(found);
    return numbers_.contains(number);
}

bool Orphans::add(ext2_ino_t number) {
    numbers_.insert(number);
    return open_counts_.contains(number);
}

void Orphans::hide() {
    hidden_.clear();
    for (const ext2_ino_t number : numbers_) {
        auto inode = fs_.inode(number);
        Hidden hidden{.number = number,
                      .is_directory = LINUX_S_ISDIR(inode.i_mode),
                      .raw = read_raw_inode(fs_, number)};
        if (has_block_map(inode)) {
            hidden.runs = blocks_of(number);
        }
        inode.i_links_count = 0;
        inode.i_dtime = static_cast<uint32_t>(std::time(nullptr));
        fs_.write_inode(number, inode);
        mark(hidden, -1);
        hidden_.push_back(std::move(hidden));
    }
}

void Orphans::show() {
    for (Hidden& hidden : hidden_) {
        mark(hidden, +1);
        write_raw_inode(fs_, hidden.number, hidden.raw);
    }
    hidden_.clear();
}

void Orphans::mark(const Hidden& hidden, int used) {
    for (const Run& run : hidden.runs) {
        ext2fs_block_alloc_stats_range(fs_.handle(), run.first, run.count, used);
    }
    ext2fs_inode_alloc_stats2(fs_.handle(), hidden.number, used, hidden.is_directory ? 1 : 0);
}

std::vector<Orphans::Run> Orphans::blocks_of(ext2_ino_t number) const {
    std::vector<Run> runs;
    const auto add = [](ext2_filsys, blk64_t* block, e2_blkcnt_t, blk64_t, int, void* data) {
        auto& found = *static_cast<std::vector<Run>*>(data);
        if (!found.empty() && found.back().first + found.back().count == *block) {
            ++found.back().count;
        } else {
            found.push_back({*block, 1});
        }
        return 0;
    };
    ExtFilesystem::check(
        ext2fs_block_iterate3(fs_.handle(), number, BLOCK_FLAG_READ_ONLY, nullptr, add, &runs),
        "inode " + std::to_string(number));
    return runs;
}

}  // namespace imgfs
