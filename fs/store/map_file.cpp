#include "fs/store/map_file.h"

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "imgfsmap";
constexpr uint32_t kVersion = 2;
constexpr size_t kPageSize = 4096;
constexpr size_t kPageChecksum = kPageSize - 8;
constexpr size_t kPageHead = 8;
constexpr size_t kEntrySize = 24;
constexpr uint32_t kPageEntries = (kPageChecksum - kPageHead) / kEntrySize;
constexpr uint64_t kMaxPages = 1ULL << 32U;
constexpr size_t kWriteSize = kMiB;
constexpr size_t kCheckSize = kMiB;

using Kind = StoredPiece::Kind;

bool is_whole(ConstByteSpan page) {
    return le64(page, kPageChecksum) == xxh3_64(page.first(kPageChecksum));
}

void encode(const StoredPiece& piece, ByteSpan out) {
    store(out, 0, piece.first_block);
    store(out, 8, piece.record);
    store(out, 16, static_cast<uint32_t>(piece.count));
    store(out, 20, static_cast<uint16_t>(piece.skip));
    store(out, 22, static_cast<uint16_t>(piece.kind));
}

StoredPiece decode(ConstByteSpan bytes) {
    return {.first_block = le64(bytes, 0),
            .count = le32(bytes, 16),
            .kind = static_cast<Kind>(le16(bytes, 22)),
            .record = le64(bytes, 8),
            .skip = le16(bytes, 20)};
}

/// What a sound page can hold, behind `at`.
bool is_possible(const StoredPiece& piece, uint64_t at, uint64_t device_blocks) {
    const bool data = piece.kind == Kind::data;
    return (data || piece.kind == Kind::zeros) && piece.count > 0 && piece.first_block >= at &&
           piece.first_block <= device_blocks && piece.count <= device_blocks - piece.first_block &&
           (!data || (piece.record >= kLogStart && piece.skip + piece.count <= kMaxDataBlocks));
}

uint64_t page_offset(size_t number) {
    return (number + 1) * kPageSize;  // behind the header
}

}  // namespace

std::optional<MapFile> MapFile::open(const std::filesystem::path& path, const LayerHeader& layer) {
    MapFile map(LayerFile::open(path, false, nullptr));
    if (!map.read_header(layer) || !map.read_top() || !map.check_pages()) {
        return std::nullopt;
    }
    return map;
}

bool MapFile::read_header(const LayerHeader& layer) {
    Bytes bytes(kPageSize);
    if (file_.read_some(0, bytes) != bytes.size() || !is_whole(bytes) ||
        text_of(ConstByteSpan(bytes).first(8)) != kMagic || le32(bytes, 8) != kVersion ||
        !std::ranges::equal(ConstByteSpan(bytes).subspan(16, layer.uuid.size()), layer.uuid) ||
        le64(bytes, 32) != layer.salt) {
        return false;
    }
    range_ = {.from = le64(bytes, 40),
              .to = {.end = le64(bytes, 56),
                     .transaction = le64(bytes, 48),
                     .chain = le64(bytes, 64),
                     .time_ns = load<int64_t>(bytes, 72),
                     .data_blocks = le64(bytes, 112)}};
    entries_ = le64(bytes, 80);
    const auto pages = le64(bytes, 88);
    top_hash_ = le64(bytes, 96);
    device_blocks_ = blocks_of(layer.device_size);
    data_blocks_ = le64(bytes, 104);
    if (pages > kMaxPages || file_.size() != page_offset(pages) + pages * 8) {
        return false;
    }
    top_.resize(pages);
    return true;
}

bool MapFile::read_top() {
    Bytes bytes(top_.size() * 8);
    if (file_.read_some(page_offset(top_.size()), bytes) != bytes.size() ||
        xxh3_64(bytes) != top_hash_) {
        return false;
    }
    for (size_t i = 0; i < top_.size(); ++i) {
        top_[i] = le64(bytes, i * 8);
    }
    return std::ranges::is_sorted(top_);
}

/// One page as it stands in the file.
class MapFile::Page {
  public:
    explicit Page(ConstByteSpan bytes) { std::ranges::copy(bytes, bytes_.begin()); }
    Page(const LayerFile& file, size_t number) {
        if (file.read_some(page_offset(number), bytes_) != bytes_.size()) {
            bytes_ = {};
        }
    }

    bool is_sound() const { return is_whole(bytes_) && size() >= 1 && size() <= kPageEntries; }
    uint32_t size() const { return le32(bytes_, 0); }
    StoredPiece operator[](uint32_t entry) const {
        return decode(ConstByteSpan(bytes_).subspan(kPageHead + entry * kEntrySize));
    }

    /// The first entry that ends behind `block`.
    uint32_t entry_behind(uint64_t block) const {
        const auto numbers = std::views::iota(uint32_t{0}, size());
        return *std::ranges::partition_point(
            numbers, [&](uint32_t entry) { return (*this)[entry].end() <= block; });
    }

    /// Ascending pieces of such a device?
    bool is_possible(uint64_t device_blocks) const {
        uint64_t at = 0;
        for (uint32_t entry = 0; entry < size(); ++entry) {
            const auto piece = (*this)[entry];
            if (!imgfs::is_possible(piece, at, device_blocks)) {
                return false;
            }
            at = piece.end();
        }
        return true;
    }

  private:
    std::array<std::byte, kPageSize> bytes_{};
};

