// IndexWriter: makes index records of what a pass finds.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <optional>

#include "fs/source/seek_index.h"

namespace imgfs {

/// Thrown out of a pass that is no longer wanted.
struct PassStopped {};

/// What becomes of things that a pass tells besides records.
struct PassReports {
    std::function<void(const std::string&)> note;
    /// Damage behind which the pass can go on; if empty, it ends there with EUCLEAN.
    std::function<void(const std::string&)> on_damage;
    /// Bytes that the pass takes at most from now on, see PassSink::holds(); 0 when it has ended.
    std::function<void(uint64_t)> holds;
};

/// Appends records to the index and lets its readers see them.
class IndexWriter final : public PassSink {
  public:
    /// Goes on behind what the index has; `stop` ends the pass. All must outlive it.
    IndexWriter(SeekIndex& index, const Codec& codec, const PassReports& reports,
                const std::atomic<bool>& stop);

    /// Where the pass has to start: the last record's point, or the start of the stream.
    const SeekPoint& start() const { return point_; }
    /// After the pass.
    void finish();
    /// After a pass that damage has ended: all that it told before can be read, though the last
    /// record is none to go on from.
    void end_at_damage();

    void point(SeekPoint point) override;
    void plain(ConstByteSpan bytes) override;
    void unchecked(uint64_t count) override;
    void skipped(uint64_t count) override;
    void lost(uint64_t count, const std::string& line) override;
    void mismatch(const std::string& line) override;
    void progress(uint64_t packed) override;
    void holds(uint64_t bytes) override;
    void note(const std::string& line) override;

  private:
    size_t take_piece(ConstByteSpan bytes);
    void end_piece();
    void end_piece(uint64_t hash);
    void end_pieces();
    void write_ready();
    void write_record(uint64_t end);
    bool take_unchecked(uint64_t end);

    SeekIndex& index_;
    const Codec& codec_;
    const PassReports& reports_;
    const std::atomic<bool>& stop_;

    SeekPoint point_;                // of the record that is being made
    std::deque<SeekPoint> pending_;  // points of the next ones
    uint64_t begin_ = 0;             // of the record
    uint64_t plain_ = 0;             // bytes told so far
    uint64_t hashed_ = 0;            // end of the last whole piece
    bool damaged_ = false;           // the stream disagrees with its own checksum
    std::string damage_;             // that was told last
    std::vector<uint64_t> hashes_;   // of the pieces from begin_ on
    struct Stretch {
        uint64_t begin = 0;
        uint64_t end = 0;
    };
    std::deque<Stretch> unchecked_;  // that end behind begin_, in order
    uint64_t piece_length_ = 0;      // of the piece that is being told
    Bytes piece_;                    // its bytes, as long as none was skipped
};

}  // namespace imgfs
