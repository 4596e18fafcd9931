#include "fs/source/bzip2.h"

#include "fs/source/bzip2_block.h"
#include "fs/source/bzip2_streams.h"
#include "fs/source/ordered_jobs.h"
#include "fs/source/packed_state.h"

namespace imgfs {
namespace {

using Kind = Bzip2Piece::Kind;

constexpr size_t kPassReads = kMiB;
constexpr size_t kDecoderReads = 128 * kKiB;
constexpr size_t kKept = 2 * kMiB;  // plain bytes of a block; some zeros make tens of MiB
constexpr size_t kChunk = 256 * kKiB;
constexpr uint64_t kPassMemory = 48 * kMiB;  // besides, libbz2 needs 4 MiB a core

struct Decoded {
    bool good = false;
    uint64_t size = 0;
    Bytes plain;  ///< as much as is kept
};

Decoded decode(const Bzip2Piece& piece, SpareBytes& spares) {
    Decoded decoded;
    Bzip2Block block(piece, spares);
    Bytes past_kept;
    size_t made = kChunk;
    while (made == kChunk) {
        auto& to = decoded.size < kKept ? decoded.plain : past_kept;
        const auto before = decoded.size < kKept ? to.size() : 0;
        to.resize(before + kChunk);
        made = block.read(ByteSpan(to).subspan(before));
        to.resize(before + made);
        decoded.size += made;
    }
    decoded.good = !block.broken();
    return decoded;
}

class Bzip2Pass {
  public:
    Bzip2Pass(const Source& packed, const PassStart& start, PassSink& sink)
        : packed_(packed),
          sink_(sink),
          pieces_(packed, start.point.plain == 0 ? 0 : start.point.packed_bit, kPassReads),
          streams_(packed, start.point.plain == 0 ? 0 : crc_in(start.point)),
          plain_(start.point.plain),
          last_point_(start.point.plain),
          jobs_(kPassMemory) {}

    void run() {
        if (plain_ == 0) {
            sink_.point({});
        }
        while (auto piece = next()) {
            const auto held = 2 * piece->bytes.size() + kKept;
            jobs_.add(held, [this, piece = std::move(*piece)]() mutable -> OrderedJobs::Report {
                auto decoded = piece.kind == Kind::block ? decode(piece, spares_) : Decoded{};
                return [this, piece = std::move(piece), decoded = std::move(decoded)]() mutable {
                    take(std::move(piece), std::move(decoded));
                };
            });
        }
        jobs_.finish();
    }

  private:
    static uint32_t crc_in(const SeekPoint& point) {
        if (point.state.size() != sizeof(uint32_t)) {
            fail_damaged_index();
        }
        return le32(point.state, 0);
    }

    std::optional<Bzip2Piece> next() {
        try {
            return pieces_.next();
        } catch (...) {
            jobs_.finish();  // what stands before it comes first
            throw;
        }
    }

    void take(Bzip2Piece piece, Decoded decoded) {
        if (joined_ > 0) {
            open_.append(piece);
            piece = std::move(open_);
            decoded = decode(piece, spares_);
        }
        const auto packed_end = piece.end_bit / 8;
        if (piece.kind != Kind::block) {
            take_other(piece);
        } else if (decoded.good) {
            joined_ = 0;
            tell(piece, decoded);
        } else if (may_go_on(piece, ++joined_)) {
            open_ = std::move(piece);
        } else {
            streams_.fail_block(piece, joined_);
        }
        sink_.progress(packed_end);
    }

    void take_other(const Bzip2Piece& piece) {
        if (!streams_.add_other(piece)) {
            sink_.mismatch(packed_.place(piece.start_bit / 8) +
                           ": the checksum there disagrees with the blocks before it; some of "
                           "them are missing or out of order");
        }
    }

    void tell(const Bzip2Piece& piece, const Decoded& decoded) {
        if (plain_ >= last_point_ + kHashedPiece) {
            SeekPoint point{.plain = plain_, .packed_bit = piece.start_bit, .state = Bytes(4)};
            store(point.state, 0, streams_.crc());
            sink_.point(std::move(point));
            last_point_ = plain_;
        }
        streams_.add_block(piece);
        plain_ += decoded.size;
        if (decoded.size == decoded.plain.size()) {
            sink_.plain(decoded.plain);
            return;
        }
        Bzip2Block block(piece, spares_);
        Bytes chunk(kChunk);
        for (size_t made = kChunk; made == kChunk;) {
            made = block.read(chunk);
            sink_.plain(ConstByteSpan(chunk).first(made));
        }
    }

    const Source& packed_;
    PassSink& sink_;
    Bzip2Pieces pieces_;
    Bzip2Streams streams_;
    uint64_t plain_;
    uint64_t last_point_;
    Bzip2Piece open_;      // a block that may end behind this piece
    unsigned joined_ = 0;  // pieces of it
    SpareBytes spares_;
    OrderedJobs jobs_;  // last, so that its threads end first
};

class Bzip2Decoder final : public Decoder {
  public:
    Bzip2Decoder(const Source& packed, uint64_t start_bit)
        : packed_(packed), pieces_(packed, start_bit, kDecoderReads), streams_(packed, 0) {}

    void read(ByteSpan out) override {
        while (!out.empty()) {
            if (!block_) {
                enter_next_block();
            }
            const auto made = block_->read(out);
            out = out.subspan(made);
            given_ = given_ || made > 0;
            if (block_->broken()) {
                join_next_piece();
            } else if (!out.empty()) {
                block_.reset();
            }
        }
    }

  private:
    void enter_next_block() {
        for (auto piece = pieces_.next(); piece; piece = pieces_.next()) {
            if (piece->kind == Kind::block) {
                piece_ = std::move(*piece);
                start_block();
                joined_ = 1;
                given_ = false;
                return;
            }
            streams_.add_other(*piece);
        }
        fail_cut_short(packed_);
    }

    /// libbz2 gives nothing before it has seen a block's end, so nothing wrong was given yet.
    void join_next_piece() {
        if (given_ || !may_go_on(piece_, joined_)) {
            streams_.fail_block(piece_, joined_);
        }
        piece_.append(*pieces_.next());
        start_block();
        ++joined_;
    }

    void start_block() {
        block_.reset();  // first, for its memory
        block_.emplace(piece_, spares_);
    }

    const Source& packed_;
    Bzip2Pieces pieces_;
    Bzip2Streams streams_;
    Bzip2Piece piece_;
    SpareBytes spares_;
    std::optional<Bzip2Block> block_;  // decodes piece_
    unsigned joined_ = 0;              // pieces of it
    bool given_ = false;               // some of its plain bytes
};

}  // namespace

bool starts_bzip2(ConstByteSpan start) {
    using namespace std::string_view_literals;
    const auto text = text_of(start);
    return text.starts_with("BZh"sv) && text.size() >= 10 && text[3] >= '1' && text[3] <= '9' &&
           (text.substr(4, 6) == "\x31\x41\x59\x26\x53\x59"sv ||
            text.substr(4, 6) == "\x17\x72\x45\x38\x50\x90"sv);  // an empty stream
}

void pass_bzip2(const Source& packed, const PassStart& start, const PassOptions& /*options*/,
                PassSink& sink) {
    check_inside(packed, start.point);
    Bzip2Pass(packed, start, sink).run();
}

std::unique_ptr<Decoder> open_bzip2(const Source& packed, const SeekPoint& point) {
    check_inside(packed, point);
    return std::make_unique<Bzip2Decoder>(packed, point.packed_bit);
}

}  // namespace imgfs
