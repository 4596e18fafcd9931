#include "fs/store/delta_store.h"

#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/delta_lock.h"
#include "fs/store/layer.h"
#include "fs/store/layer_list.h"

namespace imgfs {
namespace {

constexpr std::string_view kListName = "layers";
constexpr std::string_view kLayerName = "000001.layer";
constexpr std::string_view kSpareName = "layers.spare";
constexpr std::string_view kOpenState = "open";
constexpr uint64_t kMaxListSize = 64 * kMiB;

template <typename Value>
Value random_value() {
    Value value{};
    if (::getrandom(&value, sizeof value, 0) != sizeof value) {
        fail_errno("random numbers");
    }
    return value;
}

std::chrono::system_clock::time_point time_of(int64_t since_1970_ns) {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(since_1970_ns)));
}

bool is_there(const std::filesystem::path& path) {
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        fail_errno(path.string());
    }
    return false;
}

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

DeltaStore::DeltaStore(DeltaOptions options)
    : options_(std::move(options)),
      log_end_(kLogStart),
      list_{.device_size = options_.device_size, .identity = options_.identity} {
    if (options_.device_size == 0 || options_.device_size > kMaxDeviceSize) {
        fail(EINVAL, "a device of " + std::to_string(options_.device_size) + " bytes has no delta");
    }
    if (options_.access == DeltaAccess::read_write) {
        lock_ = std::make_unique<DeltaLock>(options_.folder, options_.use);
    }
    if (is_there(options_.folder / kListName)) {
        open_layer();
    } else {
        refuse_unlisted_layer();
    }
}

DeltaStore::~DeltaStore() {
    try {
        close();
    } catch (const std::exception&) {
        // All commits are durable; without the note the next open does without it.
    }
}

void DeltaStore::open_layer() {
    const auto path = options_.folder / kListName;
    auto list = parse_layer_list(read_file(path, kMaxListSize), path.string());
    if (list.identity != options_.identity || list.device_size != options_.device_size) {
        fail_foreign();
    }
    if (list.layers.size() != 1 || list.layers[0].state != kOpenState) {
        fail(ENOTSUP, path.string() + ": holds recovery points, which only a newer imgfs can read");
    }
    const auto& entry = list.layers[0];
    if (!is_there(options_.folder / entry.file)) {
        fail(EUCLEAN, (options_.folder / entry.file).string() + ": is gone, and its changes with " +
                          "it; put back a copy of the folder, or move it away to go back to the " +
                          "image as saved");
    }
    layer_ = std::make_unique<Layer>(options_.folder / entry.file,
                                     options_.access == DeltaAccess::read_write, options_.watcher,
                                     index_);
    const auto& header = layer_->header();
    if (header.uuid != entry.uuid || header.identity != list.identity ||
        header.device_size != list.device_size) {
        fail(EUCLEAN, layer_->name() + ": is not the layer that " + path.string() +
                          " names; put back a copy of the folder");
    }
    list_ = std::move(list);
    listed_ = true;
    note_commit();
    if (options_.content) {
        check_content(options_.content());
    }
}

void DeltaStore::fail_foreign() const {
    fail(EUCLEAN, options_.folder.string() +
                      ": belongs to another image (content differs); name the image it was made "
                      "for, or give another folder with --delta");
}

void DeltaStore::check_content(const Hash128& content) const {
    if (content != Hash128{} && list_.content != Hash128{} && content != list_.content) {
        fail_foreign();
    }
}

// Needs mutex_. An image may have been indexed only after its delta was opened, or made.
void DeltaStore::bind_content() {
    const auto content = options_.content ? options_.content() : Hash128{};
    check_content(content);
    if (list_.content == Hash128{} && content != Hash128{}) {
        list_.content = content;
        if (listed_) {
            replace_watched(options_.folder / kListName, bytes_of(format_layer_list(list_)),
                            options_.watcher);
        }
    }
    bound_ = true;
}

// The order of writes puts the list before the first commit: a commit that is not listed was, once.
void DeltaStore::refuse_unlisted_layer() {
    const auto path = options_.folder / kLayerName;
    if (!is_there(path)) {
        return;
    }
    const auto any = [](const Commit&) { return true; };
    const auto file = LayerFile::open(path, false, options_.watcher);
    if (find_commit(file, kLogStart, any) && !is_there(options_.folder / kListName)) {
        fail(EUCLEAN, path.string() +
                          ": holds changes, but the file `layers` beside it is gone; "
                          "put back a copy of the folder, or move it away to go back "
                          "to the image as saved");
    }
}

// What a crash before the first commit may have left, or this session.
void DeltaStore::remove_unused() {
    remove_watched(options_.folder / kLayerName, options_.watcher);
    remove_watched(options_.folder / kSpareName, options_.watcher);
}

