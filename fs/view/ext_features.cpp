#include "fs/view/ext_features.h"

#include <ext2fs/ext2fs.h>

#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr uint64_t kSuperblockOffset = 1024;
constexpr size_t kSuperblockSize = 1024;

enum class Handled { always, read_only, never };

struct Feature {
    uint32_t bit;
    const char* name;  ///< as dumpe2fs prints it
    Handled handled;
};

// The rows that follow are the whole truth; a bit without a row is refused as unknown.
constexpr std::array kCompatible = {
    Feature{EXT2_FEATURE_COMPAT_DIR_PREALLOC, "dir_prealloc", Handled::always},
    Feature{EXT2_FEATURE_COMPAT_IMAGIC_INODES, "imagic_inodes", Handled::read_only},
    Feature{EXT3_FEATURE_COMPAT_HAS_JOURNAL, "has_journal", Handled::always},
    Feature{EXT2_FEATURE_COMPAT_EXT_ATTR, "ext_attr", Handled::always},
    Feature{EXT2_FEATURE_COMPAT_RESIZE_INODE, "resize_inode", Handled::always},
    Feature{EXT2_FEATURE_COMPAT_DIR_INDEX, "dir_index", Handled::always},
    Feature{EXT4_FEATURE_COMPAT_SPARSE_SUPER2, "sparse_super2", Handled::always},
    Feature{EXT4_FEATURE_COMPAT_FAST_COMMIT, "fast_commit", Handled::always},
    Feature{EXT4_FEATURE_COMPAT_STABLE_INODES, "stable_inodes", Handled::read_only},
    Feature{EXT4_FEATURE_COMPAT_ORPHAN_FILE, "orphan_file", Handled::read_only},
};
constexpr std::array kReadOnlyCompatible = {
    Feature{EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER, "sparse_super", Handled::always},
    Feature{EXT2_FEATURE_RO_COMPAT_LARGE_FILE, "large_file", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_HUGE_FILE, "huge_file", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_GDT_CSUM, "uninit_bg", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_DIR_NLINK, "dir_nlink", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, "extra_isize", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_QUOTA, "quota", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_BIGALLOC, "bigalloc", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, "metadata_csum", Handled::always},
    Feature{EXT4_FEATURE_RO_COMPAT_READONLY, "read-only", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_PROJECT, "project", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS, "shared_blocks", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_VERITY, "verity", Handled::read_only},
    Feature{EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, "orphan_present", Handled::read_only},
};
constexpr std::array kIncompatible = {
    Feature{EXT2_FEATURE_INCOMPAT_COMPRESSION, "compression", Handled::never},
    Feature{EXT2_FEATURE_INCOMPAT_FILETYPE, "filetype", Handled::always},
    Feature{EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, "journal_dev", Handled::never},
    Feature{EXT2_FEATURE_INCOMPAT_META_BG, "meta_bg", Handled::read_only},
    Feature{EXT3_FEATURE_INCOMPAT_EXTENTS, "extent", Handled::always},
    Feature{EXT4_FEATURE_INCOMPAT_64BIT, "64bit", Handled::always},
    Feature{EXT4_FEATURE_INCOMPAT_MMP, "mmp", Handled::read_only},
    Feature{EXT4_FEATURE_INCOMPAT_FLEX_BG, "flex_bg", Handled::always},
    Feature{EXT4_FEATURE_INCOMPAT_EA_INODE, "ea_inode", Handled::never},
    Feature{EXT4_FEATURE_INCOMPAT_DIRDATA, "dirdata", Handled::never},
    Feature{EXT4_FEATURE_INCOMPAT_CSUM_SEED, "metadata_csum_seed", Handled::always},
    Feature{EXT4_FEATURE_INCOMPAT_LARGEDIR, "large_dir", Handled::read_only},
    Feature{EXT4_FEATURE_INCOMPAT_INLINE_DATA, "inline_data", Handled::never},
    Feature{EXT4_FEATURE_INCOMPAT_ENCRYPT, "encrypt", Handled::never},
    Feature{EXT4_FEATURE_INCOMPAT_CASEFOLD, "casefold", Handled::never},
};

struct FeatureSet {
    const char* set;
    std::span<const Feature> known;
    Handled unknown;
};

constexpr FeatureSet kSets[] = {
    {"compat", kCompatible, Handled::read_only},
    {"ro_compat", kReadOnlyCompatible, Handled::read_only},
    {"incompat", kIncompatible, Handled::never},
};

