#include "fs/store/log_reader.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr size_t kNearRead = 64 * kKiB;  // records follow closely
constexpr size_t kFarRead = 4 * kKiB;    // long payloads lie between
constexpr uint64_t kFarStep = 32 * kKiB;
constexpr uint64_t kScanRead = kMiB;

}  // namespace

std::optional<Commit> find_commit(const LayerFile& file, uint64_t start,
                                  const std::function<bool(const Commit&)>& wanted) {
    const auto size = file.size();
    Bytes chunk(std::min(size - std::min(size, start), kScanRead));
    for (; start < size; start += chunk.size()) {
        const auto length = file.read_some(start, chunk);
        for (size_t at = 0; at + kCommitSize <= length; at += kCommitSize) {
            const auto commit = decode_commit(ConstByteSpan(chunk).subspan(at, kCommitSize));
            const auto here = start + at;
            if (commit && (commit->offset == here || commit->offset + kCommitSize == here) &&
                wanted(*commit)) {
                return commit;
            }
        }
    }
    return std::nullopt;
}

bool ends_commit(const LayerFile& file, const LayerHeader& header, const LogPosition& position) {
    if (position.end < kLogStart + 2 * kCommitSize) {
        return false;
    }
    const auto first = position.end - 2 * kCommitSize;
    return std::ranges::any_of(std::array{first, first + kCommitSize}, [&](uint64_t copy) {
        CommitBytes bytes{};
        const auto length = file.read_some(copy, bytes);
        const auto commit = decode_commit(ConstByteSpan(bytes).first(length));
        return commit && commit->salt == header.salt && commit->offset == first &&
               commit->transaction == position.transaction && commit->chain == position.chain;
    });
}

LogReader::LogReader(const LayerFile& file, const LayerHeader& header, const LogPosition& from,
                     OnCommit on_commit)
    : file_(file),
      header_(header),
      on_commit_(std::move(on_commit)),
      position_(from),
      buffer_(kNearRead) {}

LogPosition LogReader::read() {
    uint64_t stopped_before = 0;
    for (;;) {
        while (read_transaction()) {
        }
        const auto later = find_later_commit();
        if (!later) {
            break;
        }
        // A writer may have gone on while this was reading: only what stays bad is damaged.
        if (stopped_at_ == stopped_before) {
            fail_damaged("commit " + format_count(later->transaction) + " stands behind it");
        }
        stopped_before = stopped_at_;
        buffered_ = 0;
    }
    if (position_.end < header_.clean_end) {
        fail_damaged("the log was closed at byte " + format_count(header_.clean_end));
    }
    return position_;
}

bool LogReader::read_transaction() {
    auto offset = position_.end;
    auto chain = position_.chain;
    pending_.clear();
    while (const auto record = record_at(offset)) {
        const auto is_data = record->type == RecordType::data;
        pending_.push_back({record->first_block, record->block_count,
                            is_data ? StoredPiece::Kind::data : StoredPiece::Kind::zeros,
                            is_data ? offset : 0, 0});
        chain = continue_chain(chain, fetch(offset));
        offset += kRecordHeaderSize + record->stored_length;
    }
    stopped_at_ = offset;
    return take_commit(round_up(offset, kCommitSize), pending_.size(), chain);
}

std::optional<RecordHeader> LogReader::record_at(uint64_t offset) {
    auto record = decode_record(fetch(offset));
    const auto device_blocks = blocks_of(header_.device_size);
    if (!record || record->type == RecordType::commit || record->salt != header_.salt ||
        record->transaction != position_.transaction + 1 || record->first_block > device_blocks ||
        record->block_count > device_blocks - record->first_block) {
        return std::nullopt;
    }
    return record;
}

bool LogReader::take_commit(uint64_t offset, uint64_t records, uint64_t chain) {
    const Commit expected{.salt = header_.salt,
                          .transaction = position_.transaction + 1,
                          .offset = offset,
                          .begin = position_.end,
                          .records = records,
                          .chain = chain,
                          .device_size = header_.device_size};
    std::optional<Commit> found;
    std::vector<uint64_t> bad;
    for (const auto copy : {offset, offset + kCommitSize}) {
        CommitBytes bytes{};
        const auto length = file_.read_some(copy, bytes);
        auto commit = decode_commit(ConstByteSpan(bytes).first(length));
        if (commit && commit->is_for(expected)) {
            found = commit;
        } else {
            bad.push_back(copy);
        }
    }
    if (!found || records == 0) {
        return false;
    }
    auto data_blocks = position_.data_blocks;
    for (const auto& piece : pending_) {
        data_blocks += piece.kind == StoredPiece::Kind::data ? piece.count : 0;
    }
    std::ranges::copy(bad, std::back_inserter(bad_copies_));
    position_ = {found->end(), found->transaction, found->chain, found->time_ns, data_blocks};
    on_commit_(position_, pending_);
    return true;
}

std::optional<Commit> LogReader::find_later_commit() const {
    return find_commit(file_, position_.end, [this](const Commit& commit) {
        return commit.salt == header_.salt && commit.transaction > position_.transaction;
    });
}

void LogReader::fail_damaged(const std::string& evidence) const {
    fail(EUCLEAN, file_.name() + ": damaged at or behind byte " + format_count(stopped_at_) +
                      ", in the changes after commit " + format_count(position_.transaction) +
                      " (" + evidence + "); put back a copy of the folder, or move it away to go " +
                      "back to the image as saved");
}

ConstByteSpan LogReader::fetch(uint64_t offset) {
    if (offset < buffer_start_ || offset + kRecordHeaderSize > buffer_start_ + buffered_) {
        const bool far = offset > buffer_start_ + buffered_ + kFarStep;
        buffer_start_ = offset;
        buffered_ = file_.read_some(offset, ByteSpan(buffer_).first(far ? kFarRead : kNearRead));
    }
    const auto start = static_cast<size_t>(offset - buffer_start_);
    return ConstByteSpan(buffer_).first(buffered_).subspan(
        start, std::min<size_t>(kRecordHeaderSize, buffered_ - start));
}

}  // namespace imgfs
