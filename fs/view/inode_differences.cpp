#include "fs/view/inode_differences.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/block.h"

namespace imgfs {
namespace {

/// The part of a group's inode table that was ever used.
struct Table {
    uint64_t offset = 0;  ///< on the device
    uint32_t inodes = 0;
};

Table table_of(const ExtFilesystem& fs, uint32_t group) {
    const ext2_filsys handle = fs.handle();
    if (group >= handle->group_desc_count) {
        return {};
    }
    const uint32_t all = EXT2_INODES_PER_GROUP(handle->super);
    uint32_t unused = 0;
    if (ext2fs_has_group_desc_csum(handle) != 0) {
        const bool is_fresh = ext2fs_bg_flags_test(handle, group, EXT2_BG_INODE_UNINIT) != 0;
        unused = is_fresh ? all : std::min(all, ext2fs_bg_itable_unused(handle, group));
    }
    return {ext2fs_inode_table_loc(handle, group) * fs.block_size(), all - unused};
}

bool is_used(const ext2_inode& inode) {
    return inode.i_mode != 0 && inode.i_links_count != 0;
}

class TableScan {
  public:
    explicit TableScan(const ExtStates& states)
        : states_(states), inode_size_(EXT2_INODE_SIZE(states.after.handle()->super)) {
        const auto& before = *states.before.handle()->super;
        const auto& after = *states.after.handle()->super;
        if (states.before.block_size() != states.after.block_size() ||
            EXT2_INODE_SIZE(&before) != inode_size_ ||
            before.s_inodes_per_group != after.s_inodes_per_group) {
            fail(ENOTSUP,
                 "the file system was made anew between the two states (its inode tables have "
                 "another form): they can't be compared file by file");
        }
    }

    std::vector<ext2_ino_t> run(const Progress& progress) {
        const uint32_t groups = std::max(states_.before.handle()->group_desc_count,
                                         states_.after.handle()->group_desc_count);
        const uint64_t table_bytes =
            uint64_t{states_.after.handle()->super->s_inodes_per_group} * inode_size_;
        for (uint32_t group = 0; group < groups; ++group) {
            scan_group(group);
            if (progress) {
                progress((uint64_t{group} + 1) * table_bytes, groups * table_bytes);
            }
        }
        return std::move(found_);
    }

  private:
    /// One group's table in both states.
    struct Tables {
        Table before;
        Table after;
        uint64_t first_number;
    };

    void scan_group(uint32_t group) {
        const Tables tables{
            table_of(states_.before, group), table_of(states_.after, group),
            1 + uint64_t{group} * states_.after.handle()->super->s_inodes_per_group};
        const uint32_t count = std::max(tables.before.inodes, tables.after.inodes);
        if (is_same(tables, 0, count)) {
            return;
        }
        const uint32_t step =
            static_cast<uint32_t>(std::max<uint64_t>(kBlockSize / inode_size_, 1));
        for (uint32_t first = 0; first < count; first += step) {
            const uint32_t some = std::min(step, count - first);
            if (!is_same(tables, first, some)) {
                compare(tables, first, some);
            }
        }
    }

    /// Without reading.
    bool is_same(const Tables& tables, uint32_t first, uint32_t count) const {
        return count == 0 || (tables.before.offset == tables.after.offset &&
                              tables.before.inodes == tables.after.inodes &&
                              states_.same(tables.after.offset + uint64_t{first} * inode_size_,
                                           uint64_t{count} * inode_size_));
    }

    void compare(const Tables& tables, uint32_t first, uint32_t count) {
        const Bytes before = read(states_.before, tables.before, first, count);
        const Bytes after = read(states_.after, tables.after, first, count);
        for (uint32_t i = 0; i < count; ++i) {
            const size_t at = size_t{i} * inode_size_;
            const auto one = ConstByteSpan(before).subspan(at, inode_size_);
            const auto other = ConstByteSpan(after).subspan(at, inode_size_);
            const auto number = static_cast<ext2_ino_t>(tables.first_number + first + i);
            if (is_wanted(number) && text_of(one) != text_of(other) &&
                (is_used(load<ext2_inode>(one, 0)) || is_used(load<ext2_inode>(other, 0)))) {
                found_.push_back(number);
            }
        }
    }

    /// What was never used is zeros.
    Bytes read(const ExtFilesystem& fs, const Table& table, uint32_t first, uint32_t count) const {
        Bytes inodes(size_t{count} * inode_size_);
        const uint32_t inside = std::min(count, table.inodes - std::min(first, table.inodes));
        if (inside != 0) {
            fs.device().read(table.offset + uint64_t{first} * inode_size_,
                             ByteSpan(inodes).first(size_t{inside} * inode_size_));
        }
        return inodes;
    }

    bool is_wanted(ext2_ino_t number) const {
        return number == kRootInode || number >= EXT2_FIRST_INODE(states_.after.handle()->super);
    }

    const ExtStates& states_;
    const size_t inode_size_;
    std::vector<ext2_ino_t> found_;
};

}  // namespace

std::vector<ext2_ino_t> differing_inodes(const ExtStates& states, const Progress& progress) {
    return TableScan(states).run(progress);
}

std::optional<ext2_inode_large> inode_in_use(ExtFilesystem& fs, ext2_ino_t number) {
    const ext2_filsys handle = fs.handle();
    if (number > handle->super->s_inodes_count) {
        return std::nullopt;
    }
    const uint32_t per_group = EXT2_INODES_PER_GROUP(handle->super);
    if ((number - 1) % per_group >= table_of(fs, (number - 1) / per_group).inodes) {
        return std::nullopt;  // never written: there may be anything
    }
    const auto inode = fs.inode(number);
    return inode.i_mode != 0 && inode.i_links_count != 0 ? std::optional(inode) : std::nullopt;
}

}  // namespace imgfs
