#include "fs/source/zstd_walk.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/base/error.h"
#include "fs/source/packed_reader.h"
#include "fs/source/packed_state.h"
#include "fs/source/zstd_context.h"

namespace imgfs {
namespace {

constexpr size_t kBatches = 4;
constexpr size_t kPlainPerBatch = kMiB;
constexpr size_t kPackedPerBatch = kMiB + 512 * kKiB;
constexpr size_t kReadSize = 256 * kKiB;
constexpr size_t kEventsPerBatch = 4096;
constexpr size_t kLargestUnit = kZstdBlockHeader + kZstdBlockMost;

/// The other end wants no more.
struct Stopped {};

/// The frame that is being decoded.
struct OpenFrame {
    uint64_t window = 0;
    std::optional<uint64_t> content_size;
    bool checksum = false;
    uint64_t plain = 0;  // decoded so far
};

class Walker {
  public:
    Walker(const Source& packed, uint64_t offset, ZstdBatchQueue& queue)
        : packed_(packed), queue_(queue), base_(offset) {
        next_batch();
    }

    void run(ZstdWalkStart& start) {
        if (start.place) {
            const auto& place = *start.place;
            start_context(place.window, std::exchange(start.dictionary, {}));
            finish_frame({.window = place.window,
                          .content_size = place.content_size,
                          .checksum = place.checksum.has_value(),
                          .plain = start.plain - place.frame_start});
        }
        while (const auto frame = next_zstd_frame(packed_, offset())) {
            if (frame->skippable) {
                skip(frame->packed_size);
            } else {
                start_frame(*frame);
            }
        }
        hand_over();
    }

    /// What was decoded before a fault.
    void hand_over() {
        batch_->packed_end = offset();
        queue_.give_full(std::move(batch_));
    }

  private:
    uint64_t offset() const { return base_ + at_; }

    void next_batch() {
        batch_ = queue_.take_empty();
        if (!batch_) {
            throw Stopped();
        }
        batch_->packed.resize(kPackedPerBatch);
        batch_->plain.resize(kPlainPerBatch + kZstdBlockMost);
        batch_->events.clear();
        plain_ = 0;
    }

    /// The bytes that were read ahead go on in the next batch.
    void go_to_next_batch() {
        const Bytes ahead(batch_->packed.begin() + static_cast<ptrdiff_t>(at_),
                          batch_->packed.begin() + static_cast<ptrdiff_t>(filled_));
        base_ += at_;
        at_ = 0;
        filled_ = ahead.size();
        hand_over();
        next_batch();
        std::ranges::copy(ahead, batch_->packed.begin());
    }

    /// Room for the largest block and what comes of it.
    void make_room() {
        if (batch_->events.size() >= kEventsPerBatch || plain_ >= kPlainPerBatch ||
            batch_->packed.size() - at_ < kLargestUnit) {
            go_to_next_batch();
        }
    }

    /// The next bytes, not taken yet; there is room for them.
    ConstByteSpan peek(size_t size) {
        while (filled_ - at_ < size) {
            const auto left = packed_.size() - base_ - filled_;
            if (left == 0) {
                fail_cut_short(packed_);
            }
            const auto count =
                std::min<uint64_t>({left, kReadSize, batch_->packed.size() - filled_});
            const auto room = ByteSpan(batch_->packed).subspan(filled_, count);
            filled_ += read_up_to_damage(packed_, base_ + filled_, room);
        }
        return ConstByteSpan(batch_->packed).subspan(at_, size);
    }

    void skip(uint64_t size) {
        if (size <= filled_ - at_) {
            at_ += size;
            return;
        }
        const auto target = offset() + size;
        filled_ = at_;
        go_to_next_batch();
        base_ = target;
    }

    /// After make_room(), and what its spans point to is in the batch.
    void add(ZstdEvent event) { batch_->events.push_back(std::move(event)); }

    void start_frame(const ZstdFrame& frame) {
        make_room();
        add({.kind = ZstdEvent::Kind::frame, .packed_offset = offset(), .frame = frame});
        at_ += peek(frame.packed_size).size();
        start_context(frame.window, {});
        finish_frame({.window = frame.window,
                      .content_size = frame.content_size,
                      .checksum = frame.checksum});
    }

    void start_context(uint64_t window, ConstByteSpan dictionary) {
        // The window and the checksum's absence are all that libzstd is told of the frame.
        const auto header = zstd_header_for(window);
        if (!context_.start(dictionary) || context_.step(header, {}).damaged) {
            fail_damaged_index();
        }
    }

    void finish_frame(OpenFrame frame) {
        try {
            while (!decode_block(frame)) {
            }
        } catch (const std::system_error& error) {
            if (!lose_rest(frame, error)) {
                throw;
            }
            return;
        }
        if (frame.content_size && *frame.content_size != frame.plain) {
            fail_damaged(packed_, offset(),
                         "the frame has ended, and held fewer bytes than its header says");
        }
        make_room();
        const auto checksum = frame.checksum ? peek(kZstdChecksum) : ConstByteSpan();
        add({.kind = ZstdEvent::Kind::end, .packed_offset = offset(), .packed = checksum});
        at_ += checksum.size();
    }

