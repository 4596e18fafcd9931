#include "fs/transfer/export_point.h"

#include <algorithm>

#include "fs/store/point_archive.h"
#include "fs/transfer/pending_file.h"

namespace imgfs {
namespace {

constexpr uint64_t kCopySize = kMiB;

void check_all(const Layer& layer, const Progress& progress) {
    Bytes blocks;
    layer.visit_records([&](const StoredPiece& record) {
        if (record.kind == StoredPiece::Kind::data) {
            blocks.resize(record.count * kBlockSize);
            layer.read(record, blocks);
        }
        if (progress) {
            progress(record.record, 2 * layer.position().end);
        }
    });
}

/// Appends to a file, and hashes what it appends.
class Appender {
  public:
    explicit Appender(PendingFile& file) : file_(file) {}

    void append(ConstByteSpan bytes) {
        write_exactly(file_.fd(), offset_, bytes, file_.name());
        hash_.update(bytes);
        offset_ += bytes.size();
    }
    uint64_t offset() const { return offset_; }
    uint64_t hash() const { return hash_.digest(); }

  private:
    PendingFile& file_;
    Xxh64 hash_;
    uint64_t offset_ = 0;
};

}  // namespace

uint64_t export_point(const DeltaStore& delta, const std::string& point,
                      const std::filesystem::path& path, const Progress& progress) {
    const auto exported = delta.exported(point);
    check_all(*exported.layer, progress);
    PendingFile pending(path);
    Appender file(pending);
    file.append(archive_head(exported.list));
    const auto end = exported.layer->position().end;
    Bytes bytes(kCopySize);
    for (uint64_t at = 0; at < end; at += bytes.size()) {
        bytes.resize(std::min(kCopySize, end - at));
        exported.layer->read_as_it_stands(at, bytes);
        file.append(bytes);
        if (progress) {
            progress(end + at, 2 * end);
        }
    }
    Bytes tail(kArchiveTail);
    store(tail, 0, file.hash());
    file.append(tail);
    pending.finish();
    pending.publish(path);
    sync_directory(std::filesystem::absolute(path).parent_path());
    return file.offset();
}

}  // namespace imgfs