bool MapFile::check_pages() {
    filter_ = RegionFilter(device_blocks_, entries_);
    Bytes bytes(kCheckSize);
    for (size_t number = 0; number < top_.size();) {
        const auto pages = std::min(bytes.size() / kPageSize, top_.size() - number);
        const auto part = ByteSpan(bytes).first(pages * kPageSize);
        if (file_.read_some(page_offset(number), part) != part.size()) {
            return false;
        }
        for (size_t i = 0; i < pages; ++i, ++number) {
            const Page page(part.subspan(i * kPageSize, kPageSize));
            if (!page.is_sound() || !page.is_possible(device_blocks_) ||
                page[0].first_block != top_[number]) {
                return false;
            }
            for (uint32_t entry = 0; entry < page.size(); ++entry) {
                filter_.add(page[entry].first_block, page[entry].end());
            }
        }
    }
    return true;
}

MapFile::Page MapFile::page(size_t number) const {
    Page page(file_, number);
    if (!page.is_sound() || page[0].first_block != top_[number]) {
        fail(EUCLEAN, file_.name() + ": damaged at byte " + format_count(page_offset(number)) +
                          "; remove it, it is made again from the layer beside it");
    }
    return page;
}

/// Where the piece that holds `block`, or the next one, can stand first.
size_t MapFile::page_of(uint64_t block) const {
    const auto behind = std::ranges::upper_bound(top_, block);
    return static_cast<size_t>(behind - top_.begin()) - (behind == top_.begin() ? 0 : 1);
}

void MapFile::visit(uint64_t first, uint64_t end,
                    const std::function<void(const StoredPiece&)>& visit) const {
    if (!filter_.may_have(first, end)) {
        return;
    }
    for (auto number = page_of(first); number < top_.size() && top_[number] < end; ++number) {
        const auto page = this->page(number);
        for (auto entry = page.entry_behind(first); entry < page.size(); ++entry) {
            const auto piece = page[entry];
            if (piece.first_block >= end) {
                return;
            }
            visit(piece.part(first, end));
        }
    }
}

std::optional<uint64_t> MapFile::next(uint64_t first) const {
    for (auto number = page_of(first); number < top_.size(); ++number) {
        const auto page = this->page(number);
        const auto entry = page.entry_behind(first);
        if (entry < page.size()) {
            return std::max(first, page[entry].first_block);
        }
    }
    return std::nullopt;
}

MapWriter::MapWriter(const std::filesystem::path& path, const LayerHeader& layer,
                     FileWatcher* watcher)
    : layer_(layer),
      map_([&] {
          remove_watched(path, watcher);
          return LayerFile::create(path, watcher);
      }()),
      page_(kPageSize),
      offset_(page_offset(0)) {}

void MapWriter::put(const StoredPiece& piece) {
    map_.data_blocks_ += piece.kind == Kind::data ? piece.count : 0;
    if (last_ && last_->kind == piece.kind && last_->end() == piece.first_block &&
        (piece.kind == Kind::zeros
             ? last_->count + piece.count <= kMaxZeroBlocks
             : last_->record == piece.record && last_->skip + last_->count == piece.skip)) {
        last_->count += piece.count;
        encode(*last_, ByteSpan(page_).subspan(kPageHead + (in_page_ - 1) * kEntrySize));
        return;
    }
    if (in_page_ == kPageEntries) {
        end_page();
    }
    if (in_page_ == 0) {
        map_.top_.push_back(piece.first_block);
    }
    encode(piece, ByteSpan(page_).subspan(kPageHead + in_page_ * kEntrySize));
    last_ = piece;
    ++in_page_;
    ++map_.entries_;
}

void MapWriter::end_page() {
    store(page_, 0, in_page_);
    store(page_, kPageChecksum, xxh3_64(ConstByteSpan(page_).first(kPageChecksum)));
    buffer_.insert(buffer_.end(), page_.begin(), page_.end());
    std::ranges::fill(page_, std::byte{});
    in_page_ = 0;
    last_.reset();
    if (buffer_.size() >= kWriteSize) {
        write_buffer();
    }
}

void MapWriter::write_buffer() {
    map_.file_.write(offset_, buffer_);
    offset_ += buffer_.size();
    buffer_.clear();
}

MapFile MapWriter::finish(const MapRange& range) {
    if (in_page_ > 0) {
        end_page();
    }
    Bytes top(map_.top_.size() * 8);
    for (size_t i = 0; i < map_.top_.size(); ++i) {
        store(top, i * 8, map_.top_[i]);
    }
    buffer_.insert(buffer_.end(), top.begin(), top.end());
    write_buffer();
    Bytes header(kPageSize);
    std::ranges::copy(bytes_of(kMagic), header.begin());
    store(header, 8, kVersion);
    std::ranges::copy(layer_.uuid, header.begin() + 16);
    store(header, 32, layer_.salt);
    store(header, 40, range.from);
    store(header, 48, range.to.transaction);
    store(header, 56, range.to.end);
    store(header, 64, range.to.chain);
    store(header, 72, range.to.time_ns);
    store(header, 80, map_.entries_);
    store(header, 88, static_cast<uint64_t>(map_.top_.size()));
    store(header, 96, xxh3_64(top));
    store(header, 104, map_.data_blocks_);
    store(header, 112, range.to.data_blocks);
    store(header, kPageChecksum, xxh3_64(ConstByteSpan(header).first(kPageChecksum)));
    map_.file_.write(0, header);
    map_.file_.sync();
    map_.range_ = range;
    map_.top_hash_ = xxh3_64(top);
    map_.device_blocks_ = blocks_of(layer_.device_size);
    if (!map_.check_pages()) {
        fail(EIO, map_.file_.name() + ": isn't read as it was written");
    }
    return std::move(map_);
}

}  // namespace imgfs
