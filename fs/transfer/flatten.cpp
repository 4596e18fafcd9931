#include "fs/transfer/flatten.h"

#include "fs/image/partclone_writer.h"
#include "fs/source/stream_packer.h"
#include "fs/transfer/new_parts.h"
#include "fs/transfer/read_ahead.h"

namespace imgfs {
namespace {

constexpr size_t kPieceSize = 4 * kMiB;

}  // namespace

FlattenResult flatten(const Source& device, const KeptBlocks& kept,
                      const std::filesystem::path& path, const FlattenOptions& options,
                      const Progress& progress) {
    NewParts parts(path, options.part_size);
    StreamPacker packer(options.packing, options.level,
                        [&](ConstByteSpan packed) { parts.write(packed); });
    PartcloneWriter writer({.file_system = kept.file_system,
                            .device_size = kept.device_size,
                            .block_size = kept.block_size,
                            .checksum = options.checksum},
                           kept.used, [&](ConstByteSpan plain) { packer.add(plain); });
    const UsedBlocks blocks(device, kept);
    for_each_piece(blocks, kPieceSize, progress,
                   [&](uint64_t /*offset*/, ConstByteSpan piece) { writer.add(piece); });
    writer.finish();
    packer.finish();
    FlattenResult result{.plain_size = blocks.size()};
    result.files = parts.publish();
    result.packed_size = parts.size();
    return result;
}

}  // namespace imgfs
