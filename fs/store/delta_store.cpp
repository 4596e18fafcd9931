#include "fs/store/delta_store.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/random_value.h"

namespace imgfs {
namespace {

constexpr uint64_t kWalkedPieces = 4096;  // the next open may walk through so many
constexpr size_t kUnpackedRecords = 64;   // of 256 KiB at most

std::optional<DeltaFolder::Writer> writer_of(const DeltaOptions& options) {
    return options.access == DeltaAccess::read_only
               ? std::nullopt
               : std::optional(DeltaFolder::Writer{options.use, options.other_hosts});
}

}  // namespace

DeltaStore::DeltaStore(DeltaOptions options)
    : options_(std::move(options)),
      unpacked_(kUnpackedRecords),
      folder_(options_.folder, writer_of(options_),
              {.device_size = options_.device_size, .identity = options_.identity},
              options_.watcher),
      log_end_(kLogStart) {
    if (options_.device_size == 0 || options_.device_size > kMaxDeviceSize) {
        fail(EINVAL, "a device of " + std::to_string(options_.device_size) + " bytes has no delta");
    }
    if (options_.access == DeltaAccess::read_write && !options_.at.empty()) {
        fail(EINVAL, "a recovery point can't be opened for changes");
    }
    open_layers();
    if (folder_.writable()) {
        folder_.remove_gone();
    }
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
    for (;;) {
        try {
            open_listed();
            return;
        } catch (const std::system_error&) {
            if (!folder_.read_list_again()) {
                throw;
            }
            layers_ = {};
            open_.reset();
        }
    }
}

void DeltaStore::open_listed() {
    auto list = folder_.list();
    if (list.identity != options_.identity || list.device_size != options_.device_size) {
        fail_foreign();
    }
    folder_.refuse_unlisted_layers();
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
        const bool writable = folder_.writable() && !entry.seal;
        auto layer = std::make_shared<Layer>(path, writable, context());
        check_listed(list, entry, *layer);
        layers_.push(layer);
        open_ = entry.seal ? nullptr : std::move(layer);
    }
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
    const auto known = folder_.list().content;
    if (content != Hash128{} && known != Hash128{} && content != known) {
        fail_foreign();
    }
}

// Needs mutex_. An image may have been indexed only after its delta was opened, or made.
void DeltaStore::bind_content() {
    const auto content = options_.content ? options_.content() : Hash128{};
    check_content(content);
    auto list = folder_.list();
    if (list.content == Hash128{} && content != Hash128{}) {
        list.content = content;
        folder_.replace_list(std::move(list));
    }
    bound_ = true;
}

// What was made for the first commit of a layer.
void DeltaStore::remove_unused(const std::filesystem::path& layer) {
    remove_watched(layer, options_.watcher);
    folder_.remove_spare();
}

void DeltaStore::close() {
    if (!folder_.writable() || !why_read_only().empty()) {
        return;
    }
    folder_.check_lock();
    if (open_ && is_listed()) {
        if (open_->map().recent() >= kWalkedPieces) {
            write_map(*open_, Layer::MapPart::recent);
        }
        open_->close_clean();
        return;
    }
    if (open_) {
        remove_unused(open_->path());
    }
    if (file_names(folder_.list()).empty()) {
        folder_.leave_nothing();
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
    const auto wanted = piece.part(offset / kBlockSize, blocks_of(offset + out.size()));
    if (out.size() == wanted.count * kBlockSize) {
        piece.from->read(wanted, out);
        return;
    }
    Bytes blocks(wanted.count * kBlockSize);
    piece.from->read(wanted, blocks);
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
    try {
        layer_for_writing().reserve_until(end);
    } catch (const std::system_error& error) {
        if (errno_of(error) == ESTALE) {
            stop_writing(message_of(error));
        }
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
        fail_full(error);
    }
    set_full(std::nullopt);
}

void DeltaStore::fail_full(const std::system_error& error) {
    set_full(state().full_since.value_or(std::chrono::system_clock::now()));
    fail(errno_of(error), describe_full(state()) + " (" + message_of(error) + ")");
}

void DeltaStore::set_full(std::optional<DeltaState::Time> since) {
    {
        const std::shared_lock lock(mutex_);
        if (state_.full_since == since) {
            return;
        }
    }
    const std::unique_lock lock(mutex_);
    state_.full_since = since;
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
    const auto path = folder_.next_layer();
    try {
        // So that the list finds its space when the changes have taken all the rest.
        folder_.make_spare();
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
        folder_.check_lock();
        const auto added = layer.commit(changes, [this] { publish_layer(); });
        const std::unique_lock lock(mutex_);
        layer.add_to_map(added);
        note_commit();
    } catch (const std::exception& error) {
        stop_writing(message_of(error));
        throw;
    }
    if (layer.map_is_due()) {
        write_map(layer, Layer::MapPart::recent);
    }
}

/// A map is made from the log: what can't be written is no loss.
void DeltaStore::write_map(Layer& layer, Layer::MapPart part) {
    if (layer.map().recent() == 0 && layer.map().files().size() <= 1) {
        return;
    }
    try {
        auto map = layer.write_map(part);
        std::vector<std::filesystem::path> unused;
        {
            const std::unique_lock lock(mutex_);
            unused = layer.use_map(std::move(map));
        }
        for (const auto& path : unused) {
            remove_watched(path, options_.watcher);
        }
    } catch (const std::system_error&) {
        // It stays in memory, and is tried again.
    }
}

void DeltaStore::write_whole_map() {
    if (open_) {
        write_map(*open_, Layer::MapPart::all);
    }
}

void DeltaStore::publish_layer() {
    folder_.check_lock();
    if (is_listed()) {
        return;
    }
    auto list = folder_.list();
    const auto& header = open_->header();
    list.layers.push_back({open_->path().filename().string(), header.uuid, header.parent});
    folder_.sync();
    folder_.remove_spare();
    folder_.replace_list(std::move(list));
}

void DeltaStore::stop_writing(const std::string& reason) {
    const std::unique_lock lock(mutex_);
    stopped_by_ = "writing failed at " + format_recent(std::chrono::system_clock::now()) + " (" +
                  reason + "); " + describe_safe(state_) +
                  ", later writes are lost; imgfs umount and mount again";
}

void DeltaStore::note_commit() {
    log_end_ = open_ ? open_->position().end : kLogStart;
    state_ = {.full_since = state_.full_since};
    for (const auto& layer : layers_) {
        const auto& position = layer->position();
        state_.commits += position.transaction;
        state_.stored_bytes += position.end;
        ++state_.layers;
        if (position.transaction != 0) {
            state_.last_commit = time_of(position.time_ns);
        }
    }
    state_.exists = layers_.size() > 0 && !folder_.list().layers.empty();
    state_.unsealed_bytes = open_ && log_end_ > kLogStart ? log_end_.load() : 0;
}

}  // namespace imgfs
