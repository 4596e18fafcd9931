#include "fs/source/index_writer.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

// Readers can be served what is recorded, so a record is cut where its point serves on.
constexpr uint64_t kLongestRecord = 16 * kMiB;

}  // namespace

IndexWriter::IndexWriter(SeekIndex& index, const Codec& codec, const PassReports& reports,
                         const std::atomic<bool>& stop)
    : index_(index), codec_(codec), reports_(reports), stop_(stop) {
    piece_.reserve(kHashedPiece);
    const auto reached = index.reached();
    if (reached > 0) {
        point_ = index.load(*index.at(reached - 1)).point;
        begin_ = hashed_ = reached;
        plain_ = point_.plain;
    }
}

void IndexWriter::point(SeekPoint point) {
    if (begin_ == 0 && point.plain == 0) {
        point_ = std::move(point);
        return;
    }
    pending_.push_back(std::move(point));
    write_ready();
}

void IndexWriter::plain(ConstByteSpan bytes) {
    if (stop_) {
        throw PassStopped();
    }
    // A pass that goes on tells again what lies between its point and the last record's end.
    const auto known = plain_ < begin_ ? std::min<uint64_t>(begin_ - plain_, bytes.size()) : 0;
    plain_ += bytes.size();
    bytes = bytes.subspan(known);
    while (!bytes.empty()) {
        bytes = bytes.subspan(take_piece(bytes));
    }
    write_ready();
}

/// Up to the end of the piece; returns how many bytes that are.
size_t IndexWriter::take_piece(ConstByteSpan bytes) {
    const auto part = bytes.first(std::min<size_t>(bytes.size(), kHashedPiece - piece_length_));
    if (part.size() == kHashedPiece) {
        piece_length_ = part.size();
        end_piece(xxh3_64(part));  // without a copy
        return part.size();
    }
    if (piece_length_ == piece_.size()) {
        piece_.insert(piece_.end(), part.begin(), part.end());
    }
    piece_length_ += part.size();
    if (piece_length_ == kHashedPiece) {
        end_piece();
    }
    return part.size();
}

void IndexWriter::unchecked(uint64_t count) {
    if (unchecked_.empty() || unchecked_.back().end != plain_) {
        unchecked_.push_back({plain_, plain_});
    }
    unchecked_.back().end += count;
}

void IndexWriter::skipped(uint64_t count) {
    if (stop_) {
        throw PassStopped();
    }
    auto left = count - (plain_ < begin_ ? std::min(begin_ - plain_, count) : 0);
    plain_ += count;
    while (left > 0) {
        const auto part = std::min(left, kHashedPiece - piece_length_);
        piece_length_ += part;
        left -= part;
        if (piece_length_ == kHashedPiece) {
            end_piece();
        }
    }
    write_ready();
}

/// Without a hash where some bytes of the piece were skipped.
void IndexWriter::end_piece() {
    end_piece(piece_.size() == piece_length_ ? xxh3_64(piece_) : kNoHash);
}

void IndexWriter::end_piece(uint64_t hash) {
    hashes_.push_back(hash);
    hashed_ += piece_length_;
    piece_length_ = 0;
    piece_.clear();
}

// Without a hash its decoders are asked, and they meet the damage again.
void IndexWriter::lost(uint64_t count, const std::string& line) {
    mismatch(line);
    skipped(count);
}

void IndexWriter::mismatch(const std::string& line) {
    if (!reports_.on_damage) {
        imgfs::fail(EUCLEAN, line);
    }
    damaged_ = true;
    if (line != damage_) {  // what is lost may be told of by a checksum, too
        reports_.on_damage(line);
    }
    damage_ = line;
}

void IndexWriter::progress(uint64_t packed) {
    if (stop_) {
        throw PassStopped();
    }
    index_.set_packed_done(packed);
}

void IndexWriter::holds(uint64_t bytes) {
    if (reports_.holds) {
        reports_.holds(bytes);
    }
}

void IndexWriter::note(const std::string& line) {
    if (reports_.note) {
        reports_.note(line);
    }
}

/// A record ends where the piece in which the next point lies ends, for hashes are of whole pieces.
void IndexWriter::write_ready() {
    while (!pending_.empty()) {
        const auto end = round_up(pending_.front().plain, kHashedPiece);
        if (end > begin_) {
            if (hashed_ < end) {
                return;
            }
            write_record(end);
        }
        point_ = std::move(pending_.front());
        pending_.pop_front();
    }
    if (codec_.points_last && hashed_ - begin_ >= kLongestRecord) {
        write_record(round_down(hashed_, kHashedPiece));
    }
}

void IndexWriter::write_record(uint64_t end) {
    IndexRecord record{.point = point_,
                       .begin = begin_,
                       .end = end,
                       .hashes = {},
                       .unchecked = take_unchecked(end)};
    const auto next = hashes_.begin() + static_cast<ptrdiff_t>(piece_count(end - begin_));
    if (std::any_of(hashes_.begin(), next, [](auto hash) { return hash != kNoHash; })) {
        record.hashes.assign(hashes_.begin(), next);
    }
    hashes_.erase(hashes_.begin(), next);
    index_.add(record, index_.file().append(index_.file_end(), record));
    begin_ = end;
}

/// Are some bytes from begin_ to `end` unchecked? What ends there is forgotten.
bool IndexWriter::take_unchecked(uint64_t end) {
    const auto is_before = [](uint64_t offset) {
        return [offset](const Stretch& stretch) { return stretch.end <= offset; };
    };
    std::erase_if(unchecked_, is_before(begin_));  // told again by a pass that goes on
    const bool some = !unchecked_.empty() && unchecked_.front().begin < end;
    std::erase_if(unchecked_, is_before(end));
    return some;
}

/// Up to where the pass has come.
void IndexWriter::end_pieces() {
    if (piece_length_ > 0) {
        end_piece();
    }
    while (!pending_.empty() && round_up(pending_.front().plain, kHashedPiece) < plain_) {
        write_ready();
    }
}

void IndexWriter::end_at_damage() {
    end_pieces();
    if (plain_ > begin_) {
        write_record(plain_);
    }
}

void IndexWriter::finish() {
    end_pieces();
    if (plain_ > begin_ || plain_ == 0) {
        write_record(plain_);
    }
    auto end = index_.end();
    if (damaged_) {
        std::ranges::for_each(end.entries, [](IndexEntry& entry) { entry.unchecked = true; });
    } else {
        index_.file().sync();  // an end says that what stands before it is there
        index_.file().append(index_.file_end(), end);
        index_.file().sync();
    }
    index_.finish(end);
}

}  // namespace imgfs
