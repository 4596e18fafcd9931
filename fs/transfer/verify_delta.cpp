#include "fs/transfer/verify_delta.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/block.h"

namespace imgfs {
namespace {

constexpr uint64_t kAtOnce = kGiB / kBlockSize;  // bounds the list of pieces

class DeltaCheck {
  public:
    DeltaCheck(const DeltaStore& delta, const DamageReport& report)
        : delta_(delta), report_(report) {}

    uint64_t run() {
        const auto end = blocks_of(delta_.device_size());
        for (uint64_t first = 0; first < end; first += std::min(kAtOnce, end - first)) {
            for (const auto& piece : delta_.find(first, std::min(first + kAtOnce, end))) {
                if (piece.kind == StoredPiece::Kind::data) {
                    check(piece);
                }
            }
        }
        return read_;
    }

  private:
    void check(const StoredPiece& piece) {
        for (uint64_t i = 0; i < piece.count; ++i) {
            const auto offset = (piece.first_block + i) * kBlockSize;
            const auto length = std::min(kBlockSize, delta_.device_size() - offset);
            try {
                delta_.read(piece, offset, ByteSpan(block_).first(length));
            } catch (const std::system_error& error) {
                if (errno_of(error) != EUCLEAN) {
                    throw;
                }
                report_(message_of(error));
            }
            ++read_;
        }
    }

    const DeltaStore& delta_;
    const DamageReport& report_;
    Bytes block_ = Bytes(kBlockSize);
    uint64_t read_ = 0;
};

}  // namespace

uint64_t verify_delta(const DeltaStore& delta, const DamageReport& report) {
    return DeltaCheck(delta, report).run();
}

}  // namespace imgfs
