#include <lz4frame.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/packing.h"

namespace imgfs {

Bytes pack_lz4(ConstByteSpan plain, int level) {
    LZ4F_preferences_t wanted{};
    wanted.frameInfo.blockSizeID = LZ4F_max256KB;
    wanted.frameInfo.blockMode = LZ4F_blockIndependent;
    wanted.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    wanted.frameInfo.contentSize = plain.size();
    wanted.compressionLevel = level;
    Bytes packed(LZ4F_compressFrameBound(plain.size(), &wanted));
    const auto size =
        LZ4F_compressFrame(packed.data(), packed.size(), plain.data(), plain.size(), &wanted);
    if (LZ4F_isError(size) != 0) {
        fail(EIO, std::string("lz4: ") + LZ4F_getErrorName(size));
    }
    packed.resize(size);
    return packed;
}

}  // namespace imgfs
