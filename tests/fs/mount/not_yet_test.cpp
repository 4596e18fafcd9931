// Mounts of a partition through which an indexing pass still has to go.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "fs/base/fd.h"
#include "fs/view/ext_view.h"
#include "tests/fs/mount/child.h"
#include "tests/fs/mount/daemon_fixture.h"
#include "tests/fs/mount/served_mount.h"
#include "tests/support/ext_image.h"
#include "tests/support/gated_device.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

using namespace std::chrono_literals;

constexpr int kFarFiles = 40;
constexpr size_t kFarSize = 64 * kKiB;

std::string far_name(int number) {
    return "far-" + std::to_string(number);
}

Bytes far_content(int number) {
    return noise(kFarSize, static_cast<uint64_t>(number) + 1);
}

/// Everything but the content of the far files lies in the front.
struct Partition {
    Bytes bytes;
    uint64_t far = 0;
};

Partition make_partition() {
    MemoryDevice device(make_ext_image({.options = "-t ext4 -b 4096", .size = 24 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto make = [&](InodeNumber directory, const std::string& name, mode_t mode) {
        return view->make(directory, {.name = name, .mode = mode}).inode;
    };
    const auto near = make(kRootInode, "near", S_IFREG | 0644);
    view->write(near, 0, bytes_of("near content"));
    const auto folder = make(kRootInode, "folder", S_IFDIR | 0755);
    make(folder, "inside", S_IFREG | 0644);
    make(kRootInode, "folder2", S_IFDIR | 0755);
    std::vector<InodeNumber> far;
    for (int i = 0; i < kFarFiles; ++i) {
        far.push_back(make(kRootInode, far_name(i), S_IFREG | 0644));
    }
    for (int i = 0; i < kFarFiles; ++i) {
        view->write(far[static_cast<size_t>(i)], 0, far_content(i));
    }
    view->commit();
    const auto start = far_content(0);
    return {device.committed(),
            text_of(device.committed()).find(text_of(ConstByteSpan(start).first(4096)))};
}

const Partition& partition() {
    static const Partition made = make_partition();
    return made;
}

class NotYetMountTest : public testing::Test {
  protected:
    NotYetMountTest() { device_.move_gate(partition().far); }
    ~NotYetMountTest() override { device_.open_gate(); }

    std::string path(const std::string& name) const { return mount_ / name; }
    void expect_content(int far) {
        EXPECT_TRUE(read_file(path(far_name(far)), kFarSize) == far_content(far)) << far;
    }
    void end_and_check() {
        mount_.stop();
        view_->commit();
        EXPECT_EQ(view_->failure(), "");
        expect_e2fsck_clean(below_.committed());
    }

    MemoryDevice below_{partition().bytes};
    GatedDevice device_{below_};
    std::unique_ptr<View> view_ = make_ext_view(device_, ViewAccess::read_write);
    ServedMount mount_{*view_};
};

TEST_F(NotYetMountTest, TwentyBlockedReadersHoldUpNobody) {
    std::vector<std::thread> readers;
    for (int i = 0; i < 20; ++i) {
        readers.emplace_back([this, i] { expect_content(i); });
    }
    device_.wait_for_refusals(20);
    const auto start = std::chrono::steady_clock::now();
    const std::filesystem::directory_iterator root(mount_.path());
    EXPECT_EQ(std::distance(begin(root), end(root)), kFarFiles + 4);
    EXPECT_EQ(text_of(read_file(path("near"), 100)), "near content");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
    EXPECT_EQ(device_.refusals(), 20U) << "what can't be answered is not tried again and again";
    device_.move_gate(partition().far + 10 * kFarSize);
    for (int i = 0; i < 10; ++i) {
        readers[static_cast<size_t>(i)].join();
    }
    device_.open_gate();
    for (int i = 10; i < 20; ++i) {
        readers[static_cast<size_t>(i)].join();
    }
}

TEST_F(NotYetMountTest, ReadAheadThatWaitsKeepsNobodyOut) {
    std::vector<Fd> files;
    for (int i = 0; i < kFarFiles; ++i) {
        files.push_back(open_file(path(far_name(i)), O_RDONLY | O_CLOEXEC));
        EXPECT_EQ(::posix_fadvise(files.back().get(), 0, kFarSize, POSIX_FADV_WILLNEED), 0);
    }
    device_.wait_for_refusals(kFarFiles);
    EXPECT_EQ(run("timeout 5 cat " + path("near")), "near content");
    device_.open_gate();
    for (int i = 0; i < kFarFiles; ++i) {
        expect_content(i);
    }
}

TEST_F(NotYetMountTest, AReaderThatWaitsCanBeInterrupted) {
    Child cat("cat " + path(far_name(3)));
    device_.wait_for_refusals(1);
    cat.signal(SIGINT);
    EXPECT_EQ(cat.wait(), 128 + SIGINT);
    device_.open_gate();
    expect_content(3);
}

TEST_F(NotYetMountTest, AListingOrAChangeThatWaitsCanBeInterrupted) {
    Child touch("touch " + path("folder/new"));
    device_.wait_for_refusals(2);  // it is sent back, and asks for the folder's attributes
    touch.signal(SIGINT);
    EXPECT_EQ(touch.wait(), 128 + SIGINT);
    device_.move_gate(0);
    Child list("ls " + path("folder2"));
    device_.wait_for_refusals(3);
    list.signal(SIGINT);
    EXPECT_EQ(list.wait(), 128 + SIGINT);
    device_.open_gate();
    run("touch " + path("folder/later"));
    EXPECT_EQ(run("ls " + path("folder")), "inside\nlater\n") << "what was interrupted is not done";
    end_and_check();
}

TEST_F(NotYetMountTest, ChangesAreDoneOnceWhenThePassHasEnded) {
    Child make("touch " + path("folder/new"));
    Child write("sh -c 'head -c 300000 /dev/zero | tr \"\\0\" x >> " + path("near") + "'");
    device_.wait_for_refusals(3);
    EXPECT_EQ(below_.dirty_bytes(), 0U);
    device_.open_gate();
    EXPECT_EQ(make.wait(), 0);
    EXPECT_EQ(write.wait(), 0);
    EXPECT_EQ(run("ls " + path("folder")), "inside\nnew\n");
    EXPECT_EQ(run("tr -d x < " + path("near")), "near content");
    EXPECT_EQ(run("stat -c %s " + path("near")), "300012\n");
    end_and_check();
}

TEST_F(NotYetMountTest, AWalkThroughTheTreeGoesOnAsThePassDoes) {
    device_.move_gate(8 * kKiB);
    device_.follow_readers();
    const auto list = [this] { return run("ls -lRi " + mount_.path()); };
    const auto listed = list();
    expect_content(0);
    expect_content(kFarFiles - 1);
    EXPECT_GE(device_.refusals(), 5U);
    device_.open_gate();
    run("echo 2 > /proc/sys/vm/drop_caches");
    EXPECT_EQ(listed, list());
}

TEST_F(NotYetMountTest, IsUnmountedAtOnceWhenNobodyUsesItWhateverWaits) {
    Child cat("cat " + path(far_name(3)));
    device_.wait_for_refusals(1);
    cat.signal(SIGKILL);
    cat.wait();
    run("timeout 10 umount " + mount_.path());
    mount_.join();
    EXPECT_EQ(below_.commits(), 0);
}

TEST_F(NotYetMountTest, StopsAtOnceWhateverWaits) {
    Child cat("cat " + path(far_name(3)));
    Child touch("touch " + path("folder/new"));
    device_.wait_for_refusals(3);
    mount_.stop();
    EXPECT_EQ(cat.wait(), 1);
    EXPECT_EQ(touch.wait(), 1);
    view_->commit();
    EXPECT_EQ(below_.commits(), 0);
    device_.open_gate();
    EXPECT_FALSE(view_->lookup(inode_at(*view_, "folder"), "new"));
}

TEST_F(DaemonTest, EndsInGoodOrderWhileThePassGoesOn) {
    auto mount = job();
    mount.open = [](const auto& serve_it) {
        MemoryDevice below(partition().bytes);
        GatedDevice device(below);
        const auto view = make_ext_view(device, ViewAccess::read_write);
        device.move_gate(partition().far);
        serve_it({.view = *view, .delta_folder = "", .status = [&device] {
                      return nlohmann::json{{"refusals", device.refusals()}};
                  }});
    };
    run_mount(mount);
    Child cat("cat " + in_mount(far_name(7)));
    Child touch("touch " + in_mount("folder/new"));
    const auto record = find_mount(mountpoint());
    while (request(record, "status").value("refusals", 0) < 3) {
        std::this_thread::yield();
    }
    request(record, "sync");  // nothing was changed, nothing is waited for
    ::kill(record.pid, SIGTERM);
    EXPECT_EQ(cat.wait(), 1);
    EXPECT_EQ(touch.wait(), 1);
    wait_for_supervisor();
    EXPECT_FALSE(mounted_at(mountpoint()));
}

}  // namespace
}  // namespace imgfs
