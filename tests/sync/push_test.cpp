#include "sync/push.h"

#include "fs/base/error.h"
#include "tests/sync/push_fixture.h"

namespace imgsync {
namespace {

/// One of each: small, large and sparse files, links, devices, xattrs, ACLs, odd names and times.
constexpr const char* kMakeTree = R"sh(
mkdir -p source/a/b source/empty; cd source
echo hi > small; head -c 300000 /dev/urandom > big; : > nothing
ln small link; ln small a/link; ln -s nowhere dangling; ln -s a/b to-b
mkfifo fifo; mknod char c 5 6; mknod block b 7 250; mknod wide c 300 70000; ln char char-link
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('socket')"
truncate -s 10M sparse; echo x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
printf 1 > "$(printf 'new\nline')"; printf 2 > "$(printf 'not-utf8-\377')"; printf 3 > ' -n '
printf 4 > "$(printf 'n%.0s' {1..255})"; ln -s x "$(printf 's%.0s' {1..255})"
setfattr -n user.note -v some small; setfattr -n user.empty big; setfattr -n user.d -v 1 a
setfattr -h -n trusted.link -v t dangling; setfattr -n trusted.dev -v t char
setfacl -m u:33:r,g:44:rw big; setfacl -d -m u:34:rwx a; echo in > a/b/deep
chown 1000:1001 small a; chown -h 5:6 dangling; chown 7:8 char
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 a/b/deep
chmod 4711 big; chmod 1777 empty; chmod 0 nothing; chmod 2750 a/b
touch -d '2001-02-03 04:05:06.123456789' a/b big; touch -h -d '1969-01-01 00:00:00.5' dangling
touch -d '2040-01-01' char fifo socket; touch -d '2002-01-01' .
)sh";

using PushTest = PushFixture;

TEST_F(PushTest, MakesANewTargetEqual) {
    in_directory(kMakeTree);
    const auto summary = push_equal();
    EXPECT_EQ(summary.target.changed, 0u);
    EXPECT_GT(summary.bytes_saved, 9'000'000u);  // the hole didn't travel
    EXPECT_LT(std::stoul(in_directory("stat -c %b target/sparse")), 100u);
}

TEST_F(PushTest, SendsNothingTheSecondTime) {
    in_directory(kMakeTree);
    push_equal();
    const auto summary = push_equal();
    EXPECT_EQ(summary.target, TargetCounts{});
    EXPECT_EQ(summary.bytes_read, 0u);
    EXPECT_LT(summary.bytes_sent, 10'000u);
}

TEST_F(PushTest, SendsOnlyWhatDiffersInALargeFile) {
    in_directory("mkdir source && head -c 4000000 /dev/urandom > source/big");
    push_equal();
    in_directory(
        "for at in 100 2000000 3999000; do printf change | dd of=source/big bs=1 seek=$at "
        "conv=notrunc status=none; done; (printf front; cat source/big) > source/b && mv source/b "
        "source/big");
    const auto summary = push_equal();
    EXPECT_EQ(summary.target.changed, 1u);
    EXPECT_LT(summary.bytes_sent, 20'000u);
    EXPECT_LT(summary.bytes_received, 60'000u);
}

TEST_F(PushTest, ChangesOnlyAttributes) {
    in_directory(kMakeTree);
    push_equal();
    in_directory(
        "cd source && touch -h -r a/b -d '+1 day' dangling && chmod 600 small && setfattr "
        "-x user.empty big && chown 9:9 fifo && setfacl -b a && setfacl -b big");
    const auto summary = push_equal();
    EXPECT_EQ(summary.bytes_read, 0u);
    EXPECT_EQ(summary.target.attributes, 5u);
}

}  // namespace
}  // namespace imgsync
