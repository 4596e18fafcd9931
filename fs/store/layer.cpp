#include "fs/store/layer.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/source/zstd_buffer.h"
#include "fs/store/kept_maps.h"
#include "fs/store/log_reader.h"
#include "fs/store/random_value.h"
#include "fs/store/transaction_writer.h"

namespace imgfs {
namespace {

constexpr uint64_t kReserveStep = 8 * kMiB;
// The next open walks through what isn't in a map file: that should take seconds at most.
constexpr uint64_t kUnmappedLog = 256 * kMiB;
constexpr uint64_t kSmallLayer = kMiB;  // of which nothing is to be got back
constexpr uint64_t kFewPieces = 64;     // below that part of what memory may hold, a walk is quick

}  // namespace

Layer::Layer(const std::filesystem::path& path, const LayerHeader& header,
             const LayerContext& context)
    : context_(context),
      writable_(true),
      file_(LayerFile::create(path, context.watcher)),
      header_(header),
      reserved_end_(kLogStart) {
    position_.chain = header.salt;
    write_header_copy(0);
    write_header_copy(kHeaderSize);
}

Layer::Layer(const std::filesystem::path& path, bool writable, const LayerContext& context)
    : context_(context),
      writable_(writable),
      file_(LayerFile::open(path, writable, context.watcher)) {
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
    position_ = read_maps();
    const auto take = [&](const LogPosition& position, const std::vector<StoredPiece>& pieces) {
        position_ = position;
        add_to_map(pieces);
        if (map_is_due()) {
            use_map(write_map(MapPart::recent));
        }
    };
    LogReader reader(file_, header_, position_, take);
    position_ = reader.read();
    reserved_end_ = position_.end;
    if (writable) {
        mend(reader.bad_copies());
        remove_other_maps(file_.path(), map_.files(), context_.watcher);
    }
}

/// How far the maps beside it reach.
LogPosition Layer::read_maps() {
    auto maps = find_maps(file_.path(), header_);
    if (!maps.empty() && ends_commit(file_, header_, maps.back().range().to)) {
        const auto position = maps.back().range().to;
        map_ = LayerMap(std::move(maps));
        return position;
    }
    return {.chain = header_.salt};
}

void Layer::add_to_map(const std::vector<StoredPiece>& pieces) {
    for (const auto& piece : pieces) {
        map_.add(piece);
    }
}

bool Layer::map_is_due() const {
    const auto mapped = map_.files().empty() ? kLogStart : map_.files().back().range().to.end;
    return map_.recent() >= context_.map_pieces ||
           (map_.recent() >= context_.map_pieces / kFewPieces &&
            position_.end - mapped >= kUnmappedLog);
}

Layer::NewMap Layer::write_map(MapPart part) const {
    const auto merged = part == MapPart::all ? map_.files().size() : map_.worth_merging();
    const auto kept = map_.files().size() - merged;
    if (writable_) {
        const auto path = map_path(file_.path(), position_.transaction);
        try {
            MapWriter writer(path, header_, context_.watcher);
            return {kept, map_.merge(kept, writer, position_)};
        } catch (...) {
            remove_watched(path, context_.watcher);  // it takes space
            throw;
        }
    }
    // Nothing is written beside what was opened for reading.
    const auto path =
        std::filesystem::temp_directory_path() / ("imgfs-" + hex(random_value<Uuid>()));
    MapWriter writer(path, header_, nullptr);
    remove_watched(path, nullptr);
    return {kept, map_.merge(kept, writer, position_)};
}

std::vector<std::filesystem::path> Layer::use_map(NewMap map) {
    const auto path = map.file.path();
    std::vector<std::filesystem::path> unused;
    for (const auto& file : map_.replace(map.kept, std::move(map.file))) {
        if (file.path() != path) {  // which may have replaced one of that name
            unused.push_back(file.path());
        }
    }
    return unused;
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

/// The start of a data record: its header and its table of hashes.
struct Layer::Record {
    std::array<std::byte, kRecordHeaderSize + kMaxDataBlocks * kHashSize> bytes{};
    RecordHeader header;

    ConstByteSpan table() const {
        return ConstByteSpan(bytes).subspan(kRecordHeaderSize, header.block_count * kHashSize);
    }
    uint64_t data_start() const { return kRecordHeaderSize + table().size(); }
    uint64_t data_length() const { return header.stored_length - table().size(); }
};

void Layer::read(const StoredPiece& piece, ByteSpan out) const {
    const auto record = read_record(piece);
    read_blocks(record, piece, out);
    for (uint64_t i = 0; i < piece.count; ++i) {
        if (xxh3_64(out.subspan(i * kBlockSize, kBlockSize)) !=
            le64(record.table(), (piece.skip + i) * kHashSize)) {
            const auto stored = record.header.codec == RecordCodec::raw ? piece.skip + i : 0;
            fail_damaged(piece.record + record.data_start() + stored * kBlockSize);
        }
    }
}

Layer::Record Layer::read_record(const StoredPiece& piece) const {
    Record record;
    const auto got = file_.read_some(piece.record, record.bytes);
    const auto header = decode_record(ConstByteSpan(record.bytes).first(got));
    if (!header || header->type != RecordType::data || header->salt != header_.salt ||
        header->first_block + piece.skip != piece.first_block ||
        piece.skip + piece.count > header->block_count ||
        got < kRecordHeaderSize + header->block_count * kHashSize) {
        fail_damaged(piece.record);
    }
    record.header = *header;
    if (xxh3_64(record.table()) != header->payload_hash) {
        fail_damaged(piece.record + kRecordHeaderSize);
    }
    return record;
}

void Layer::read_blocks(const Record& record, const StoredPiece& piece, ByteSpan out) const {
    if (record.header.codec == RecordCodec::raw) {
        const auto data = piece.record + record.data_start() + piece.skip * kBlockSize;
        if (file_.read_some(data, out) != out.size()) {
            fail_damaged(data);
        }
        return;
    }
    const UnpackedRecords::Name name{header_.salt, piece.record};
    auto blocks = context_.unpacked->find(name);
    if (!blocks) {
        blocks = unpack(record, piece.record);
        context_.unpacked->add(name, blocks);
    }
    const auto part = ConstByteSpan(*blocks).subspan(piece.skip * kBlockSize, out.size());
    std::ranges::copy(part, out.begin());
}

UnpackedRecords::Blocks Layer::unpack(const Record& record, uint64_t offset) const {
    Bytes packed(record.data_length());
    auto blocks = std::make_shared<Bytes>(record.header.block_count * kBlockSize);
    if (file_.read_some(offset + record.data_start(), packed) != packed.size() ||
        !zstd_unpack(packed, *blocks)) {
        fail_damaged(offset + record.data_start());
    }
    return blocks;
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

void Layer::end_log() {
    close_clean();
    file_.sync();  // of a layer without a commit, the header
}

void Layer::visit_records(const std::function<void(const StoredPiece&)>& visit) const {
    bool reached = position_.transaction == 0;
    const auto take = [&](const LogPosition& position, const std::vector<StoredPiece>& pieces) {
        if (reached) {
            return;  // what a writer has added since
        }
        std::ranges::for_each(pieces, visit);
        reached = position.transaction == position_.transaction &&
                  position.chain == position_.chain && position.end == position_.end;
    };
    const auto read = LogReader(file_, header_, {.chain = header_.salt}, take).read();
    if (!reached) {
        fail_damaged(read.end);
    }
}

void Layer::read_as_it_stands(uint64_t offset, ByteSpan out) const {
    if (file_.read_some(offset, out) != out.size()) {
        fail_damaged(offset);
    }
}

bool Layer::is_mostly_dead() const {
    return position_.end >= kSmallLayer && map_.recent() == 0 && map_.files().size() == 1 &&
           map_.files().front().data_blocks() * 2 < position_.data_blocks;
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
