#include "fs/store/prune.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {

namespace {

void merge_layers(DeltaStore& store, size_t first, size_t end, const Progress& progress) {
    auto merge = store.begin_merge(first, end);
    try {
        merge.run(progress);
    } catch (...) {
        store.drop_merge();
        throw;
    }
    store.finish_merge(merge);
}

}  // namespace

void prune(DeltaStore& store, const std::vector<bool>& keeps, const Progress& progress) {
    if (keeps.size() != store.points().size() || (!keeps.empty() && !keeps.back())) {
        fail(EINVAL, "the newest recovery point can't be pruned: later changes stand on it");
    }
    store.remove_aside();
    // From the newest on, so that the numbers of those before stay.
    for (auto end = keeps.size(); end > 0;) {
        auto first = end - 1;
        while (first > 0 && !keeps[first - 1]) {
            --first;
        }
        if (end - first > 1) {
            merge_layers(store, first, end, progress);
        }
        end = first;
    }
}

}  // namespace imgfs
