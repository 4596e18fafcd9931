// Frames that no honest peer sends: an error, never a crash, a hang, or a step out of the target.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "fs/base/error.h"
#include "sync/replies.h"
#include "sync/rolling_delta.h"
#include "sync/serve.h"
#include "tests/support/memory_source.h"
#include "tests/sync/push_fixture.h"

namespace imgsync {
namespace {

struct Pair {
    Pair() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
            imgfs::fail_errno("socketpair");
        }
        near = imgfs::Fd(ends[0]);
        far = imgfs::Fd(ends[1]);
    }
    imgfs::Fd near;
    imgfs::Fd far;
};

/// The frames of one type after another, as bytes.
class Frames {
  public:
    void put(FrameType type, const Bytes& payload = {}) {
        Packer packer;
        packer.put(static_cast<uint32_t>(payload.size()));
        packer.put(static_cast<uint8_t>(type));
        packer.put_bytes(payload);
        bytes_.insert(bytes_.end(), packer.bytes().begin(), packer.bytes().end());
    }
    const Bytes& bytes() const { return bytes_; }

  private:
    Bytes bytes_;
};

Bytes mutated(const Bytes& good, std::mt19937& random) {
    auto bytes = good;
    for (auto times = 1 + random() % 3; times > 0 && !bytes.empty(); --times) {
        const auto at = static_cast<ptrdiff_t>(random() % bytes.size());
        const auto count =
            std::min<ptrdiff_t>(1 + static_cast<ptrdiff_t>(random() % 64), std::ssize(bytes) - at);
        switch (random() % 5) {
            case 0:
                bytes[static_cast<size_t>(at)] = static_cast<std::byte>(random());
                break;
            case 1:
                bytes[static_cast<size_t>(at)] ^= static_cast<std::byte>(1u << random() % 8);
                break;
            case 2:
                bytes.erase(bytes.begin() + at, bytes.begin() + at + count);
                break;
            case 3: {
                const Bytes copy(bytes.begin() + at, bytes.begin() + at + count);
                bytes.insert(bytes.begin() + at, copy.begin(), copy.end());
                break;
            }
            default:
                std::fill_n(bytes.begin() + at, std::min<ptrdiff_t>(count, 8), std::byte{0xff});
        }
    }
    return bytes;
}

