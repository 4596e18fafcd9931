#include "fs/store/delta_store.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/delta_folder.h"
#include "fs/store/delta_lock.h"
#include "fs/store/random_value.h"

namespace imgfs {
namespace {

constexpr uint64_t kMaxListSize = 64 * kMiB;
constexpr uint64_t kWalkedPieces = 4096;  // the next open may walk through so many
constexpr size_t kUnpackedRecords = 64;   // of 256 KiB at most

std::chrono::system_clock::time_point time_of(int64_t since_1970_ns) {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(since_1970_ns)));
}

Bytes read_list(const std::filesystem::path& path) {
    return read_file(path, kMaxListSize);
}

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

DeltaStore::DeltaStore(DeltaOptions options)
    : options_(std::move(options)),
      unpacked_(kUnpackedRecords),
      log_end_(kLogStart),
      list_{.device_size = options_.device_size, .identity = options_.identity} {
    if (options_.device_size == 0 || options_.device_size > kMaxDeviceSize) {
        fail(EINVAL, "a device of " + std::to_string(options_.device_size) + " bytes has no delta");
    }
    if (options_.access == DeltaAccess::read_write) {
        lock_ = std::make_unique<DeltaLock>(options_.folder, options_.use);
    }
    if (options_.access == DeltaAccess::read_write && !options_.at.empty()) {
        fail(EINVAL, "a recovery point can't be opened for changes");
    }
    open_layers();
}

DeltaStore::~DeltaStore() {
    try {
        close();
    } catch (const std::exception&) {
        // All commits are durable; without the note the next open does without it.
    }
}

LayerContext DeltaStore::context() {
    return {options_.watcher, &unpacked_, options_.map_pieces};
}

void DeltaStore::open_layers() {
    const auto path = list_path(options_.folder);
    for (;;) {
        const auto text = is_there(path) ? read_list(path) : Bytes();
        try {
            open_listed(text.empty() ? list_ : parse_layer_list(text, path.string()));
            return;
        } catch (const std::system_error&) {
            // A writer may have replaced it meanwhile, and what it named.
            if ((is_there(path) ? read_list(path) : Bytes()) == text) {
                throw;
            }
            layers_ = {};
            open_.reset();
        }
    }
}

void DeltaStore::open_listed(LayerList list) {
    if (list.identity != options_.identity || list.device_size != options_.device_size) {
        fail_foreign();
    }
    refuse_unlisted_layers(options_.folder, list);
    if (!options_.at.empty()) {
        list.layers.resize(layers_at(list, options_.at, options_.folder.string()));
    }
    for (const auto& entry : list.layers) {
        const auto path = options_.folder / entry.file;
        if (!is_there(path)) {
            fail(EUCLEAN, path.string() +
                              ": is gone, and its changes with it; put back a copy of " +
                              "the folder, or move it away to go back to the image as saved");
        }
        const bool writable = options_.access == DeltaAccess::read_write && !entry.seal;
        auto layer = std::make_shared<Layer>(path, writable, context());
        check_listed(list, entry, *layer);
        layers_.push(layer);
        open_ = entry.seal ? nullptr : std::move(layer);
    }
    list_ = std::move(list);
    note_commit();
    if (state_.exists && options_.content) {
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
        auto list = list_;
        list.content = content;
        if (!list.layers.empty()) {
            replace_list(std::move(list));
        } else {
            list_ = std::move(list);
        }
    }
    bound_ = true;
}

void DeltaStore::replace_list(LayerList list) {
    replace_watched(list_path(options_.folder), bytes_of(format_layer_list(list)),
                    options_.watcher);
    list_ = std::move(list);
}

// What a crash before its first commit may have left, or this session.
void DeltaStore::remove_unused(const std::filesystem::path& layer) {
    remove_watched(layer, options_.watcher);
    remove_watched(spare_path(options_.folder), options_.watcher);
}

void DeltaStore::close() {
    if (!lock_ || !why_read_only().empty()) {
        return;
    }
    if (open_ && is_listed()) {
        if (open_->map().recent() >= kWalkedPieces) {
            write_map(*open_, false);
        }
        open_->close_clean();
        return;
    }
    if (open_) {
        remove_unused(open_->path());
    }
    if (list_.layers.empty()) {
        lock_->leave_nothing();
    }
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
    return layers_.find(first, end);
}

std::optional<uint64_t> DeltaStore::next(uint64_t first) const {
    const std::shared_lock lock(mutex_);
    return layers_.next(first);
}

void DeltaStore::read(const StoredPiece& piece, uint64_t offset, ByteSpan out) const {
    std::shared_ptr<Layer> layer;
    {
        const std::shared_lock lock(mutex_);
        layer = layers_[piece.layer];
    }
    const auto wanted = piece.part(offset / kBlockSize, blocks_of(offset + out.size()));
    if (out.size() == wanted.count * kBlockSize) {
        layer->read(wanted, out);
        return;
    }
    Bytes blocks(wanted.count * kBlockSize);
    layer->read(wanted, blocks);
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
        if (open_ && bound_) {
            return *open_;
        }
    }
    const std::unique_lock lock(mutex_);
    if (!bound_) {
        bind_content();
    }
    if (!open_) {
        auto layer = make_layer();
        layers_.push(layer);
        open_ = std::move(layer);
    }
    return *open_;
}

