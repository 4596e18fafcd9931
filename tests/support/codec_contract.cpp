#include "tests/support/codec_contract.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fs/base/error.h"
#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

class Enough final : public std::exception {};

class Recorder final : public PassSink {
  public:
    explicit Recorder(uint64_t start, uint64_t most = UINT64_MAX) : start_(start), most_(most) {}

    PassRecord take() { return std::move(record_); }

    void point(SeekPoint point) override {
        EXPECT_LE(point.plain, start_ + record_.plain.size())
            << "plain bytes before it are missing";
        if (!record_.points.empty()) {
            EXPECT_GE(point.plain, record_.points.back().plain + kHashedPiece);
            EXPECT_GT(point.packed_bit, record_.points.back().packed_bit);
        } else if (start_ == 0) {
            EXPECT_EQ(point.plain, 0U);
        } else {
            EXPECT_GT(point.plain, start_);
        }
        record_.points.push_back(std::move(point));
    }
    void plain(ConstByteSpan bytes) override {
        bound(bytes.size());
        record_.plain.insert(record_.plain.end(), bytes.begin(), bytes.end());
    }
    void unchecked(uint64_t count) override {
        const auto begin = start_ + record_.plain.size();
        record_.unchecked.push_back({begin, begin + count});
    }
    void skipped(uint64_t count) override {
        leave_out(count);
        record_.skipped += count;
    }
    void lost(uint64_t count, const std::string& line) override {
        leave_out(count);
        record_.lost += count;
        record_.notes.push_back(line);
    }
    void mismatch(const std::string& line) override { record_.mismatches.push_back(line); }
    void progress(uint64_t packed) override {
        EXPECT_GE(packed, record_.progress);
        record_.progress = packed;
    }
    void note(const std::string& line) override { record_.notes.push_back(line); }

  private:
    void bound(uint64_t count) const {
        if (count > most_ - record_.plain.size()) {
            throw Enough();
        }
    }
    void leave_out(uint64_t count) {
        bound(count);
        const auto begin = record_.plain.size();
        record_.plain.resize(begin + count);
        record_.unknown.push_back({begin, begin + count});
    }

    const uint64_t start_;
    const uint64_t most_;
    PassRecord record_;
};

/// `next_bit`: where the point behind the segment stands.
void expect_segment(const Codec& codec, const Source& packed, SeekPoint point, uint64_t next_bit,
                    ConstByteSpan expected) {
    Bytes pieces(expected.size());
    const auto decoder = codec.open(packed, point);
    for (size_t at = 0, step = 1; at < pieces.size(); at += step, step = step * 3 % 100'003 + 1) {
        decoder->read(ByteSpan(pieces).subspan(at, std::min(step, pieces.size() - at)));
    }
    ASSERT_TRUE(std::ranges::equal(pieces, expected)) << "pieces of the segment at " << point.plain;
    Bytes whole(expected.size());
    point.next_bit = next_bit;
    point.end = point.plain + expected.size();
    try {
        codec.open(packed, point)->read(whole);
    } catch (const NotAtOnce&) {
        return;
    }
    ASSERT_TRUE(std::ranges::equal(whole, expected)) << "segment at " << point.plain;
}

}  // namespace

PassRecord record_pass(const Codec& codec, const Source& packed, const PassOptions& options,
                       const PassStart& start) {
    Recorder recorder(start.point.plain);
    codec.pass(packed, start, options, recorder);
    return recorder.take();
}

PassOutcome try_pass(const Codec& codec, const Source& packed, const PassOptions& options,
                     const PassStart& start, uint64_t most) {
    Recorder recorder(start.point.plain, most);
    PassOutcome outcome;
    try {
        codec.pass(packed, start, options, recorder);
    } catch (const Enough&) {
        outcome.cut = true;
    } catch (const std::system_error& error) {
        outcome.error = errno_of(error);
        outcome.line = message_of(error);
    }
    outcome.record = recorder.take();
    return outcome;
}

bool agrees(const PassRecord& record, uint64_t begin, ConstByteSpan bytes) {
    const auto found = ConstByteSpan(record.plain).subspan(begin);
    const auto length = std::min(found.size(), bytes.size());
    uint64_t at = 0;
    const auto equal_up_to = [&](uint64_t end) {  // as text: that is compared at once
        return at >= end ||
               text_of(found.subspan(at, end - at)) == text_of(bytes.subspan(at, end - at));
    };
    for (const auto& gap : record.unknown) {
        const auto gap_begin = std::clamp(gap.begin, begin, begin + length) - begin;
        if (!equal_up_to(gap_begin)) {
            return false;
        }
        at = std::max(at, std::clamp(gap.end, begin, begin + length) - begin);
    }
    return equal_up_to(length);
}

uint64_t segment_end(const std::vector<SeekPoint>& points, size_t number, uint64_t size) {
    return number + 1 == points.size()
               ? size
               : std::min(round_up(points[number + 1].plain, kHashedPiece), size);
}

namespace {

void expect_segments(const Codec& codec, const Source& source, const PassRecord& record,
                     ConstByteSpan plain) {
    for (size_t i = 0; i < record.points.size(); ++i) {
        const auto& point = record.points[i];
        const auto end = segment_end(record.points, i, plain.size());
        const bool last = i + 1 == record.points.size();
        const auto next_bit = last ? source.size() * 8 : record.points[i + 1].packed_bit;
        expect_segment(codec, source, point, next_bit,
                       plain.subspan(point.plain, end - point.plain));
    }
}

/// What `record` found from `begin` on is what stands in `plain` there.
void expect_found(const PassRecord& record, ConstByteSpan plain, uint64_t begin) {
    EXPECT_EQ(record.lost, 0U);
    EXPECT_EQ(record.mismatches, std::vector<std::string>());
    ASSERT_EQ(record.plain.size(), plain.size() - begin);
    if (record.skipped == 0) {
        ASSERT_TRUE(std::ranges::equal(record.plain, plain.subspan(begin)));
    }
}

}  // namespace

void expect_keeps_codec_contract(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain,
                                 const PassOptions& options) {
    const MemorySource source(Bytes(packed.begin(), packed.end()));
    const auto record = record_pass(codec, source, options);
    expect_found(record, plain, 0);
    ASSERT_FALSE(record.points.empty());
    expect_segments(codec, source, record, plain);
    for (size_t i = 1; i < record.points.size(); i += record.points.size() / 4 + 1) {
        const auto& point = record.points[i];
        const PassStart start{.point = point, .behind = [&](uint64_t offset, ByteSpan out) {
                                  ASSERT_LE(offset + out.size(), point.plain);
                                  std::ranges::copy(plain.subspan(offset, out.size()), out.begin());
                              }};
        const auto again = record_pass(codec, source, options, start);
        expect_found(again, plain, point.plain);
        if (i == 1) {
            expect_segments(codec, source, again, plain);
        }
    }
}

}  // namespace imgfs
