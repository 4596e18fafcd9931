// Codec: how one compression format is indexed and decoded. A codec is one row of a constant table.
#pragma once

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "fs/source/source.h"

namespace imgfs {

constexpr uint64_t kHashedPiece = 64 * kKiB;  ///< plain bytes under one hash of the index
constexpr size_t kCodecStart = 64;            ///< bytes by which a codec is known
constexpr uint64_t kPassMemory = 56 * kMiB;   ///< that an ordinary stream's pass takes at most

/// A place in a packed stream where decoding can start.
struct SeekPoint {
    uint64_t plain = 0;       ///< offset of the first plain byte
    uint64_t packed_bit = 0;  ///< in bits from the start of the packed stream
    /// What the codec needs besides, in its own encoding and compressed; hostile when it comes back
    /// from a file. Empty where nothing is needed.
    Bytes state;
    /// Where the next point stands, and the first plain byte that isn't wanted from this one: then
    /// a decoder may decode all that at once. 0 where it must not; stored nowhere.
    uint64_t next_bit = 0;
    uint64_t end = 0;
};

/// What a decoder throws that was to decode all at once and can't: one that needn't may tell more.
class NotAtOnce final : public std::system_error {
  public:
    NotAtOnce() : std::system_error(EUCLEAN, std::generic_category(), "not decoded at once") {}
};

/// Plain bytes from a seek point on, in order. Not for two threads at once.
class Decoder {
  public:
    Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
    virtual ~Decoder() = default;

    /// The next plain bytes, all of them. EUCLEAN, naming the place, if the stream doesn't hold
    /// them or they disagree with a checksum that it has over them. NotAtOnce if the point has a
    /// `next_bit`.
    virtual void read(ByteSpan out) = 0;

    /// Bytes that it takes at most, about, to decode `length` plain bytes from its point on; nearly
    /// none of them before it is first read. As it stands, a block of 4 MiB, packed and plain.
    virtual uint64_t memory(uint64_t /*length*/) const { return 8 * kMiB; }

    /// Has it decoded more, which costs nothing now?
    virtual bool has_more() const { return false; }
};

/// Takes what an indexing pass finds, in the order of the stream. What it throws ends the pass.
class PassSink {
  public:
    virtual ~PassSink() = default;

    /// Decoding can start here, and go on to the end of the stream; or, where the codec doesn't say
    /// `points_last`, to the first multiple of kHashedPiece at or behind the next point. The first
    /// stands at plain offset 0; two are at least kHashedPiece apart. It may
    /// be told after plain bytes that lie behind it, never before those ahead of it.
    virtual void point(SeekPoint point) = 0;

    /// The next plain bytes. Empty is allowed.
    virtual void plain(ConstByteSpan bytes) = 0;

    /// The stream has no checksum, over plain or packed bytes, for the next `count` plain bytes,
    /// which are told after this.
    virtual void unchecked(uint64_t count) = 0;

    /// The next `count` plain bytes were not decoded: the stream has checksums over them, which
    /// every Decoder checks before it gives them out.
    virtual void skipped(uint64_t count) = 0;

    /// The next `count` plain bytes are lost, why says `line`; the pass goes on behind them.
    virtual void lost(uint64_t count, const std::string& line) = 0;

    /// The stream has a checksum over plain bytes that were given already, and it disagrees.
    virtual void mismatch(const std::string& line) = 0;

    /// How far the pass is in the packed stream; called every few MiB at least.
    virtual void progress(uint64_t packed) = 0;

    /// From here on the pass takes so many bytes at most; told where they are more than
    /// kPassMemory.
    virtual void holds(uint64_t /*bytes*/) {}

    /// One line that a person should be told about this stream.
    virtual void note(const std::string& line) = 0;
};

/// Which of a codec's equally good ways is taken; for tests, and for `imgfs index --dense`.
struct PassOptions {
    bool dense = false;     ///< more points: a larger index, quicker random reads
    bool portable = false;  ///< without the decoders that need a special processor
};

/// Where a pass starts: at the start of the stream, or where an earlier one was killed.
struct PassStart {
    /// The last point that the earlier pass found; at plain offset 0 and without state for a new
    /// pass. It isn't told again, nor are the plain bytes before it.
    SeekPoint point;
    /// Reads plain bytes before the point.
    std::function<void(uint64_t offset, ByteSpan out)> behind;
};

struct Codec {
    std::string_view name;  ///< "gzip", "zstd" …
    uint32_t number;        ///< in index files; never given to another
    /// Do these first kCodecStart bytes of a stream (fewer if it is shorter) belong to it?
    bool (*starts)(ConstByteSpan start);
    /// Reads the stream once, from `start` to its end, and tells the sink what is there, checking
    /// all checksums that the stream has. EUCLEAN, naming the place, where damage ends the pass.
    /// On as many threads as there are cores, but the sink is called by one at a time.
    void (*pass)(const Source& packed, const PassStart& start, const PassOptions& options,
                 PassSink& sink);
    /// Starts decoding at a point; `packed` must outlive it.
    std::unique_ptr<Decoder> (*open)(const Source& packed, const SeekPoint& point);
    bool points_last;  ///< a point serves for all that is behind it, not only up to the next one
    bool skips;        ///< its passes may skip plain bytes; see PassSink
    uint64_t step;     ///< plain bytes that are quickly decoded at once, a multiple of kHashedPiece
    /// Of a codec that is known but not handled (then the functions are null): the command that
    /// unpacks it.
    std::string_view unpacker;
};

/// By content, never by name; null for bytes that no codec's streams start with.
const Codec* find_codec(const Source& packed);

/// The row of that name; EINVAL if the table has none.
const Codec& codec_named(std::string_view name);

}  // namespace imgfs
