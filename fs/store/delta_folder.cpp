#include "fs/store/delta_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/kept_maps.h"
#include "fs/store/log_reader.h"

namespace imgfs {
namespace {

constexpr uint64_t kMaxListSize = 64 * kMiB;
constexpr uint64_t kSpareSize = 16 * kKiB;  // for a point with the longest note, and a file more
constexpr std::string_view kLayerSuffix = ".layer";
constexpr size_t kLayerDigits = 6;

bool holds_commit(const std::filesystem::path& layer) {
    const auto any = [](const Commit&) { return true; };
    return find_commit(LayerFile::open(layer, false, nullptr), kLogStart, any).has_value();
}

std::filesystem::path layer_path(const std::filesystem::path& folder, uint64_t number) {
    const auto digits = std::to_string(number);
    if (digits.size() > kLayerDigits) {
        fail(EFBIG, folder.string() + ": has as many layers as there can be");
    }
    return folder /
           (std::string(kLayerDigits - digits.size(), '0') + digits + std::string(kLayerSuffix));
}

uint64_t last_number(const LayerList& list) {
    uint64_t last = 0;
    for (const auto& name : file_names(list)) {
        last = std::max<uint64_t>(last, std::stoul(name.substr(0, kLayerDigits)));
    }
    return last;
}

}  // namespace

bool is_there(const std::filesystem::path& path) {
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        fail_errno(path.string());
    }
    return false;
}

DeltaFolder::DeltaFolder(std::filesystem::path path, const std::optional<Writer>& writer,
                         const LayerList& fresh, FileWatcher* watcher)
    : path_(std::move(path)),
      watcher_(watcher),
      lock_(writer ? std::make_unique<DeltaLock>(path_, writer->use, writer->other_hosts)
                   : nullptr),
      fresh_(fresh),
      text_(read_list()),
      list_(text_.empty() ? fresh_ : parse_layer_list(text_, list_path().string())),
      last_number_(last_number(list_)) {}

DeltaFolder::DeltaFolder(std::filesystem::path path, LayerList list)
    : path_(std::move(path)), watcher_(nullptr), list_(std::move(list)), last_number_(0) {}

DeltaFolder::~DeltaFolder() = default;

LayerList DeltaFolder::list() const {
    const std::lock_guard lock(mutex_);
    return list_;
}

Bytes DeltaFolder::read_list() const {
    return is_there(list_path()) ? read_file(list_path(), kMaxListSize) : Bytes();
}

bool DeltaFolder::read_list_again() {
    auto text = read_list();
    if (text == text_) {
        return false;
    }
    text_ = std::move(text);
    const std::lock_guard lock(mutex_);
    list_ = text_.empty() ? fresh_ : parse_layer_list(text_, list_path().string());
    return true;
}

// The order of writes puts the list before the first commit: a commit that is not listed was, once.
void DeltaFolder::refuse_unlisted_layers() const {
    if (!is_there(path_)) {
        return;
    }
    const auto listed = file_names(list());
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
        const auto name = entry.path().filename().string();
        if (!name.ends_with(kLayerSuffix) || std::ranges::find(listed, name) != listed.end() ||
            !holds_commit(entry.path())) {
            continue;
        }
        fail(EUCLEAN, entry.path().string() + ": holds changes, but the file `layers` beside it " +
                          (listed.empty() ? "is gone" : "doesn't name it") +
                          "; put back a copy of the folder, or move it away to go back "
                          "to the image as saved");
    }
}

void DeltaFolder::replace_list(LayerList list) {
    check_lock();
    if (!file_names(list).empty() || is_there(list_path())) {
        replace_watched(list_path(), bytes_of(format_layer_list(list)), watcher_);
    }
    const std::lock_guard lock(mutex_);
    list_ = std::move(list);
}

std::filesystem::path DeltaFolder::next_layer() {
    check_lock();
    uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = ++last_number_;
    }
    auto path = layer_path(path_, number);
    remove_watched(path, watcher_);
    return path;
}

void DeltaFolder::make_spare() {
    remove_spare();
    const auto needed = format_layer_list(list()).size() + kSpareSize;
    LayerFile::create(spare_path(), watcher_).write(0, Bytes(needed));
}

void DeltaFolder::remove_spare() {
    check_lock();
    remove_watched(spare_path(), watcher_);
}

void DeltaFolder::sync() {
    sync_folder_watched(path_, watcher_);
    for (const auto& made : lock_->made_folders()) {
        sync_folder_watched(made.parent_path(), watcher_);
    }
}

void DeltaFolder::remove_gone() {
    auto list = this->list();
    if (list.gone.empty()) {
        return;
    }
    try {
        check_lock();
        for (const auto& name : list.gone) {
            remove_other_maps(path_ / name, {}, watcher_);
            remove_watched(path_ / name, watcher_);
        }
        sync_folder_watched(path_, watcher_);
        list.gone.clear();
        replace_list(std::move(list));
    } catch (const std::system_error&) {
        // They are named, and so believed by nobody.
    }
}

void DeltaFolder::leave_nothing() {
    lock_->leave_nothing();
}

}  // namespace imgfs
