#include "fs/store/layer.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/transaction_writer.h"

namespace imgfs {
namespace {

constexpr uint64_t kReserveStep = 8 * kMiB;

}  // namespace

Layer::Layer(const std::filesystem::path& path, const LayerHeader& header, FileWatcher* watcher)
    : file_(LayerFile::create(path, watcher)), header_(header), reserved_end_(kLogStart) {
    position_.chain = header.salt;
    write_header_copy(0);
    write_header_copy(kHeaderSize);
}

Layer::Layer(const std::filesystem::path& path, bool writable, FileWatcher* watcher,
             BlockIndex& index)
    : file_(LayerFile::open(path, writable, watcher)) {
    if (writable) {
        // After a crash of the program the log may be in the page cache only, and after a failed
        // fdatasync it may be there for clean and not on the disk.
        file_.sync();
    }
    read_header();
    if (writable) {
        file_.forget_cached(header_.clean_end);
    }
    if (writable && header_.ro_compat != 0) {
        fail(EROFS, name() + ": has features (ro_compat " + std::to_string(header_.ro_compat) +
                        ") that only a newer imgfs can write; use --read-only");
    }
    LogReader reader(file_, header_, index);
    position_ = reader.read();
    reserved_end_ = position_.end;
    if (writable) {
        mend(reader.bad_copies());
    }
}

void Layer::read_header() {
    std::optional<LayerHeader> best;
    for (const auto offset : {uint64_t{0}, kHeaderSize}) {
        HeaderBytes bytes{};
        const auto length = file_.read_some(offset, bytes);
        const auto copy = decode_header(ConstByteSpan(bytes).first(length), name());
        if (copy && (!best || copy->generation > best->generation)) {
            best = copy;
        }
    }
    if (!best) {
        fail(EUCLEAN, name() +
                          ": both copies of the header are damaged; put back a copy of the "
                          "folder, or move it away to go back to the image as saved");
    }
    header_ = *best;
}

void Layer::mend(const std::vector<uint64_t>& bad_copies) {
    const bool has_tail = file_.size() > position_.end;
    if (has_tail) {
        file_.truncate(position_.end);
    }
    for (const auto bad : bad_copies) {
        // The good copy is the other one of the pair, whose offset it carries.
        for (const auto good : {bad - kCommitSize, bad + kCommitSize}) {
            CommitBytes bytes{};
            const auto length = file_.read_some(good, bytes);
            const auto commit = decode_commit(ConstByteSpan(bytes).first(length));
            if (commit && commit->salt == header_.salt && std::min(good, bad) == commit->offset) {
                file_.write(bad, bytes);
            }
        }
    }
    if (has_tail || !bad_copies.empty()) {
        file_.sync();
    }
}

void Layer::read(const StoredPiece& piece, ByteSpan out) const {
    std::array<std::byte, kRecordHeaderSize + kMaxDataBlocks * kHashSize> start{};
    const auto got = ConstByteSpan(start).first(file_.read_some(piece.record, start));
    const auto record = decode_record(got);
    if (!record || record->type != RecordType::data || record->salt != header_.salt ||
        record->first_block + piece.skip != piece.first_block ||
        piece.skip + piece.count > record->block_count ||
        got.size() < kRecordHeaderSize + record->block_count * kHashSize) {
        fail_damaged(piece.record);
    }
    const auto table = got.subspan(kRecordHeaderSize, record->block_count * kHashSize);
    if (xxh3_64(table) != record->payload_hash) {
        fail_damaged(piece.record + kRecordHeaderSize);
    }
    const auto data = piece.record + kRecordHeaderSize + table.size() + piece.skip * kBlockSize;
    if (file_.read_some(data, out) != out.size()) {
        fail_damaged(data);
    }
    for (uint64_t i = 0; i < piece.count; ++i) {
        if (xxh3_64(out.subspan(i * kBlockSize, kBlockSize)) !=
            le64(table, (piece.skip + i) * kHashSize)) {
            fail_damaged(data + i * kBlockSize);
        }
    }
}

void Layer::reserve_until(uint64_t end) {
    if (end <= reserved_end_) {
        return;
    }
    const std::lock_guard lock(space_mutex_);
    const uint64_t from = reserved_end_;
    if (end <= from) {
        return;
    }
    const auto ahead = round_up(end, kReserveStep);
    try {
        file_.allocate(from, ahead - from);
        reserved_end_ = ahead;
    } catch (const std::system_error& error) {
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
        file_.allocate(from, end - from);  // what is needed may still fit
        reserved_end_ = end;
    }
}

std::vector<StoredPiece> Layer::commit(const Overlay& changes,
                                       const std::function<void()>& publish) {
    TransactionWriter writer(file_, header_, position_);
    changes.visit(0, blocks_of(header_.device_size),
                  [&](uint64_t first, uint64_t count, Overlay::Kind kind, const Block* data) {
                      if (kind == Overlay::Kind::data) {
                          writer.put_block(first, *data);
                      } else if (kind == Overlay::Kind::zeros) {
                          writer.put_zeros(first, count);
                      }
                  });
    writer.finish_records();
    file_.sync();
    publish();
    const auto position = writer.write_commit();
    file_.sync();
    position_ = position;
    return writer.pieces();
}

void Layer::close_clean() {
    file_.truncate(position_.end);
    if (header_.clean_end == position_.end) {
        return;
    }
    header_.clean_end = position_.end;
    header_.clean_transaction = position_.transaction;
    ++header_.generation;
    // One copy is whole at any moment.
    write_header_copy(kHeaderSize);
    file_.sync();
    write_header_copy(0);
    file_.sync();
}

void Layer::write_header_copy(uint64_t offset) {
    file_.write(offset, encode(header_));
}

void Layer::fail_damaged(uint64_t offset) const {
    fail(EUCLEAN, name() + ": damaged at byte " + format_count(offset) +
                      "; put back a copy of the folder, or move it away to go back to the image "
                      "as saved");
}

}  // namespace imgfs
