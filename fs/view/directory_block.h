// One block of a directory: a chain of records that fills the block exactly.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "fs/base/bytes.h"

namespace imgfs {

/// The file types of directory records (EXT2_FT_…) and of st_mode.
uint8_t record_type_of(uint32_t mode);
uint32_t mode_of(uint8_t record_type);

struct DirectoryRecord {
    uint32_t inode = 0;  ///< 0: unused
    uint8_t type = 0;
    std::string_view name;  ///< points into the block
    size_t offset = 0;
    size_t length = 0;
};

/// What the superblock says of every directory block.
struct DirectoryFormat {
    size_t block_size = 0;
    bool has_checksums = false;  ///< the last 12 bytes are a tail with the checksum
    bool has_types = false;      ///< else the names' lengths have 16 bits
};

/// A view of one block in memory; the checksum in the tail is somebody else's task. EUCLEAN
/// if a record lies outside the block or has an impossible name.
class DirectoryBlock {
  public:
    DirectoryBlock(ByteSpan bytes, const DirectoryFormat& format)
        : bytes_(bytes), format_(format) {}

    /// Every record, unused ones too, without the tail; until `visit` says false.
    void for_each(const std::function<bool(const DirectoryRecord&)>& visit) const;
    std::optional<DirectoryRecord> find(std::string_view name) const;

    /// The longest record that insert() has room for.
    size_t room() const;
    /// False if there is no room.
    bool insert(const DirectoryRecord& record);
    void remove(const DirectoryRecord& record);
    void set_target(const DirectoryRecord& record, uint32_t inode, uint8_t type);

    /// One unused record and, where the format has one, the tail.
    void clear();
    /// "." and "..", as the first block of a directory has them.
    void clear_first(uint32_t self, uint32_t parent);

    /// The last record ends where a tail begins (or there are no tails).
    bool has_tail() const;

    static size_t length_for(size_t name_length) { return (name_length + 8 + 3) / 4 * 4; }

  private:
    DirectoryRecord record_at(size_t offset) const;
    void put(const DirectoryRecord& record);
    void set_length(size_t offset, size_t length);
    bool is_tail(size_t offset) const;

    ByteSpan bytes_;
    const DirectoryFormat& format_;
};

}  // namespace imgfs