std::shared_ptr<Layer> DeltaStore::make_layer() {
    const LayerHeader header{
        .generation = 1,
        .device_size = options_.device_size,
        .uuid = random_value<Uuid>(),
        .parent = layers_.size() == 0 ? Uuid{} : layers_[layers_.size() - 1]->header().uuid,
        .identity = options_.identity,
        .salt = random_value<uint64_t>(),
        .created_ns = now_ns(),
        .incompat = kPackedRecords};
    const auto path = layers_.size() == 0 ? first_layer(options_.folder)
                                          : layer_after(layers_[layers_.size() - 1]->path());
    remove_unused(path);
    try {
        // So that the list finds its space when the changes have taken all the rest.
        LayerFile::create(spare_path(options_.folder), options_.watcher).write(0, Block{});
        return std::make_shared<Layer>(path, header, context());
    } catch (...) {
        remove_unused(path);
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
        layer.add_to_map(added);
        note_commit();
    } catch (const std::exception& error) {
        stop_writing(message_of(error));
        throw;
    }
    if (layer.map_is_due()) {
        write_map(layer, false);
    }
}

/// A map is made from the log: what can't be written is no loss.
void DeltaStore::write_map(Layer& layer, bool all) {
    if (layer.map().recent() == 0 && layer.map().files().size() <= 1) {
        return;
    }
    try {
        auto map = layer.write_map(all);
        const auto path = map.file.path();
        std::vector<MapFile> gone;
        {
            const std::unique_lock lock(mutex_);
            gone = layer.use_map(std::move(map));
        }
        for (const auto& file : gone) {
            if (file.path() != path) {  // which may have replaced one of that name
                remove_watched(file.path(), options_.watcher);
            }
        }
    } catch (const std::system_error&) {
        // It stays in memory, and is tried again.
    }
}

void DeltaStore::publish_layer() {
    if (is_listed()) {
        return;
    }
    sync_folder_watched(options_.folder, options_.watcher);
    for (const auto& made : lock_->made_folders()) {
        sync_folder_watched(made.parent_path(), options_.watcher);
    }
    auto list = list_;
    const auto& header = open_->header();
    list.layers.push_back({open_->path().filename().string(), header.uuid, header.parent});
    remove_watched(spare_path(options_.folder), options_.watcher);
    replace_list(std::move(list));
}

void DeltaStore::stop_writing(const std::string& reason) {
    const std::unique_lock lock(mutex_);
    stopped_by_ = "no more changes after a failed write (" + reason +
                  "); unmount and mount again: all up to the last commit is safe";
}

void DeltaStore::note_commit() {
    log_end_ = open_ ? open_->position().end : kLogStart;
    state_ = {};
    for (const auto& layer : layers_) {
        const auto& position = layer->position();
        state_.commits += position.transaction;
        state_.stored_bytes += position.end;
        if (position.transaction != 0) {
            state_.last_commit = time_of(position.time_ns);
        }
    }
    state_.exists = !list_.layers.empty();
    state_.unsealed_bytes = open_ && log_end_ > kLogStart ? log_end_.load() : 0;
}

std::vector<RecoveryPoint> DeltaStore::points() const {
    const std::shared_lock lock(mutex_);
    std::vector<RecoveryPoint> points;
    for (const auto& layer : list_.layers) {
        if (layer.seal) {
            points.push_back({layer.seal->point, layer.seal->note, time_of(layer.seal->time_ns),
                              layer.seal->end});
        }
    }
    return points;
}

void DeltaStore::seal(const NewPoint& point, uint64_t space) {
    check_new_point(list_, point);
    auto& layer = layer_for_writing();
    const auto next = space > kLogStart ? make_next_layer(space) : nullptr;
    try {
        layer.seal();
        publish_layer();
        write_map(layer, true);
        auto list = list_;
        const auto& position = layer.position();
        list.layers.back().seal = Seal{.end = position.end,
                                       .transactions = position.transaction,
                                       .chain = position.chain,
                                       .time_ns = now_ns(),
                                       .point = point.name,
                                       .note = point.note};
        replace_list(std::move(list));
    } catch (const std::exception& error) {
        stop_writing(message_of(error));
        throw;
    }
    const std::unique_lock lock(mutex_);
    open_ = next;
    if (next) {
        layers_.push(next);
    }
    note_commit();
}

/// Behind the open layer, with the space for a log up to `space`.
std::shared_ptr<Layer> DeltaStore::make_next_layer(uint64_t space) {
    auto layer = make_layer();
    try {
        layer->reserve_until(space);
    } catch (...) {
        remove_unused(layer->path());
        throw;
    }
    return layer;
}

}  // namespace imgfs