void DeltaStore::close() {
    if (!lock_ || !why_read_only().empty()) {
        return;
    }
    if (listed_) {
        layer_->close_clean();
        return;
    }
    layer_.reset();
    remove_unused();
    lock_->leave_nothing();
}

DeltaState DeltaStore::state() const {
    const std::shared_lock lock(mutex_);
    return state_;
}

bool DeltaStore::read_only() const {
    return options_.access == DeltaAccess::read_only || !why_read_only().empty();
}

std::string DeltaStore::why_read_only() const {
    const std::shared_lock lock(mutex_);
    return stopped_by_;
}

std::vector<StoredPiece> DeltaStore::find(uint64_t first, uint64_t end) const {
    const std::shared_lock lock(mutex_);
    return index_.find(first, end);
}

void DeltaStore::read(const StoredPiece& piece, uint64_t offset, ByteSpan out) const {
    const auto first = offset / kBlockSize;
    const auto end = blocks_of(offset + out.size());
    const StoredPiece wanted{first, end - first, piece.kind, piece.record,
                             piece.skip + first - piece.first_block};
    if (out.size() == wanted.count * kBlockSize) {
        layer_->read(wanted, out);
        return;
    }
    Bytes blocks(wanted.count * kBlockSize);
    layer_->read(wanted, blocks);
    const auto part = ConstByteSpan(blocks).subspan(offset % kBlockSize, out.size());
    std::ranges::copy(part, out.begin());
}

uint64_t DeltaStore::space_for(uint64_t data_blocks, uint64_t zero_runs) {
    if (data_blocks == 0 && zero_runs == 0) {
        return 0;
    }
    const auto records =
        data_blocks * (kRecordHeaderSize + data_payload(1)) + zero_runs * kRecordHeaderSize;
    return round_up(records, kCommitSize) + 2 * kCommitSize;
}

void DeltaStore::reserve_until(uint64_t end) {
    layer_for_writing().reserve_until(end);
}

Layer& DeltaStore::layer_for_writing() {
    {
        const std::shared_lock lock(mutex_);
        if (!stopped_by_.empty() || options_.access == DeltaAccess::read_only) {
            fail(EROFS, stopped_by_.empty() ? "the delta is open read-only" : stopped_by_);
        }
        if (layer_ && bound_) {
            return *layer_;
        }
    }
    const std::unique_lock lock(mutex_);
    if (!bound_) {
        bind_content();
    }
    if (!layer_) {
        create_layer();
    }
    return *layer_;
}

void DeltaStore::create_layer() {
    const LayerHeader header{.generation = 1,
                             .device_size = options_.device_size,
                             .uuid = random_value<Uuid>(),
                             .identity = options_.identity,
                             .salt = random_value<uint64_t>(),
                             .created_ns = now_ns()};
    const auto path = options_.folder / kLayerName;
    remove_unused();
    try {
        // So that the list finds its space when the changes have taken all the rest.
        LayerFile::create(options_.folder / kSpareName, options_.watcher).write(0, Block{});
        layer_ = std::make_unique<Layer>(path, header, options_.watcher);
    } catch (...) {
        remove_unused();
        throw;
    }
}

void DeltaStore::commit(const Overlay& changes) {
    if (changes.empty()) {
        return;
    }
    auto& layer = layer_for_writing();
    try {
        const auto added = layer.commit(changes, [this] { publish_layer(); });
        const std::unique_lock lock(mutex_);
        for (const auto& piece : added) {
            index_.add(piece);
        }
        note_commit();
    } catch (const std::exception& error) {
        stop_writing(message_of(error));
        throw;
    }
}

void DeltaStore::publish_layer() {
    if (listed_) {
        return;
    }
    sync_folder_watched(options_.folder, options_.watcher);
    for (const auto& made : lock_->made_folders()) {
        sync_folder_watched(made.parent_path(), options_.watcher);
    }
    const auto& header = layer_->header();
    list_.layers = {{std::string(kLayerName), header.uuid, header.parent, std::string(kOpenState)}};
    remove_watched(options_.folder / kSpareName, options_.watcher);
    replace_watched(options_.folder / kListName, bytes_of(format_layer_list(list_)),
                    options_.watcher);
    listed_ = true;
}

void DeltaStore::stop_writing(const std::string& reason) {
    const std::unique_lock lock(mutex_);
    stopped_by_ = "no more changes after a failed write (" + reason +
                  "); unmount and mount again: all up to the last commit is safe";
}

void DeltaStore::note_commit() {
    const auto& position = layer_->position();
    log_end_ = position.end;
    state_.exists = position.transaction != 0;
    state_.commits = position.transaction;
    state_.stored_bytes = position.end;
    if (state_.exists) {
        state_.last_commit = time_of(position.time_ns);
    }
}

}  // namespace imgfs
