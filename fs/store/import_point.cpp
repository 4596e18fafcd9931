// DeltaStore::import_point().
#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/delta_store.h"
#include "fs/store/point_archive.h"

namespace imgfs {
namespace {

constexpr uint64_t kCopySize = kMiB;

/// Is it the next one of this delta?
void check_fits(const LayerList& list, const PointArchive& archive, const std::string& file) {
    const auto& layer = archive.layer();
    const bool same_content = list.content == Hash128{} || archive.list.content == Hash128{} ||
                              list.content == archive.list.content;
    if (list.identity != archive.list.identity || list.device_size != archive.list.device_size ||
        !same_content) {
        fail(EINVAL, file + ": is of another image (content differs)");
    }
    const auto find = [&](const Uuid& uuid) {
        return std::ranges::find(list.layers, uuid, &LayerList::Entry::uuid);
    };
    if (find(layer.uuid) != list.layers.end()) {
        fail(EEXIST, file + ": this point is there already");
    }
    check_new_point(list, {.name = layer.seal->point, .note = layer.seal->note});
    const auto newest = list.layers.empty() ? Uuid{} : list.layers.back().uuid;
    if (layer.parent == newest && (list.layers.empty() || list.layers.back().seal)) {
        return;
    }
    const auto parent = find(layer.parent);
    if (parent == list.layers.end() && layer.parent != Uuid{}) {
        fail(EINVAL, file + ": the point that it was made over isn't here; import that first");
    }
    const auto name =
        parent == list.layers.end() || !parent->seal ? std::string("base") : parent->seal->point;
    fail(EINVAL, file + ": was made over " + name +
                     ", and here something has been changed since; imgfs rollback IMAGE " + name +
                     " sets that aside");
}

/// The layer's bytes into a file of their own; the whole archive is compared with its checksum.
void copy_layer(const Source& file, const PointArchive& archive, LayerFile& layer,
                const Progress& progress) {
    Xxh64 hash;
    Bytes bytes;
    for (uint64_t at = 0; at < archive.layer_end(); at += bytes.size()) {
        const auto stop = at < archive.layer_start ? archive.layer_start : archive.layer_end();
        bytes.resize(std::min(kCopySize, stop - at));
        file.read(at, bytes);
        hash.update(bytes);
        if (at >= archive.layer_start) {
            layer.write(at - archive.layer_start, bytes);
        }
        if (progress) {
            progress(at, archive.layer_end());
        }
    }
    bytes.resize(kArchiveTail);
    file.read(archive.layer_end(), bytes);
    if (le64(bytes, 0) != hash.digest()) {
        fail(EUCLEAN, file.place(0) + ": damaged (its checksum is wrong); export the point again");
    }
}

}  // namespace

DeltaStore::Exported DeltaStore::exported(const std::string& point) const {
    const auto list = folder_.list();
    const auto at = layers_at(list, point, folder_.path().string());
    if (at == 0) {
        fail(EINVAL, "base is the image itself: there is nothing to export");
    }
    LayerList alone{.device_size = list.device_size,
                    .identity = list.identity,
                    .content = list.content,
                    .aside = {list.layers[at - 1]}};
    const std::shared_lock lock(mutex_);
    return {std::move(alone), layers_[at - 1]};
}

RecoveryPoint DeltaStore::import_point(const Source& file, const Progress& progress) {
    const auto archive = read_archive_head(file);
    auto known = folder_.list();
    if (const auto content = options_.content ? options_.content() : Hash128{};
        content != Hash128{}) {
        known.content = content;
    }
    check_fits(known, archive, file.place(0));
    const auto path = announce_layer();
    std::shared_ptr<Layer> layer;
    try {
        {
            auto copy = LayerFile::create(path, options_.watcher);
            copy_layer(file, archive, copy, progress);
        }
        layer = std::make_shared<Layer>(path, true, context());
        check_listed(folder_.list(), archive.layer(), *layer);
        write_map(*layer, Layer::MapPart::all);
        layer->end_log();
        layer->make_read_only();
    } catch (...) {
        folder_.remove_gone();
        throw;
    }
    auto list = folder_.list();
    auto entry = archive.layer();
    entry.file = path.filename().string();
    std::erase(list.gone, entry.file);
    list.layers.push_back(entry);
    if (list.content == Hash128{}) {
        list.content = archive.list.content;
    }
    folder_.sync();
    folder_.replace_list(std::move(list));
    const std::unique_lock lock(mutex_);
    layers_.push(std::move(layer));
    note_commit();
    return {.name = entry.seal->point,
            .note = entry.seal->note,
            .time = time_of(entry.seal->time_ns),
            .bytes = entry.seal->end};
}

}  // namespace imgfs