struct Superblock {
    uint32_t features[3];  ///< in the order of kSets
    uint16_t state;
    uint32_t last_orphan;
    uint64_t blocks;
    uint32_t block_size_log;  ///< over 1 KiB
};

std::optional<Superblock> read_superblock(const Source& device) {
    if (device.bound() < kSuperblockOffset + kSuperblockSize) {
        return std::nullopt;
    }
    Bytes bytes(kSuperblockSize);
    device.read(kSuperblockOffset, bytes);
    ext2_super_block super = load<ext2_super_block>(bytes, 0);
    if (super.s_magic != EXT2_SUPER_MAGIC) {
        return std::nullopt;
    }
    if (super.s_rev_level == EXT2_GOOD_OLD_REV) {
        super.s_feature_compat = super.s_feature_ro_compat = super.s_feature_incompat = 0;
    }
    return Superblock{{super.s_feature_compat, super.s_feature_ro_compat, super.s_feature_incompat},
                      super.s_state,
                      super.s_last_orphan,
                      ext2fs_blocks_count(&super),
                      super.s_log_block_size};
}

std::string partition_name(const Source& device) {
    return device.place(kSuperblockOffset);
}

void check_feature(const Source& device, const std::string& name, Handled handled,
                   ViewAccess access) {
    if (handled == Handled::never) {
        fail(ENOTSUP, partition_name(device) + ": ext4 feature '" + name +
                          "' is not handled yet; use --raw and the kernel's own ext4");
    }
    if (handled == Handled::read_only && access == ViewAccess::read_write) {
        fail(ENOTSUP, partition_name(device) + ": ext4 feature '" + name +
                          "' can't be written yet; use --read-only, or --raw and the kernel's own "
                          "ext4");
    }
}

void check_feature_set(const Source& device, const FeatureSet& set, uint32_t bits,
                       ViewAccess access) {
    for (const Feature& feature : set.known) {
        if ((bits & feature.bit) != 0) {
            check_feature(device, feature.name, feature.handled, access);
            bits &= ~feature.bit;
        }
    }
    for (int number = 0; bits != 0; ++number, bits >>= 1) {
        if ((bits & 1) != 0) {
            check_feature(device, set.set + (" bit " + std::to_string(number)), set.unknown,
                          access);
        }
    }
}

void check_state(const Source& device, const Superblock& super) {
    const char* wrong = nullptr;
    if ((super.state & EXT2_ERROR_FS) != 0) {
        wrong = "the file system is marked as having errors";
    } else if ((super.state & EXT2_VALID_FS) == 0) {
        wrong = "the file system was not unmounted when the image was made";
    } else if (super.last_orphan != 0) {
        wrong = "the file system has deleted files that were still open";
    } else {
        return;
    }
    fail(ENOTSUP, partition_name(device) + ": " + wrong +
                      "; use --read-only, or --raw and e2fsck on it, then mount it again");
}

}  // namespace

bool has_ext_superblock(const Source& device) {
    return read_superblock(device).has_value();
}

void check_ext_features(const Source& device, ViewAccess access) {
    const auto super = read_superblock(device);
    if (!super) {
        fail(EMEDIUMTYPE,
             partition_name(device) + ": no ext2, ext3 or ext4 file system; use --raw for others");
    }
    if ((super->features[2] & EXT3_FEATURE_INCOMPAT_RECOVER) != 0) {
        fail(ENOTSUP,
             partition_name(device) +
                 ": the journal has not been replayed (ext4 feature 'needs_recovery'), since "
                 "the partition was mounted when the image was made; use --raw and e2fsck -p on "
                 "it, then mount it again");
    }
    for (size_t i = 0; i < std::size(kSets); ++i) {
        check_feature_set(device, kSets[i], super->features[i], access);
    }
    constexpr uint32_t kLargestBlockLog = EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE;
    if (super->block_size_log > kLargestBlockLog ||
        super->blocks > device.bound() >> (EXT2_MIN_BLOCK_LOG_SIZE + super->block_size_log)) {
        fail(EUCLEAN, partition_name(device) + ": the ext superblock counts " +
                          format_count(super->blocks) + " blocks, more than the partition's " +
                          format_count(device.bound()) + " bytes hold");
    }
    if (access == ViewAccess::read_write) {
        check_state(device, *super);
    }
}

}  // namespace imgfs