Entry entry_of(Kind kind, const std::string& name, uint64_t id) {
    Entry entry;
    entry.kind = kind;
    entry.name = name;
    entry.id = id;
    entry.attributes.mode = 0644;
    entry.attributes.modified = {.seconds = 1'000'000'000, .nanoseconds = 5};
    return entry;
}

class HostilePeerTest : public PushFixture {
  protected:
    /// Lets serve() have these bytes and nothing more; what it failed with, or nothing.
    std::string serve_bytes(const Bytes& bytes) {
        Pair pair;
        std::string failure;
        std::thread server([&] {
            try {
                serve({.in = pair.far.get(), .out = pair.far.get()});
            } catch (const std::exception& error) {
                failure = error.what();
            }
            ::shutdown(pair.far.get(), SHUT_RDWR);
        });
        std::thread drain([&] {
            std::array<char, 4096> sink{};
            while (::recv(pair.near.get(), sink.data(), sink.size(), 0) > 0) {
            }
        });
        for (ConstByteSpan left = bytes; !left.empty();) {
            const auto sent = ::send(pair.near.get(), left.data(), left.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                break;
            }
            left = left.subspan(static_cast<size_t>(sent));
        }
        ::shutdown(pair.near.get(), SHUT_WR);
        server.join();
        drain.join();
        return failure;
    }

    Bytes hello() const {
        Frames frames;
        frames.put(FrameType::hello, pack(Hello{.delete_extra = true,
                                                .list_items = true,
                                                .target = target_,
                                                .excludes = {"/kept/*"}}));
        return frames.bytes();
    }
    /// A whole push after the greeting: directories, links, a whole file, a delta.
    Bytes session() const {
        Frames frames;
        auto root = entry_of(Kind::directory, "", 0);
        root.attributes.mode = 0755;
        frames.put(FrameType::tree, pack_root(root));
        auto whole = entry_of(Kind::file, "whole", 2);
        whole.size = content_.size();
        whole.attributes.xattrs = {{"user.note", "x"}};
        whole.links = {.id = 9, .first = true};
        auto link = whole;
        link.name = "zlink";
        link.id = 3;
        link.links = {.id = 9, .last = true};
        auto delta = entry_of(Kind::file, "big", 4);
        delta.size = changed_.size();
        auto symlink = entry_of(Kind::symlink, "sym", 5);
        symlink.symlink_target = "../outside";
        auto device = entry_of(Kind::character, "char", 6);
        device.major = 5;
        frames.put(FrameType::list,
                   pack(Piece{.directory = 0,
                              .number = 0,
                              .last = true,
                              .entries = {delta, device, entry_of(Kind::directory, "dir", 7),
                                          symlink, whole, link, entry_of(Kind::keep, "zz", 0)}}));
        frames.put(FrameType::begin, pack(Begin{.id = 2, .size = content_.size()}));
        frames.put(FrameType::data, content_);
        frames.put(FrameType::end, to_bytes(imgfs::xxh3_128(content_)));
        frames.put(FrameType::begin,
                   pack(Begin{.id = 4, .how = How::delta, .size = changed_.size()}));
        frames.put(FrameType::delta, delta_);
        frames.put(FrameType::end, to_bytes(imgfs::xxh3_128(changed_)));
        frames.put(FrameType::list,
                   pack(Piece{.directory = 7, .number = 1, .last = true, .entries = {}}));
        frames.put(FrameType::tree_end);
        return frames.bytes();
    }
    static Bytes to_bytes(const Hash128& hash) { return {hash.begin(), hash.end()}; }

    void make_target() {
        in_directory(
            "rm -rf target; mkdir -p target/kept target/old/x outside; echo 1 > target/old/x/y; "
            "touch target/kept/in; test -e outside/file || echo o > outside/file; ln "
            "target/old/x/y target/yy");
        imgfs::write_file(target_ + "/big", basis_);
    }
    static Feed feed_of(const Bytes& bytes) {
        return [&bytes, offset = size_t{0}](ByteSpan out) mutable {
            const auto count = std::min(out.size(), bytes.size() - offset);
            std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
            offset += count;
            return count;
        };
    }
    static Sink sink_to(Bytes& bytes) {
        return [&bytes](ConstByteSpan piece) {
            bytes.insert(bytes.end(), piece.begin(), piece.end());
        };
    }
    Bytes signature_of_basis() const {
        Bytes bytes;
        sign(basis_.size(), feed_of(basis_), sink_to(bytes));
        return bytes;
    }
    void make_delta() {
        const auto signed_bytes = signature_of_basis();
        Signature signature(signed_bytes.size());
        signature.add(signed_bytes);
        signature.make_delta(feed_of(changed_), sink_to(delta_));
    }

    const Bytes content_ = imgfs::noise(5'000, 1);
    const Bytes basis_ = imgfs::noise(100'000, 2);
    Bytes changed_ = imgfs::noise(100'000, 2);
    Bytes delta_;
};

TEST_F(HostilePeerTest, TheSessionItselfIsTaken) {
    changed_[50'000] ^= std::byte{1};
    make_delta();
    make_target();
    auto bytes = hello();
    const auto rest = session();
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    EXPECT_EQ(serve_bytes(bytes), "");
    EXPECT_EQ(in_directory("cd target; ls -A; cmp whole zlink"),
              "big\nchar\ndir\nkept\nsym\nwhole\nzlink\n");
}

TEST_F(HostilePeerTest, AMutatedSourceNeverLeavesTheTarget) {
    changed_[50'000] ^= std::byte{1};
    make_delta();
    make_target();
    const auto before = imgfs::tree_listing(directory_ / "outside");
    std::mt19937 random(20261121);
    for (int round = 0; round < 1500; ++round) {
        auto bytes = hello();
        const auto rest = mutated(session(), random);
        bytes.insert(bytes.end(), rest.begin(), rest.end());
        serve_bytes(bytes);
        if (round % 50 == 0) {
            make_target();
        }
    }
    EXPECT_EQ(imgfs::tree_listing(directory_ / "outside"), before);
    EXPECT_EQ(in_directory("ls -A; find target -name '.imgsync.*'"), "outside\ntarget\n");
}

TEST_F(HostilePeerTest, AMutatedGreetingIsAnError) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        auto bytes = hello();
        bytes[random() % 30] ^=
            static_cast<std::byte>(1u << random() % 8);  // not the target's name
        EXPECT_NE(serve_bytes(bytes), "");
    }
}

TEST_F(HostilePeerTest, NamesThatLeadElsewhereAreRefused) {
    make_target();
    const std::vector<std::string> names = {
        "..", ".", "../outside/new", "outside/file", "", std::string("a\0b", 3), "/etc"};
    for (const auto& name : names) {
        Frames frames;
        auto root = entry_of(Kind::directory, "", 0);
        frames.put(FrameType::tree, pack_root(root));
        frames.put(FrameType::list, pack(Piece{.entries = {entry_of(Kind::directory, name, 1)}}));
        auto bytes = hello();
        bytes.insert(bytes.end(), frames.bytes().begin(), frames.bytes().end());
        EXPECT_NE(serve_bytes(bytes), "") << name;
    }
    EXPECT_EQ(in_directory("ls -A . outside"), ".:\noutside\ntarget\n\noutside:\nfile\n");
}

TEST_F(HostilePeerTest, NoMoreNamesAreTakenAfterTheLastOnesOfADirectory) {
    make_target();
    for (const bool is_last : {true, false}) {
        auto file = entry_of(Kind::file, "file", 2);
        file.size = 5;
        Frames frames;
        frames.put(FrameType::tree, pack_root(entry_of(Kind::directory, "", 0)));
        frames.put(FrameType::list,
                   pack(Piece{.last = true, .entries = {entry_of(Kind::directory, "dir", 7)}}));
        frames.put(FrameType::list,
                   pack(Piece{.directory = 7, .number = 1, .last = true, .entries = {file}}));
        frames.put(FrameType::list, pack(Piece{.directory = 7, .number = 2, .last = is_last}));
        frames.put(FrameType::gone, pack_number(2));
        frames.put(FrameType::tree_end);
        auto bytes = hello();
        bytes.insert(bytes.end(), frames.bytes().begin(), frames.bytes().end());
        EXPECT_NE(serve_bytes(bytes).find("complete"), std::string::npos);
    }
}

TEST_F(HostilePeerTest, ATargetSendsOnlySoManySignaturesAheadOfTheirFiles) {
    const Pair pair;
    Notices notices;
    Replies replies(pair.near.get(), -1, notices);
    const auto signature = signature_of_basis();
    const auto send_signature = [&](uint64_t id) {
        Frames frames;
        frames.put(FrameType::want,
                   pack(Want{.id = id, .how = How::delta, .signature_length = signature.size()}));
        frames.put(FrameType::signature, signature);
        const auto& bytes = frames.bytes();
        ASSERT_EQ(::send(pair.far.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
    };
    std::vector<Reply> taken;
    for (uint64_t id = 1; id <= kSignaturesAhead; ++id) {
        send_signature(id);
        taken.push_back(replies.take());
    }
    replies.release_signature();
    send_signature(100);
    EXPECT_NO_THROW(replies.take());
    send_signature(101);
    EXPECT_THROW(replies.take(), std::system_error);
}

TEST_F(HostilePeerTest, ASymlinkInTheTargetIsNeverFollowed) {
    in_directory(
        "mkdir -p source/dir source/d2 target outside; echo new > source/dir/file; "
        "echo x > source/d2/f; echo old > outside/file; ln -s ../outside target/dir; "
        "ln -s /nonexistent target/d2");
    push_equal();
    EXPECT_EQ(in_directory("cat outside/file; ls -A outside"), "old\nfile\n");
}

/// Passes bytes on, those to the source mutated now and then. A mutated length can make both ends
/// wait for each other, so silence ends the connection.
void relay(int from, int to, std::mt19937* random) {
    const timeval silence{.tv_sec = 0, .tv_usec = 100'000};
    ::setsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    Bytes buffer(2048);
    for (;;) {
        const auto count = ::recv(from, buffer.data(), buffer.size(), 0);
        if (count <= 0) {
            break;
        }
        Bytes piece(buffer.begin(), buffer.begin() + count);
        if (random != nullptr && (*random)() % 4 == 0) {
            piece = mutated(piece, *random);
        }
        if (!piece.empty() && ::send(to, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    ::shutdown(to, SHUT_WR);
    ::shutdown(from, SHUT_RD);
}

TEST_F(HostilePeerTest, AMutatedTargetNeverCrashesTheSource) {
    in_directory(
        "mkdir source; cd source; mkdir a b; head -c 200000 /dev/urandom > big; "
        "for n in {1..30}; do echo $n > a/$n; done; cp -a . ../seed; echo x >> big; "
        "cp -a ../seed ../target");
    options_.list_items = true;
    std::mt19937 random(7);
    for (int round = 0; round < 100; ++round) {
        Pair source;
        Pair target;
        if (round % 10 == 0) {
            in_directory("rm -rf target; cp -a seed target");
        }
        std::thread server([&] {
            try {
                serve({.in = target.far.get(), .out = target.far.get()});
            } catch (const std::exception&) {
                // what a broken peer deserves
            }
            ::shutdown(target.far.get(), SHUT_RDWR);
        });
        std::thread up([&] { relay(source.far.get(), target.near.get(), nullptr); });
        std::thread down([&] { relay(target.near.get(), source.far.get(), &random); });
        try {
            push_through(source.near.get(), options_);
        } catch (const std::system_error&) {
            // likewise
        }
        ::shutdown(source.near.get(), SHUT_RDWR);
        up.join();
        down.join();
        server.join();
    }
    EXPECT_EQ(in_directory("find target -name '.imgsync.*'"), "");
}

}  // namespace
}  // namespace imgsync
