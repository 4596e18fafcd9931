#include "fs/store/transaction_writer.h"

#include <algorithm>

#include "fs/source/zstd_buffer.h"
#include "fs/store/recovery_point.h"

namespace imgfs {
namespace {

constexpr size_t kWriteSize = kMiB;
constexpr int kZstdLevel = 1;
constexpr size_t kGain = 8;  // packed blocks are stored if that saves this part of them at least
constexpr size_t kSampleBlocks = 4;
constexpr size_t kSampleGain = 32;  // a long run is packed if that saves this part of a sample

void append(Bytes& buffer, ConstByteSpan bytes) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
}

}  // namespace

TransactionWriter::TransactionWriter(LayerFile& file, const LayerHeader& header,
                                     const LogPosition& from)
    : file_(file), header_(header), from_(from), offset_(from.end), chain_(from.chain) {
    buffer_.reserve(kWriteSize + kRecordHeaderSize + data_payload(kMaxDataBlocks));
}

void TransactionWriter::put_block(uint64_t block, const Block& data) {
    end_zero_run();
    if (block != first_block_ + data_run_.size() || data_run_.size() == kMaxDataBlocks) {
        end_data_run();
    }
    if (data_run_.empty()) {
        first_block_ = block;
    }
    data_run_.push_back(&data);
}

void TransactionWriter::put_zeros(uint64_t first, uint64_t count) {
    end_data_run();
    if (first != first_block_ + zero_run_) {
        end_zero_run();
    }
    if (zero_run_ == 0) {
        first_block_ = first;
    }
    zero_run_ += count;
}

void TransactionWriter::finish_records() {
    end_data_run();
    end_zero_run();
    write_buffer();
}

LogPosition TransactionWriter::write_commit() {
    const Commit commit{.salt = header_.salt,
                        .transaction = from_.transaction + 1,
                        .offset = round_up(offset_, kCommitSize),
                        .begin = from_.end,
                        .records = pieces_.size(),
                        .chain = chain_,
                        .device_size = header_.device_size,
                        .time_ns = now_ns()};
    const auto copy = encode(commit);
    append(buffer_, copy);
    append(buffer_, copy);
    offset_ = commit.offset;
    write_buffer();
    auto data_blocks = from_.data_blocks;
    for (const auto& piece : pieces_) {
        data_blocks += piece.kind == StoredPiece::Kind::data ? piece.count : 0;
    }
    return {commit.end(), commit.transaction, commit.chain, commit.time_ns, data_blocks};
}

void TransactionWriter::end_data_run() {
    if (data_run_.empty()) {
        return;
    }
    Bytes table(data_run_.size() * kHashSize);
    for (size_t i = 0; i < data_run_.size(); ++i) {
        store(table, i * kHashSize, xxh3_64(*data_run_[i]));
    }
    const auto start = buffer_.size();
    buffer_.resize(start + kRecordHeaderSize);  // filled when the length is known
    append(buffer_, table);
    const auto codec = append_blocks(buffer_);
    const auto header = next_header(
        {.type = RecordType::data,
         .codec = codec,
         .first_block = first_block_,
         .block_count = static_cast<uint32_t>(data_run_.size()),
         .stored_length = static_cast<uint32_t>(buffer_.size() - start - kRecordHeaderSize),
         .payload_hash = xxh3_64(table)});
    std::ranges::copy(header, buffer_.begin() + static_cast<ptrdiff_t>(start));
    pieces_.push_back(
        {first_block_, data_run_.size(), StoredPiece::Kind::data, offset_ + start, 0});
    data_run_.clear();
    if (buffer_.size() >= kWriteSize) {
        write_buffer();
    }
}

/// Appends the run's blocks to `record` as they are stored.
RecordCodec TransactionWriter::append_blocks(Bytes& record) {
    if ((header_.incompat & kPackedRecords) != 0 && is_worth_packing()) {
        plain_.clear();
        for (const auto* block : data_run_) {
            append(plain_, *block);
        }
        packed_.resize(plain_.size() - plain_.size() / kGain);
        if (const auto size = zstd_pack(plain_, packed_, kZstdLevel)) {
            append(record, ConstByteSpan(packed_).first(*size));
            return RecordCodec::zstd;
        }
    }
    for (const auto* block : data_run_) {
        append(record, *block);
    }
    return RecordCodec::raw;
}

/// Of a long run a few blocks tell that it is packed or random already.
bool TransactionWriter::is_worth_packing() {
    if (data_run_.size() <= 2 * kSampleBlocks) {
        return true;
    }
    plain_.clear();
    for (size_t i = 0; i < kSampleBlocks; ++i) {
        append(plain_, *data_run_[i * (data_run_.size() - 1) / (kSampleBlocks - 1)]);
    }
    packed_.resize(plain_.size() - plain_.size() / kSampleGain);
    return zstd_pack(plain_, packed_, kZstdLevel).has_value();
}

void TransactionWriter::end_zero_run() {
    while (zero_run_ != 0) {
        const auto count = std::min(zero_run_, kMaxZeroBlocks);
        pieces_.push_back({first_block_, count, StoredPiece::Kind::zeros, 0, 0});
        append(buffer_, next_header({.type = RecordType::zeros,
                                     .first_block = first_block_,
                                     .block_count = static_cast<uint32_t>(count)}));
        first_block_ += count;
        zero_run_ -= count;
    }
}

/// Of the record that follows, as it stands in the log.
RecordBytes TransactionWriter::next_header(RecordHeader header) {
    header.salt = header_.salt;
    header.transaction = from_.transaction + 1;
    const auto bytes = encode(header);
    chain_ = continue_chain(chain_, bytes);
    return bytes;
}

void TransactionWriter::write_buffer() {
    if (!buffer_.empty()) {
        file_.write(offset_, buffer_);
        offset_ += buffer_.size();
        buffer_.clear();
    }
}

}  // namespace imgfs
