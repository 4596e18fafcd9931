// A source that changes while it is pushed: what arrives is whole, or said not to have arrived.
#include <algorithm>
#include <utility>

#include "tests/sync/push_fixture.h"

namespace imgsync {
namespace {

class LiveSourceTest : public PushFixture {
  protected:
    /// When names were sent and no file's content yet.
    PushSummary push_while(const std::string& script) {
        return push_when([](const PushSummary&) { return true; }, script);
    }
    /// When the first bytes of a file were read.
    PushSummary push_while_reading(const std::string& script) {
        return push_when([](const PushSummary& so_far) { return so_far.bytes_read > 0; }, script);
    }
    std::string problem_with(const std::string& name) const {
        const auto found = std::ranges::find_if(
            problems_, [&](const auto& line) { return line.find(name) != std::string::npos; });
        return found == problems_.end() ? "" : *found;
    }

  private:
    PushSummary push_when(const std::function<bool(const PushSummary&)>& is_time,
                          const std::string& script) {
        options_.on_progress = [&, first = true](const PushSummary& so_far) mutable {
            if (is_time(so_far) && std::exchange(first, false)) {
                in_directory(script);
            }
        };
        const auto summary = push_now();
        options_.on_progress = {};
        return summary;
    }
};

TEST_F(LiveSourceTest, ContentNeverTravelsUnderTheModeOfAFileThatWasThereBefore) {
    in_directory(
        "mkdir -p source target; echo public > source/b; install -m 600 -o 33 /dev/null secret; "
        "echo secret > secret; echo old > target/b; echo z > source/z");
    const auto summary = push_while("mv secret source/b");
    EXPECT_EQ(summary.vanished, 1u);
    EXPECT_NE(problem_with("source/b"), "");
    EXPECT_EQ(in_directory("cat target/b target/z"), "old\nz\n");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AFileWhoseModeChangesBeforeItIsReadIsAProblem) {
    in_directory("mkdir source; echo public > source/b; echo z > source/z");
    const auto summary = push_while("chmod 600 source/b; echo secret > source/b");
    EXPECT_EQ(summary.problems, 1u);
    EXPECT_NE(problem_with("source/b"), "");
    EXPECT_EQ(in_directory("ls target"), "z\n");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AFileWhoseAclChangesWhileItIsReadIsAProblem) {
    in_directory(
        "mkdir source; head -c 1000000 /dev/urandom > source/b; setfacl -m u:5:r source/b");
    const auto summary = push_while_reading("setfacl -m u:5:- source/b");
    EXPECT_EQ(summary.problems, 1u);
    EXPECT_NE(problem_with("source/b"), "");
    EXPECT_EQ(in_directory("ls target"), "");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AFileThatIsTheSameGetsNoAttributesItNoLongerHas) {
    in_directory("mkdir source target; echo same > source/b; cp -p source/b target/b");
    in_directory("chmod 600 target/b");
    options_.checksum = true;
    EXPECT_EQ(push_while("chmod 640 source/b").problems, 1u);
    EXPECT_EQ(in_directory("stat -c %a target/b"), "600\n");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AFileSavedAnewWithEqualAttributesIsSent) {
    in_directory("mkdir source; echo old > source/b");
    const auto summary = push_while("echo new > source/.b; mv source/.b source/b");
    EXPECT_EQ(summary.vanished + summary.problems, 0u);
    EXPECT_EQ(in_directory("cat target/b"), "new\n");
}

TEST_F(LiveSourceTest, ADirectoryThatWasReplacedIsNotGoneInto) {
    in_directory("mkdir -p source/us sec; echo secret > sec/f; chmod 700 sec; chown 33 sec");
    const auto summary = push_while("rmdir source/us; mv sec source/us");
    EXPECT_EQ(summary.vanished, 1u);
    EXPECT_EQ(in_directory("ls target/us"), "");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, EachNameOfAHardLinkIsNamedWhenItsContentCantBeHad) {
    in_directory(
        "mkdir -p source/d target; cd source; echo new > m1; ln m1 m2; ln m1 d/m3; "
        "echo old > ../target/m2");
    const auto summary = push_while("rm source/m1");
    EXPECT_EQ(summary.vanished, 1u);
    EXPECT_EQ(summary.problems, 2u);
    EXPECT_NE(problem_with("target/m2"), "");
    EXPECT_NE(problem_with("target/d/m3"), "");
    EXPECT_EQ(in_directory("cat target/m2"), "old\n");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AHardLinkGetsNoContentOfAFileThatTookItsFirstName) {
    in_directory("mkdir source; echo right > source/m1; ln source/m1 source/m2");
    const auto summary = push_while("echo other > source/x; mv source/x source/m1");
    EXPECT_EQ(summary.vanished, 1u);
    EXPECT_NE(problem_with("target/m2"), "");
    EXPECT_EQ(in_directory("ls target"), "");
    problems_.clear();
    push_equal();
}

TEST_F(LiveSourceTest, AChangeShortlyBeforeThePushIsSeenDespiteAnEqualTime) {
    in_directory(
        "mkdir source; echo 1 > source/a; head -c 100000 /dev/zero > source/big; echo 1 > "
        "source/same");
    push_equal();
    in_directory(
        "cp -p source/a source/big .; echo 2 > source/a; printf x | dd of=source/big bs=1 "
        "seek=70000 conv=notrunc status=none; touch -r a source/a; touch -r big source/big");
    trust_fresh_files();
    EXPECT_EQ(push_now().target.changed, 0u);  // without a ctime nobody could tell
    options_.unsure_since = {};
    EXPECT_EQ(push_equal().target.changed, 2u);
}

}  // namespace
}  // namespace imgsync
