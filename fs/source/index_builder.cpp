#include "fs/source/index_builder.h"

#include <cerrno>
#include <chrono>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr auto kFollowInterval = std::chrono::milliseconds(100);

/// A pass can read for long without a word to its sink, of zeros behind the stream's end, say.
class StoppableSource final : public Source {
  public:
    StoppableSource(const Source& below, const std::atomic<bool>& stop)
        : below_(below), stop_(stop) {}
    uint64_t size() const override { return below_.size(); }
    std::string place(uint64_t offset) const override { return below_.place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        if (stop_) {
            throw PassStopped();
        }
        below_.read(offset, out);
    }

    const Source& below_;
    const std::atomic<bool>& stop_;
};

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
        index_.file().unlock();  // it is complete
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
            index_.add(read->record, read->next);
            index_.set_packed_done(read->record.point.packed_bit / 8);
        }
        if (const auto end = file.read_end(); end && *end == index_.end()) {
            index_.finish(*end);
            return false;
        }
        if (mine) {
            file.truncate(
                index_.file_end());  // what was half written, or disagrees with the records
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
    const auto end = [](PassSink* sink) { sink->holds(0); };
    const std::unique_ptr<PassSink, decltype(end)> holding(&writer, end);
    const PassStart start{.point = writer.start(), .behind = behind_};
    const StoppableSource packed(packed_, stop_);
    try {
        codec_.pass(packed, start, options_, writer);
    } catch (const std::system_error& error) {
        if (reports_.on_damage && error.code().value() == EUCLEAN) {
            writer.end_at_damage();
        }
        throw;
    }
    writer.finish();
}

}  // namespace imgfs
