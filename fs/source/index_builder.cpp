#include "fs/source/index_builder.h"

#include <chrono>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr auto kFollowInterval = std::chrono::milliseconds(100);

}  // namespace

IndexBuilder::IndexBuilder(const Source& packed, const Codec& codec, SeekIndex& index,
                           const PassOptions& options, PassReports reports, ReadPlain behind)
    : packed_(packed),
      codec_(codec),
      index_(index),
      options_(options),
      reports_(std::move(reports)),
      behind_(std::move(behind)),
      thread_([this] { run(); }) {}

IndexBuilder::~IndexBuilder() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopped_.notify_all();
    thread_.join();
}

void IndexBuilder::run() {
    try {
        if (follow()) {
            build();
        }
    } catch (const PassStopped&) {
        // Nobody waits any more.
    } catch (...) {
        index_.file().unlock();  // who follows finds out for himself
        index_.fail(std::current_exception());
    }
}

/// Adopts what is in the file until it is complete (false), or nobody else builds it (true).
bool IndexBuilder::follow() {
    auto& file = index_.file();
    while (true) {
        const bool mine = file.try_lock();  // before the last look: then nothing comes behind it
        while (const auto read = file.read_record(index_.file_end())) {
            if (read->record.begin != index_.reached()) {
                break;
            }
            index_.add({.begin = read->record.begin,
                        .packed_bit = read->record.point.packed_bit,
                        .offset = index_.file_end()},
                       read->record.end, read->next);
            index_.set_packed_done(read->record.point.packed_bit / 8);
        }
        if (const auto end = file.read_end(); end && end->plain_size == index_.reached()) {
            index_.finish(*end);
            return false;
        }
        if (mine) {
            file.truncate(index_.file_end());  // what was half written
            return true;
        }
        std::unique_lock lock(mutex_);
        stopped_.wait_for(lock, kFollowInterval, [this] { return stop_.load(); });
        if (stop_) {
            throw PassStopped();
        }
    }
}

void IndexBuilder::build() {
    IndexWriter writer(index_, codec_, reports_, stop_);
    const PassStart start{.point = writer.start(), .behind = behind_};
    codec_.pass(packed_, start, options_, writer);
    writer.finish();
}

}  // namespace imgfs
