#include "fs/mount/parked_requests.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "fs/base/fd.h"

namespace imgfs {
namespace {

/// A pipe stands for /dev/fuse.
class ParkedRequestsTest : public testing::Test {
  protected:
    static std::array<int, 2> pipe_ends() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
        return ends;
    }

    void park(uint64_t number, size_t size = 80) {
        parked_.begin(number);
        parked_.park(number, Bytes(size), NotYet([this] { return over_.load(); }));
    }

    /// The errno that somebody was answered with; 0 if nobody was.
    int answer_to(uint64_t number) {
        fuse_out_header header{};
        if (::read(reader_.get(), &header, sizeof header) != sizeof header) {
            return 0;
        }
        EXPECT_EQ(header.unique, number);
        EXPECT_EQ(header.len, sizeof header);
        return -header.error;
    }

    std::array<int, 2> ends_ = pipe_ends();
    Fd reader_{ends_[0]};
    Fd writer_{ends_[1]};
    ParkedRequests parked_{ends_[1]};
    std::atomic<bool> over_ = false;
};

TEST_F(ParkedRequestsTest, AreDueWhenTheWaitingIsOver) {
    park(1);
    park(2, 90);
    EXPECT_TRUE(parked_.any());
    parked_.look();
    EXPECT_FALSE(parked_.any_due());
    EXPECT_FALSE(parked_.take_due());
    over_ = true;
    parked_.look();
    EXPECT_TRUE(parked_.any_due());
    EXPECT_EQ(parked_.take_due().value().size(), 80U);
    EXPECT_EQ(parked_.take_due().value().size(), 90U);
    EXPECT_FALSE(parked_.any());
    EXPECT_FALSE(parked_.any_due());
    parked_.end(1);
    parked_.park(2, Bytes(90), NotYet([] { return false; }));
    EXPECT_TRUE(parked_.any());
    EXPECT_EQ(answer_to(0), 0) << "nobody was answered";
}

TEST_F(ParkedRequestsTest, AnInterruptIsAnsweredAtOnceOrAsSoonAsTheRequestWouldWait) {
    park(1);
    park(2);
    parked_.interrupt(2);
    EXPECT_EQ(answer_to(2), EINTR);
    over_ = true;
    parked_.look();
    EXPECT_TRUE(parked_.take_due());
    EXPECT_FALSE(parked_.take_due()) << "it is not tried again";
    parked_.interrupt(1);
    EXPECT_EQ(answer_to(1), 0) << "a worker is at it";
    parked_.park(1, Bytes(80), NotYet([] { return false; }));
    EXPECT_EQ(answer_to(1), EINTR);
    EXPECT_FALSE(parked_.any());
}

TEST_F(ParkedRequestsTest, AnInterruptFindsWhatIsDueAndLeavesAloneWhatIsAnswered) {
    park(1);
    over_ = true;
    parked_.look();
    parked_.interrupt(1);
    EXPECT_EQ(answer_to(1), EINTR);
    EXPECT_FALSE(parked_.any_due());
    parked_.begin(2);
    parked_.interrupt(2);
    parked_.end(2);
    parked_.interrupt(2);
    EXPECT_EQ(answer_to(2), 0);
}

TEST_F(ParkedRequestsTest, NothingWaitsAnyMoreOnceTheyAreGivenUp) {
    park(1);
    park(2);
    parked_.give_up();
    EXPECT_EQ(answer_to(1), EIO);
    EXPECT_EQ(answer_to(2), EIO);
    park(3);
    EXPECT_EQ(answer_to(3), EIO);
    EXPECT_FALSE(parked_.any());
}

TEST_F(ParkedRequestsTest, TakeAsMuchMemoryAsIsAllowedAndNoMore) {
    uint64_t number = 0;
    while (number < 100 && answer_to(number) == 0) {
        park(++number, kMiB);
    }
    EXPECT_EQ(number, 64U);
    parked_.interrupt(1);
    EXPECT_EQ(answer_to(1), EINTR);
    park(101, kMiB);
    EXPECT_EQ(answer_to(101), 0) << "there is room again";
    park(102, kMiB);
    EXPECT_EQ(answer_to(102), EAGAIN);
}

}  // namespace
}  // namespace imgfs
