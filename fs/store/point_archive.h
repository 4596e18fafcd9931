// PointArchive: one recovery point's layer as a file of its own. Format: FORMAT.md.
#pragma once

#include "fs/source/source.h"
#include "fs/store/layer_list.h"

namespace imgfs {

/// A list with that layer alone, as set aside: what it stands on is elsewhere.
struct PointArchive {
    LayerList list;
    uint64_t layer_start = 0;  ///< in the file

    const LayerList::Entry& layer() const { return list.aside.front(); }
    uint64_t layer_end() const { return layer_start + layer().seal->end; }
};

/// What stands before the layer; and behind it kArchiveTail bytes, XXH64 of all before.
Bytes archive_head(const LayerList& list);
constexpr uint64_t kArchiveTail = 8;

/// Reads the head, and compares the file's size. EUCLEAN if it is damaged, EMEDIUMTYPE if it is no
/// archive of a point.
PointArchive read_archive_head(const Source& file);

}  // namespace imgfs
