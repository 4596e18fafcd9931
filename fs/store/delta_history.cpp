// DeltaStore, as far as it changes what recovery points there are.
#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/delta_store.h"
#include "fs/store/rollback.h"

namespace imgfs {
namespace {

RecoveryPoint point_of(const LayerList::Entry& layer, const std::filesystem::path& folder) {
    RecoveryPoint point;
    if (layer.seal) {
        point.name = layer.seal->point;
        point.note = layer.seal->note;
        point.time = time_of(layer.seal->time_ns);
        point.bytes = layer.seal->end;
    } else {
        point.bytes = LayerFile::open(folder / layer.file, false, nullptr).size();
    }
    return point;
}

std::vector<RecoveryPoint> points_of(const std::vector<LayerList::Entry>& layers,
                                     const std::filesystem::path& folder) {
    std::vector<RecoveryPoint> points;
    for (const auto& layer : layers) {
        points.push_back(point_of(layer, folder));
    }
    return points;
}

}  // namespace

std::vector<RecoveryPoint> DeltaStore::points() const {
    auto layers = folder_.list().layers;
    if (!options_.at.empty()) {
        const std::shared_lock lock(mutex_);
        layers.resize(layers_.size());
    }
    std::erase_if(layers, [](const LayerList::Entry& layer) { return !layer.seal; });
    return points_of(layers, folder_.path());
}

void DeltaStore::seal(const NewPoint& point, uint64_t space) {
    check_new_point(folder_.list(), point);
    folder_.check_lock();
    auto& layer = layer_for_writing();
    const auto next = space > kLogStart ? make_next_layer(space) : nullptr;
    try {
        folder_.make_spare();
    } catch (...) {
        if (next) {
            remove_unused(next->path());
        }
        throw;
    }
    write_whole_map();
    try {
        layer.end_log();
        publish_layer();
        list_as_point(layer, point);
    } catch (const std::exception& error) {
        stop_writing(message_of(error));
        throw;
    }
    take_sealed(layer, next);
}

void DeltaStore::list_as_point(const Layer& layer, const NewPoint& point) {
    auto list = folder_.list();
    const auto& position = layer.position();
    list.layers.back().seal = Seal{.end = position.end,
                                   .transactions = position.transaction,
                                   .chain = position.chain,
                                   .time_ns = now_ns(),
                                   .point = point.name,
                                   .note = point.note};
    folder_.remove_spare();
    folder_.replace_list(std::move(list));
}

/// The point is there; what fails now takes nothing from it.
void DeltaStore::take_sealed(Layer& layer, const std::shared_ptr<Layer>& next) {
    try {
        layer.make_read_only();
        if (next) {
            folder_.make_spare();
        }
    } catch (const std::system_error&) {
        // The layer is one that could be written, the list may find no space.
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

std::vector<RecoveryPoint> DeltaStore::set_aside() const {
    return points_of(folder_.list().aside, folder_.path());
}

LayerChain DeltaStore::layers() const {
    const std::shared_lock lock(mutex_);
    return layers_;
}

void DeltaStore::roll_back(const std::string& at) {
    change_history([&](LayerList& list) {
        imgfs::roll_back(list, layers_at(list, at, folder_.path().string()));
    });
}

void DeltaStore::undo_rollback() {
    change_history(imgfs::undo_rollback);
}

void DeltaStore::change_history(const std::function<void(LayerList&)>& change) {
    if (read_only()) {
        fail(EROFS, "the delta is open read-only");
    }
    auto list = folder_.list();
    change(list);
    folder_.replace_list(std::move(list));
    const std::unique_lock lock(mutex_);
    stopped_by_ = "the delta was rolled back; it must be opened again";
}

void DeltaStore::remove_aside() {
    auto list = folder_.list();
    std::ranges::transform(list.aside, std::back_inserter(list.gone), &LayerList::Entry::file);
    list.aside.clear();
    folder_.replace_list(std::move(list));
    folder_.remove_gone();
}

/// Names the next layer's file as gone, so that it may have commits.
std::filesystem::path DeltaStore::announce_layer() {
    auto path = folder_.next_layer();
    auto list = folder_.list();
    list.gone.push_back(path.filename().string());
    folder_.replace_list(std::move(list));
    return path;
}

LayerMerge DeltaStore::begin_merge(size_t first, size_t end) {
    auto path = announce_layer();
    const std::shared_lock lock(mutex_);
    return {layers_.part(first, end), std::move(path), context()};
}

std::optional<LayerMerge> DeltaStore::begin_compaction() {
    const auto sealed = points().size();
    {
        const std::shared_lock lock(mutex_);
        if (sealed == 0 || !layers_[sealed - 1]->is_mostly_dead()) {
            return std::nullopt;
        }
    }
    return begin_merge(sealed - 1, sealed);
}

void DeltaStore::finish_merge(const LayerMerge& merge) {
    auto list = folder_.list();
    const auto old_name = merge.from()[0]->path().filename().string();
    const auto first = std::ranges::find(list.layers, old_name, &LayerList::Entry::file);
    const auto end = first + static_cast<ptrdiff_t>(merge.from().size());
    const auto index = static_cast<size_t>(first - list.layers.begin());

    LayerList::Entry merged = *(end - 1);
    const auto& position = merge.result()->position();
    merged.file = merge.to().filename().string();
    merged.parent = first->parent;
    merged.seal->end = position.end;
    merged.seal->transactions = position.transaction;
    merged.seal->chain = position.chain;
    std::erase(list.gone, merged.file);
    std::transform(first, end, std::back_inserter(list.gone),
                   [](const LayerList::Entry& old) { return old.file; });
    *first = std::move(merged);
    list.layers.erase(first + 1, end);

    folder_.sync();
    folder_.replace_list(std::move(list));
    {
        const std::unique_lock lock(mutex_);
        layers_.replace(index, index + merge.from().size(), merge.result());
        note_commit();
    }
    folder_.remove_gone();
}

}  // namespace imgfs
