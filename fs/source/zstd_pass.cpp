#include <algorithm>
#include <thread>
#include <utility>

#include "fs/source/packed_state.h"
#include "fs/source/zstd.h"
#include "fs/source/zstd_points.h"
#include "fs/source/zstd_seek_table.h"
#include "fs/source/zstd_walk.h"

namespace imgfs {
namespace {

/// The dictionary of a pass that goes on holds all of the window: it serves to the frame's end.
void go_on_inside_frame(const PassStart& start, ZstdPointFinder& finder, ZstdWalkStart& walk) {
    const auto place = unpacked_zstd_state(start.point.state).place;
    if (place.frame_start > start.point.plain) {
        fail_damaged_index();
    }
    const auto size = std::min(start.point.plain - place.frame_start, place.window);
    walk.dictionary = zstd_dictionary_start(place);
    const auto head = walk.dictionary.size();
    walk.dictionary.resize(head + size);
    const auto behind = ByteSpan(walk.dictionary).subspan(head);
    start.behind(start.point.plain - size, behind);
    finder.go_on(place, behind);
    walk.place = place;
}

void tell(const ZstdBatch& batch, ZstdPointFinder& finder) {
    for (const auto& event : batch.events) {
        switch (event.kind) {
            case ZstdEvent::Kind::frame:
                finder.begin_frame(event.frame, event.packed_offset);
                break;
            case ZstdEvent::Kind::block:
                finder.add_block({event.packed_offset, event.packed, event.plain});
                break;
            case ZstdEvent::Kind::end:
                finder.end_frame(event.packed, event.packed_offset);
                break;
            case ZstdEvent::Kind::lost:
                finder.lose(event.lost, event.line);
                break;
        }
    }
}

/// The next one; where damage ends the stream, what stands before it gets its points.
std::unique_ptr<ZstdBatch> take(ZstdBatchQueue& queue, ZstdPointFinder& finder) {
    try {
        return queue.take_full();
    } catch (const std::system_error&) {
        finder.end_early();
        throw;
    }
}

}  // namespace

bool starts_zstd(ConstByteSpan start) {
    if (start.size() < 4) {
        return false;
    }
    const auto magic = le32(start, 0);
    return magic == kZstdMagic || is_zstd_skippable(magic) || is_old_zstd(magic);
}

void pass_zstd(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink) {
    const bool listed = is_listed_frame(start.point.state);
    if (listed || start.point.plain == 0) {
        if (const auto frames = list_zstd_frames(packed)) {
            return skip_listed_frames(packed, *frames, start, sink);
        }
    }
    if (listed) {
        fail_damaged_index();
    }
    ZstdWalkStart walk{.packed_offset = start.point.packed_bit / 8, .plain = start.point.plain};
    if (start.point.packed_bit % 8 != 0 || walk.packed_offset > packed.size()) {
        fail_damaged_index();
    }
    ZstdPointFinder finder(packed, options, sink, start.point.plain);
    if (!start.point.state.empty()) {
        go_on_inside_frame(start, finder, walk);
    } else if (start.point.plain == 0) {
        sink.point({});
    }
    ZstdBatchQueue queue;
    const std::jthread walker([&] { walk_zstd(packed, std::move(walk), queue); });
    struct Stop {
        ZstdBatchQueue& queue;
        ~Stop() { queue.stop(); }
    } const stop{queue};
    while (auto batch = take(queue, finder)) {
        tell(*batch, finder);
        sink.progress(batch->packed_end);
        queue.give_empty(std::move(batch));
    }
}

}  // namespace imgfs
