// A directory with a hash index (htree) is read like any other: its index hides in records that
// look unused. The index is dropped when a name is inserted, which e2fsck and the kernel accept,
// since a leaf that has to be split would need all of the index's upkeep; removing and renaming
// leave it as it is.
#include "fs/view/ext_directory.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/view/block_map.h"
#include "fs/view/ext_inode.h"

namespace imgfs {
namespace {

constexpr uint64_t kSizeLimit = 4 * kGiB;

std::string name_of(ext2_ino_t directory) {
    return "directory inode " + std::to_string(directory);
}

ext2_dir_entry* records(ByteSpan bytes) {
    return reinterpret_cast<ext2_dir_entry*>(bytes.data());
}

size_t is_directory(const NameTarget& target) {
    return target.type == EXT2_FT_DIR ? 1 : 0;
}

}  // namespace

Directories::Directories(ExtFilesystem& fs, size_t entry_limit)
    : fs_(fs),
      entry_limit_(entry_limit),
      format_{.block_size = fs.block_size(),
              .has_checksums = ext2fs_has_feature_metadata_csum(fs.handle()->super) != 0,
              .has_types = ext2fs_has_feature_filetype(fs.handle()->super) != 0} {}

std::optional<NameTarget> Directories::find(ext2_ino_t directory, std::string_view name) {
    const Cached& names = cached(directory);
    const auto found = names.names.find(name);
    if (found == names.names.end()) {
        return std::nullopt;
    }
    return found->second.target;
}

std::vector<DirectoryEntry> Directories::list(ext2_ino_t directory) {
    const Cached& names = cached(directory);
    std::vector<DirectoryEntry> entries{{directory, S_IFDIR, "."}, {names.parent, S_IFDIR, ".."}};
    entries.reserve(names.names.size() + 2);
    for (const auto& [name, place] : names.names) {
        entries.push_back({place.target.inode, mode_of(place.target.type), name});
    }
    std::sort(entries.begin() + 2, entries.end(), [](const auto& left, const auto& right) {
        return std::tie(left.inode, left.name) < std::tie(right.inode, right.name);
    });
    return entries;
}

bool Directories::empty(ext2_ino_t directory) {
    return cached(directory).names.empty();
}

size_t Directories::subdirectories(ext2_ino_t directory) {
    return cached(directory).subdirectories;
}

ext2_ino_t Directories::parent(ext2_ino_t directory) {
    return cached(directory).parent;
}

uint64_t Directories::blocks_to_insert(ext2_ino_t directory, std::string_view name) {
    const Cached& names = cached(directory);
    constexpr uint64_t kBlocksOfTheMap = 4;
    // With an index, what its blocks have room for isn't known before it is dropped.
    return !names.indexed && block_with_room(names, name) ? 0 : 1 + kBlocksOfTheMap;
}

void Directories::insert(ext2_ino_t directory, std::string_view name, NameTarget target) {
    Cached& names = cached(directory);
    target.type = format_.has_types ? target.type : EXT2_FT_UNKNOWN;
    if (names.indexed) {
        drop_index(names);
    }
    auto number = block_with_room(names, name);
    if (!number) {
        number = append_block(names);
    }
    Bytes bytes = read_block(names, *number);
    DirectoryBlock block(bytes, format_);
    if (!block.insert({.inode = target.inode, .type = target.type, .name = name})) {
        fail(EUCLEAN, name_of(directory) + ": no room in block " + std::to_string(*number));
    }
    write_block(names, *number, bytes);
    names.rooms[*number] = static_cast<uint32_t>(block.room());
    names.names.emplace(name, Place{target, *number});
    names.subdirectories += is_directory(target);
    ++entries_;
}

void Directories::remove(ext2_ino_t directory, std::string_view name) {
    Cached& names = cached(directory);
    const auto place = names.names.find(name);
    const uint32_t number = place->second.block;
    Bytes bytes = read_block(names, number);
    DirectoryBlock block(bytes, format_);
    const auto record = block.find(name);
    if (!record) {
        fail(EUCLEAN,
             name_of(directory) + " is not what it was in block " + std::to_string(number));
    }
    block.remove(*record);
    write_block(names, number, bytes);
    names.rooms[number] = static_cast<uint32_t>(block.room());
    names.subdirectories -= is_directory(place->second.target);
    names.names.erase(place);
    --entries_;
}

void Directories::set_target(ext2_ino_t directory, std::string_view name, NameTarget target) {
    Cached& names = cached(directory);
    target.type = format_.has_types ? target.type : EXT2_FT_UNKNOWN;
    Place& place = names.names.find(name)->second;
    Bytes bytes = read_block(names, place.block);
    DirectoryBlock block(bytes, format_);
    const auto record = block.find(name);
    if (!record) {
        fail(EUCLEAN,
             name_of(directory) + " is not what it was in block " + std::to_string(place.block));
    }
    block.set_target(*record, target.inode, target.type);
    write_block(names, place.block, bytes);
    names.subdirectories += is_directory(target);
    names.subdirectories -= is_directory(place.target);
    place.target = target;
}

void Directories::set_parent(ext2_ino_t directory, ext2_ino_t parent) {
    Cached& names = cached(directory);
    Bytes bytes = read_block(names, 0);
    DirectoryBlock block(bytes, format_);
    const auto record = block.find("..");
    if (!record) {
        fail(EUCLEAN, name_of(directory) + " has no \"..\"");
    }
    block.set_target(*record, parent, record->type);
    write_block(names, 0, bytes);
    names.parent = parent;
}

void Directories::make_first_block(ext2_ino_t directory, ext2_ino_t parent) {
    Cached made{.number = directory, .parent = parent};
    const auto number = append_block(made);
    Bytes bytes(format_.block_size);
    DirectoryBlock block(bytes, format_);
    block.clear_first(directory, parent);
    write_block(made, number, bytes);
    made.rooms[number] = static_cast<uint32_t>(block.room());
    recent_.push_front(std::move(made));
    by_number_[directory] = recent_.begin();
}

void Directories::forget(ext2_ino_t directory) {
    const auto found = by_number_.find(directory);
    if (found != by_number_.end()) {
        entries_ -= found->second->names.size();
        recent_.erase(found->second);
        by_number_.erase(found);
    }
}

Directories::Cached& Directories::cached(ext2_ino_t directory) {
    const auto found = by_number_.find(directory);
    if (found != by_number_.end()) {
        recent_.splice(recent_.begin(), recent_, found->second);
        return recent_.front();
    }
    recent_.push_front(load(directory));
    by_number_[directory] = recent_.begin();
    entries_ += recent_.front().names.size();
    evict();
    return recent_.front();
}

void Directories::evict() {
    constexpr size_t kDirectoryLimit = 10'000;  // empty ones weigh something too
    while (recent_.size() > 1 && (entries_ > entry_limit_ || recent_.size() > kDirectoryLimit)) {
        forget(recent_.back().number);
    }
}

Directories::Cached Directories::load(ext2_ino_t directory) {
    auto inode = fs_.inode(directory);
    if (!LINUX_S_ISDIR(inode.i_mode)) {
        fail(ENOTDIR, "inode " + std::to_string(directory) + " is not a directory");
    }
    Cached loaded{.number = directory, .indexed = (inode.i_flags & EXT2_INDEX_FL) != 0};
    const uint64_t size = size_of(inode);
    if (size == 0 || size % format_.block_size != 0 || size > kSizeLimit) {
        fail(EUCLEAN, name_of(directory) + " has a size of " + std::to_string(size));
    }
    for (const BlockRun& run : map_blocks(fs_, directory, inode, 0, size / format_.block_size)) {
        if (run.physical == 0 || run.unwritten) {
            fail(EUCLEAN,
                 name_of(directory) + " has a hole at block " + std::to_string(run.logical));
        }
        for (uint64_t i = 0; i < run.count; ++i) {
            loaded.blocks.push_back(run.physical + i);
            const auto number = static_cast<uint32_t>(loaded.blocks.size() - 1);
            Bytes bytes = read_block(loaded, number);
            read_records(loaded, number, bytes);
        }
    }
    if (loaded.parent == 0) {
        fail(EUCLEAN, name_of(directory) + " has no \"..\"");
    }
    return loaded;
}

void Directories::read_records(Cached& into, uint32_t block, ByteSpan bytes) {
    const DirectoryBlock content(bytes, format_);
    try {
        content.for_each([&](const DirectoryRecord& record) {
            if (record.inode == 0 || record.name == ".") {
                return true;
            }
            if (record.name.empty() || record.name.find('/') != std::string_view::npos ||
                record.name.find('\0') != std::string_view::npos ||
                record.inode > fs_.handle()->super->s_inodes_count) {
                fail(EUCLEAN, "an impossible name at byte " + std::to_string(record.offset));
            }
            if (record.name == "..") {
                into.parent = record.inode;
            } else {
                const NameTarget target{record.inode, record.type};
                into.names.emplace(record.name, Place{target, block});
                into.subdirectories += is_directory(target);
            }
            return true;
        });
        into.rooms.push_back(static_cast<uint32_t>(content.room()));
    } catch (const std::exception& error) {
        fail(errno_of(error),
             name_of(into.number) + ", block " + std::to_string(block) + ": " + message_of(error));
    }
}

std::optional<uint32_t> Directories::block_with_room(const Cached& directory,
                                                     std::string_view name) const {
    const size_t needed = DirectoryBlock::length_for(name.size());
    const auto found =
        std::ranges::find_if(directory.rooms, [&](uint32_t room) { return room >= needed; });
    if (found == directory.rooms.end()) {
        return std::nullopt;
    }
    return static_cast<uint32_t>(found - directory.rooms.begin());
}

/// The caller writes the new block.
uint32_t Directories::append_block(Cached& directory) {
    auto inode = fs_.inode(directory.number);
    const auto number = static_cast<uint32_t>(directory.blocks.size());
    allocate_blocks(fs_, directory.number, inode, number, 1);
    const auto runs = map_blocks(fs_, directory.number, inode, number, 1);
    const uint64_t size = (uint64_t{number} + 1) * format_.block_size;
    ExtFilesystem::check(ext2fs_inode_size_set(fs_.handle(), plain(inode), size),
                         name_of(directory.number));
    fs_.write_inode(directory.number, inode);
    directory.blocks.push_back(runs.at(0).physical);
    Bytes bytes(format_.block_size);
    DirectoryBlock block(bytes, format_);
    block.clear();
    write_block(directory, number, bytes);
    directory.rooms.push_back(static_cast<uint32_t>(block.room()));
    return number;
}

void Directories::drop_index(Cached& directory) {
    auto inode = fs_.inode(directory.number);
    inode.i_flags &= ~static_cast<uint32_t>(EXT2_INDEX_FL);
    fs_.write_inode(directory.number, inode);
    directory.indexed = false;
    for (uint32_t number = 0; number < directory.blocks.size(); ++number) {
        Bytes bytes = read_block(directory, number);
        DirectoryBlock block(bytes, format_);
        if (block.has_tail()) {
            continue;
        }
        // A block of the index: no names in it but "." and "..".
        if (number == 0) {
            block.clear_first(directory.number, directory.parent);
        } else {
            block.clear();
        }
        write_block(directory, number, bytes);
        directory.rooms[number] = static_cast<uint32_t>(block.room());
    }
}

Bytes Directories::read_block(const Cached& directory, uint32_t block) {
    Bytes bytes(format_.block_size);
    const std::string what = name_of(directory.number) + ", block " + std::to_string(block);
    ExtFilesystem::check(
        io_channel_read_blk64(fs_.handle()->io, directory.blocks[block], 1, bytes.data()), what);
    const bool is_right =
        ext2fs_dir_block_csum_verify(fs_.handle(), directory.number, records(bytes)) != 0;
    ExtFilesystem::check(0, what);  // the inode is read for it
    if (!is_right) {
        fail(EUCLEAN, what + ": wrong checksum");
    }
    return bytes;
}

void Directories::write_block(const Cached& directory, uint32_t block, Bytes& bytes) {
    ExtFilesystem::check(ext2fs_write_dir_block4(fs_.handle(), directory.blocks[block],
                                                 bytes.data(), 0, directory.number),
                         name_of(directory.number) + ", block " + std::to_string(block));
}

}  // namespace imgfs
