#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>

#include "fs/base/not_yet.h"
#include "tests/fs/source/index_fixture.h"
#include "tests/support/counting_source.h"
#include "tests/support/gated_source.h"
#include "tests/support/source_contract.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

class BackgroundPassTest : public IndexTest {
  protected:
    BackgroundPassTest() {
        plain_ = mixed(21 * kMiB);  // some records
        packed_ = packed_by("pigz -1", plain_);
        gate_->open_to(packed_.size() * 3 / 4);
    }

    std::unique_ptr<Source> gated(const DecodeOptions& options) {
        return decoded(std::make_unique<GatedSource>(memory(packed_), gate_), options);
    }

    void expect_plain(const Source& source, uint64_t offset, size_t length) {
        Bytes out(length);
        source.read(offset, out);
        EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain_).subspan(offset, length)));
    }

    std::shared_ptr<Gate> gate_ = std::make_shared<Gate>(0);
};

TEST_F(BackgroundPassTest, WhatThePassHasGonePastIsReadAndTheRestComesLater) {
    const auto source = gated(options());
    expect_plain(*source, 12'345, 100'000);  // waits for the first record
    EXPECT_GT(source->bound(), plain_.size());
    std::optional<NotYet> caught;
    {
        const NoWaiting no_waiting;
        expect_plain(*source, 54'321, 1000);
        Bytes out(10);
        try {
            source->read(plain_.size() - 10, out);
        } catch (const NotYet& not_yet) {
            caught = not_yet;
        }
        EXPECT_THROW(source->settle(), NotYet);
        EXPECT_THROW(source->size(), NotYet);
    }
    ASSERT_TRUE(caught);
    EXPECT_FALSE(caught->over());
    gate_->open_to(packed_.size());
    expect_plain(*source, plain_.size() - 10, 10);
    EXPECT_TRUE(caught->over());
    expect_keeps_source_contract(*source, plain_);
}

TEST_F(BackgroundPassTest, APassThatWasKilledGoesOnWhereItStopped) {
    {
        const auto source = gated(options());
        expect_plain(*source, 0, 1000);
        gate_->break_down();
        Bytes out(10);
        EXPECT_EQ(error_of([&] { source->read(plain_.size() - 10, out); }), EIO);
        expect_plain(*source, 0, 1000);
    }
    std::atomic<uint64_t> read = 0;
    decoded(std::make_unique<CountingSource>(memory(packed_), read), options())->settle();
    EXPECT_LT(read, packed_.size() * 3 / 4);
    EXPECT_NE(notes_.find("goes on"), std::string::npos) << notes_;
    expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
}

TEST_F(BackgroundPassTest, WhoeverWaitsIsToldHowFarItIsAndMayGiveUp) {
    auto impatient = options();
    impatient.progress = [&](uint64_t done, uint64_t total) {
        EXPECT_LE(done, total);
        EXPECT_EQ(total, packed_.size());
        gate_->break_down();  // so that the pass can end
        fail(ECANCELED, "interrupted");
    };
    const auto source = gated(impatient);
    EXPECT_EQ(error_of([&] { source->settle(); }), ECANCELED);
}

/// Zeros behind a stream, for longer than a test may take.
class PaddedSource final : public Source {
  public:
    PaddedSource(Bytes stream, std::atomic<uint64_t>& read)
        : stream_(std::move(stream)), read_(read) {}
    uint64_t size() const override { return stream_.size() + kPadding; }
    std::string place(uint64_t /*offset*/) const override { return "padding"; }

    static constexpr uint64_t kPadding = kGiB;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        std::ranges::fill(out, std::byte{});
        if (offset < stream_.size()) {
            const auto part = ConstByteSpan(stream_).subspan(offset);
            std::ranges::copy(part.first(std::min(part.size(), out.size())), out.begin());
        }
        read_ += out.size();
        read_.notify_all();
    }

    const Bytes stream_;
    std::atomic<uint64_t>& read_;
};

TEST_F(BackgroundPassTest, EndsWhereNothingIsTold) {
    for (const auto* command : {"gzip -1", "zstd -1", "xz -0", "lzip -0", "bzip2 -1", "lzop -1"}) {
        SCOPED_TRACE(command);
        std::atomic<uint64_t> read = 0;
        {
            const auto stream = packed_by(command, mixed(1000));
            const auto source = decoded(std::make_unique<PaddedSource>(stream, read), {});
            for (auto so_far = read.load(); so_far < 8 * kMiB; so_far = read.load()) {
                read.wait(so_far);
            }
        }
        EXPECT_LT(read, PaddedSource::kPadding);
    }
}

TEST_F(BackgroundPassTest, OthersFollowTheOneThatBuildsAndTakeOver) {
    std::atomic<uint64_t> read = 0;
    const auto builder = gated(options());
    expect_plain(*builder, 0, 1000);
    const auto follower =
        decoded(std::make_unique<CountingSource>(memory(packed_), read), options());
    expect_plain(*follower, 2000, 1000);
    const auto before = read.load();
    EXPECT_LT(before, packed_.size() / 2) << "it makes no pass of its own";
    gate_->break_down();
    expect_keeps_source_contract(*follower, plain_);
    expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
}

TEST_F(BackgroundPassTest, FollowersSeeTheBuildersEnd) {
    const auto builder = gated(options());
    const auto follower = decoded(memory(packed_), options());
    std::thread later([&] { gate_->open_to(packed_.size()); });
    expect_keeps_source_contract(*follower, plain_);
    later.join();
    EXPECT_EQ(builder->size(), plain_.size());
    EXPECT_EQ(notes_, "");
}

}  // namespace
}  // namespace imgfs
