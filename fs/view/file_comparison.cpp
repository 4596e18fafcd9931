#include "fs/view/file_comparison.h"

#include <algorithm>

#include "fs/view/block_map.h"
#include "fs/view/ext_inode.h"
#include "fs/view/ext_time.h"
#include "fs/view/ext_xattr.h"

namespace imgfs {
namespace {

constexpr uint64_t kReadSize = 64 * kKiB;
constexpr uint32_t kKeptFlags = EXT2_FL_USER_MODIFIABLE & ~EXT4_EXTENTS_FL;  // as chattr sets them

/// Where its data lies: without holes and blocks that read as zero, neighbours as one run.
std::vector<BlockRun> data_runs(ExtFilesystem& fs, FoundInode file) {
    const uint64_t count = round_up(size_of(file.inode), fs.block_size()) / fs.block_size();
    std::vector<BlockRun> runs;
    for (const auto& run : map_blocks(fs, file.number, file.inode, 0, count)) {
        if (run.physical == 0 || run.unwritten) {
            continue;
        }
        if (!runs.empty() && runs.back().end() == run.logical &&
            runs.back().physical + runs.back().count == run.physical) {
            runs.back().count += run.count;
        } else {
            runs.push_back(run);
        }
    }
    return runs;
}

bool same_bytes_read(const ExtStates& states, uint64_t offset, uint64_t length) {
    Bytes before(length);
    Bytes after(length);
    states.before.device().read(offset, before);
    states.after.device().read(offset, after);
    return text_of(before) == text_of(after);
}

bool same_range(const ExtStates& states, uint64_t offset, uint64_t length) {
    if (states.same(offset, length)) {
        return true;
    }
    for (uint64_t done = 0; done < length; done += kReadSize) {
        const uint64_t some = std::min(kReadSize, length - done);
        if (!states.same(offset + done, some) && !same_bytes_read(states, offset + done, some)) {
            return false;
        }
    }
    return true;
}

bool same_blocks(const ExtStates& states, const FilePair& files) {
    const auto runs = data_runs(states.after, files.after);
    if (runs != data_runs(states.before, files.before)) {
        return false;
    }
    const uint64_t block = states.after.block_size();
    const uint64_t size = size_of(files.after.inode);
    return std::ranges::all_of(runs, [&](const BlockRun& run) {
        const uint64_t length = std::min(run.count * block, size - run.logical * block);
        return same_range(states, run.physical * block, length);
    });
}

bool same_time(const timespec& left, const timespec& right) {
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

bool same_links_and_times(const FilePair& files, NameChange change) {
    const auto& before = files.before.inode;
    const auto& after = files.after.inode;
    return before.i_links_count == after.i_links_count &&
           same_time(modified(before), modified(after)) &&
           (change == NameChange::renamed || same_time(changed(before), changed(after)));
}

bool same_xattrs(const ExtStates& states, const FilePair& files) {
    const XattrSet before(states.before, files.before.number);
    const XattrSet after(states.after, files.after.number);
    const auto names = before.names();
    return names.size() == after.names().size() &&
           std::ranges::all_of(names, [&](const std::string& text) {
               const auto name = xattr_name_of(text);
               const Bytes* const now = name ? after.find(*name) : nullptr;
               return now != nullptr && text_of(*now) == text_of(*before.find(*name));
           });
}

}  // namespace

bool same_content(const ExtStates& states, const FilePair& files) {
    const auto& before = files.before.inode;
    const auto& after = files.after.inode;
    if ((before.i_mode & LINUX_S_IFMT) != (after.i_mode & LINUX_S_IFMT)) {
        return false;
    }
    if (LINUX_S_ISDIR(after.i_mode)) {
        return true;
    }
    if (size_of(before) != size_of(after) || has_block_map(before) != has_block_map(after)) {
        return false;
    }
    return has_block_map(after) ? same_blocks(states, files)
                                : std::ranges::equal(before.i_block, after.i_block);
}

bool is_untouched(const ExtStates& states, ext2_ino_t number) {
    const uint64_t block = states.after.block_size();
    return std::ranges::all_of(
        data_runs(states.after, {number, states.after.inode(number)}),
        [&](const BlockRun& run) { return states.same(run.physical * block, run.count * block); });
}

bool same_metadata(const ExtStates& states, const FilePair& files, NameChange change) {
    const auto& before = files.before.inode;
    const auto& after = files.after.inode;
    return before.i_mode == after.i_mode && uid_of(before) == uid_of(after) &&
           gid_of(before) == gid_of(after) &&
           (before.i_flags & kKeptFlags) == (after.i_flags & kKeptFlags) &&
           (LINUX_S_ISDIR(after.i_mode) || same_links_and_times(files, change)) &&
           same_xattrs(states, files);
}

}  // namespace imgfs