    /// True at the frame's last block.
    bool decode_block(OpenFrame& frame) {
        make_room();
        const auto header = zstd_block_header(peek(kZstdBlockHeader));
        if (!is_sound(header, frame.window)) {
            fail_damaged(packed_, offset(), "no such block can be");
        }
        const auto packed = peek(kZstdBlockHeader + header.body());
        const auto made = decode(packed, ByteSpan(batch_->plain).subspan(plain_, kZstdBlockMost));
        frame.plain += made;
        if (frame.content_size && frame.plain > *frame.content_size) {
            fail_damaged(packed_, offset(), "the frame holds more bytes than its header says");
        }
        add({.kind = ZstdEvent::Kind::block,
             .packed_offset = offset(),
             .packed = packed,
             .plain = ConstByteSpan(batch_->plain).subspan(plain_, made)});
        plain_ += made;
        at_ += packed.size();
        return header.last;
    }

    size_t decode(ConstByteSpan packed, ByteSpan plain) {
        size_t made = 0;
        while (!packed.empty()) {
            const auto step = context_.step(packed, plain.subspan(made));
            if (step.damaged || step.taken == 0) {
                fail_damaged(packed_, offset(), context_.message());
            }
            packed = packed.subspan(step.taken);
            made += step.made;
        }
        return made;
    }

    /// Where the frame says how long it is, and its blocks lead to the next frame or to the end of
    /// the stream, the walk can go on there.
    bool lose_rest(const OpenFrame& frame, const std::system_error& error) {
        if (error.code().value() != EUCLEAN || !frame.content_size ||
            *frame.content_size <= frame.plain) {
            return false;
        }
        const auto lost = *frame.content_size - frame.plain;
        const auto end = end_of_blocks(frame.window, lost);
        if (!end) {
            return false;
        }
        const auto next = *end + (frame.checksum ? kZstdChecksum : 0);
        if (next != packed_.size() && !is_frame_at(next)) {
            return false;
        }
        make_room();
        add({.kind = ZstdEvent::Kind::lost,
             .packed_offset = offset(),
             .lost = lost,
             .line = message_of(error)});
        skip(next - offset());
        return true;
    }

    /// Behind the last block from here on, if all can be in the frame and hold so many plain bytes.
    std::optional<uint64_t> end_of_blocks(uint64_t window, uint64_t plain) const {
        auto at = offset();
        uint64_t room = 0;
        while (at + kZstdBlockHeader <= packed_.size()) {
            std::array<std::byte, kZstdBlockHeader> bytes;
            packed_.read(at, bytes);
            const auto header = zstd_block_header(bytes);
            if (!is_sound(header, window)) {
                return std::nullopt;
            }
            at += kZstdBlockHeader + header.body();
            room += kZstdBlockMost;
            if (header.last) {
                return room >= plain ? std::optional(at) : std::nullopt;
            }
        }
        return std::nullopt;
    }

    bool is_frame_at(uint64_t offset) const {
        std::array<std::byte, 4> magic;
        if (offset > packed_.size() || packed_.size() - offset < magic.size()) {
            return false;
        }
        packed_.read(offset, magic);
        return le32(magic, 0) == kZstdMagic || is_zstd_skippable(le32(magic, 0));
    }

    const Source& packed_;
    ZstdBatchQueue& queue_;
    ZstdContext context_;
    std::unique_ptr<ZstdBatch> batch_;
    uint64_t base_;      // packed offset of the batch's first byte
    size_t at_ = 0;      // of the next byte to take, in the batch
    size_t filled_ = 0;  // packed bytes read into the batch
    size_t plain_ = 0;   // bytes decoded into the batch
};

}  // namespace

ZstdBatchQueue::ZstdBatchQueue() {
    for (size_t i = 0; i < kBatches; ++i) {
        empty_.push_back(std::make_unique<ZstdBatch>());
    }
}

std::unique_ptr<ZstdBatch> ZstdBatchQueue::take_empty() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_ || !empty_.empty(); });
    if (stopped_) {
        return nullptr;
    }
    auto batch = std::move(empty_.front());
    empty_.pop_front();
    return batch;
}

void ZstdBatchQueue::give_full(std::unique_ptr<ZstdBatch> batch) {
    {
        const std::lock_guard lock(mutex_);
        full_.push_back(std::move(batch));
    }
    changed_.notify_all();
}

void ZstdBatchQueue::finish(std::exception_ptr error) {
    {
        const std::lock_guard lock(mutex_);
        finished_ = true;
        error_ = std::move(error);
    }
    changed_.notify_all();
}

std::unique_ptr<ZstdBatch> ZstdBatchQueue::take_full() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finished_ || !full_.empty(); });
    if (!full_.empty()) {
        auto batch = std::move(full_.front());
        full_.pop_front();
        return batch;
    }
    if (error_) {
        std::rethrow_exception(error_);
    }
    return nullptr;
}

void ZstdBatchQueue::give_empty(std::unique_ptr<ZstdBatch> batch) {
    {
        const std::lock_guard lock(mutex_);
        empty_.push_back(std::move(batch));
    }
    changed_.notify_all();
}

void ZstdBatchQueue::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
}

void walk_zstd(const Source& packed, ZstdWalkStart start, ZstdBatchQueue& queue) {
    std::exception_ptr error;
    try {
        Walker walker(packed, start.packed_offset, queue);
        try {
            walker.run(start);
        } catch (const std::exception&) {
            walker.hand_over();
            throw;
        }
    } catch (const Stopped&) {
        // Nobody asks any more.
    } catch (...) {
        error = std::current_exception();
    }
    queue.finish(std::move(error));
}

}  // namespace imgfs
