// Targets that can't store, read or give up everything.
#include <sys/resource.h>
#include <unistd.h>

#include "tests/sync/push_fixture.h"

namespace imgsync {
namespace {

using OddTargetTest = PushFixture;

/// Everything in this process is done as an ordinary user until the end of the scope.
class AsUser {
  public:
    AsUser() { EXPECT_EQ(::seteuid(1000), 0); }
    AsUser(const AsUser&) = delete;
    AsUser& operator=(const AsUser&) = delete;
    ~AsUser() { EXPECT_EQ(::seteuid(0), 0); }
};

class FewDescriptors {
  public:
    explicit FewDescriptors(rlim_t count) {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        const rlimit few{.rlim_cur = count, .rlim_max = before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

TEST_F(OddTargetTest, AnXattrThatCantBeStoredIsAProblemOfItsFileOnly) {
    trust_fresh_files();
    in_directory(
        "mkdir source target; for end in source target; do truncate -s 16M $end.img; done; "
        "mke2fs -q -t ext4 -b 4096 -O ea_inode source.img; "
        "mke2fs -q -t ext4 -b 1024 -O ^ea_inode target.img; "
        "mount -o loop source.img source; mount -o loop target.img target; cd source; "
        "rmdir lost+found ../target/lost+found; mkdir d; for name in a b d; do "
        "test -d $name || echo $name > $name; "
        "setfattr -n user.large -v $(printf 'x%.0s' {1..3000}) $name; "
        "setfattr -n user.small -v 1 $name; chmod 750 $name; chown 5:6 $name; done; echo z > z; "
        "touch -d 2001-02-03 a");
    const auto first = push_now();
    const auto listing = in_directory(
        "cd target; cat a b z; stat -c '%a %u %g' a b d; getfattr -d a d; stat -c %Y a");
    const auto first_problems = std::exchange(problems_, {});
    const auto second = push_now();
    in_directory("umount source target");
    EXPECT_EQ(first.problems, 3u);
    for (size_t at = 0; at < first_problems.size() && at < 3; ++at) {
        EXPECT_NE(first_problems[at].find("user.large: No space"), std::string::npos)
            << first_problems[at];
    }
    EXPECT_EQ(listing,
              "a\nb\nz\n750 5 6\n750 5 6\n750 5 6\n# file: a\nuser.small=\"1\"\n\n"
              "# file: d\nuser.small=\"1\"\n\n" +
                  in_directory("date -d 2001-02-03 +%s"));
    EXPECT_EQ(second.problems, 3u);
    EXPECT_EQ(second.bytes_read, 0u);
    EXPECT_EQ(second.target.changed, 0u);
}

TEST_F(OddTargetTest, AFileWithoutTheAclItNeedsLetsNobodyElseIn) {
    in_directory(
        "mkdir source target; mount -t ramfs none target; echo secret > source/a; "
        "setfacl -m u:33:rw,g::- source/a");
    const auto summary = push_now();
    const auto mode = in_directory("stat -c %a target/a; umount target");
    EXPECT_EQ(summary.problems, 1u);
    EXPECT_EQ(mode, "604\n");
}

TEST_F(OddTargetTest, DeletesNothingThroughABindMount) {
    in_directory(
        "mkdir -p source/d other target/gone/m target/d/m target/top; echo f > other/f; "
        "echo g > other/file; touch target/d/file target/gone/g; for at in gone/m d/m top; do "
        "mount --bind other target/$at; done; mount --bind other/file target/d/file");
    push_now();
    const auto left = in_directory("cat other/f; find target | sort");
    in_directory("umount target/gone/m target/d/m target/top target/d/file");
    EXPECT_EQ(left,
              "f\ntarget\ntarget/d\ntarget/d/file\ntarget/d/m\ntarget/d/m/f\ntarget/d/m/file\n"
              "target/gone\ntarget/gone/m\ntarget/gone/m/f\ntarget/gone/m/file\n"
              "target/top\ntarget/top/f\ntarget/top/file\n");
}

TEST_F(OddTargetTest, AFileItsOwnerMayNotReadIsReplaced) {
    in_directory(
        "chmod 755 .; mkdir source target; for end in source target; do "
        "head -c 100000 /dev/urandom > $end/delta; echo >> source/delta; head -c 100000 "
        "/dev/urandom > $end/compared; "
        "done; touch -d 2001-01-01 */compared; chmod 200 target/*; chmod 644 source/*; "
        "chown -R 1000:1000 source target");
    options_.checksum = true;
    {
        const AsUser user;
        EXPECT_EQ(push_now().target.changed, 2u);
    }
    EXPECT_EQ(problems_, std::vector<std::string>());
    push_equal();
}

TEST_F(OddTargetTest, MoreChangedLargeFilesThanDescriptors) {
    in_directory(
        "mkdir source target; for n in {1..300}; do truncate -s 70000 source/$n target/$n; done; "
        "touch -d 2001-01-01 target/*");
    {
        const FewDescriptors few(128);
        EXPECT_EQ(push_now().target.changed, 300u);
    }
    push_equal();
}

}  // namespace
}  // namespace imgsync
