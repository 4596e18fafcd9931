#include "fs/source/index_places.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/source/seek_index.h"
#include "tests/fs/source/index_fixture.h"
#include "tests/support/counting_source.h"
#include "tests/support/shell.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

class IndexPlacesTest : public IndexTest {
  protected:
    IndexPlacesTest() {
        decoded(memory(packed_), options())->settle();
        good_ = read_file(path_, kGiB);
    }

    IndexFile open(int flags = O_RDWR) const { return {open_file(path_, flags), path_.string()}; }

    std::vector<IndexFile::Read> records() const {
        std::vector<IndexFile::Read> all;
        const auto file = open();
        for (auto at = IndexFile::kHeaderSize; const auto read = file.read_record(at);) {
            all.push_back(*read);
            at = read->next;
        }
        return all;
    }

    /// In the file that stands there, as a disk would do it.
    void flip_byte(uint64_t offset) const {
        const auto fd = open_file(path_, O_RDWR);
        std::array<std::byte, 1> byte{};
        read_some(fd.get(), offset, byte, "index");
        byte[0] ^= std::byte{1};
        write_exactly(fd.get(), offset, byte, "index");
    }
    void damage_last_record() const { flip_byte(open().read_end()->entries.back().offset + 40); }

    Bytes present() const { return read_file(path_, kGiB); }

    void expect_made_again_with_one_line(const std::string& why) {
        notes_.clear();
        decoded(memory(packed_), options())->settle();
        EXPECT_NE(notes_.find(why), std::string::npos) << notes_;
        EXPECT_EQ(std::ranges::count(notes_, '\n'), 1) << notes_;
        EXPECT_EQ(present(), good_);
    }

    /// Of three records and 36 MiB; the one in the middle is damaged.
    void write_large_one() const {
        std::filesystem::remove(path_);
        IndexFile file(open_file(path_, O_RDWR | O_CREAT), path_.string());
        file.write_header(large_);
        IndexEnd end{.plain_size = 3 * kMiB, .content = {}, .entries = {}};
        auto at = IndexFile::kHeaderSize;
        for (uint64_t i = 0; i < 3; ++i) {
            IndexRecord record{.point = {.plain = i * kMiB, .packed_bit = i * 100},
                               .begin = i * kMiB,
                               .end = (i + 1) * kMiB,
                               .hashes = {}};
            record.point.state.resize(12 * kMiB);
            end.entries.push_back({record.begin, record.point.packed_bit, at});
            at = file.append(at, record);
        }
        file.append(at, end);
        flip_byte(end.entries[1].offset + kMiB);
    }

    const std::filesystem::path path_ = dir_ / "index";
    const IndexIdentity large_{.codec = 1, .packed_size = kGiB, .packed = to_bytes("large")};
    Bytes good_;
};

TEST_F(IndexPlacesTest, ADamagedOneThatOthersReadIsReplacedAndNotCut) {
    const auto reader = open(O_RDONLY);
    damage_last_record();
    std::atomic<uint64_t> read = 0;
    decoded(std::make_unique<CountingSource>(memory(packed_), read), options())->settle();
    EXPECT_NE(notes_.find("is damaged"), std::string::npos) << notes_;
    EXPECT_LT(read, packed_.size()) << "what is sound of it is used";
    EXPECT_EQ(present(), good_);
    EXPECT_EQ(reader.size(), good_.size());
    EXPECT_FALSE(reader.is_at(path_));
}

// INDEX.md, invariant 6.
TEST_F(IndexPlacesTest, OneWhoseEndSaysOtherThingsThanItsRecordsIsNotBelieved) {
    const auto end = *open().read_end();
    const auto at = records().back().next;
    for (int i = 0; i < 3; ++i) {
        auto forged = end;
        forged.content[0] ^= static_cast<std::byte>(i == 0 ? 1 : 0);
        forged.plain_size += i == 1 ? 1 : 0;
        forged.entries.back().packed_bit += i == 2 ? 1 : 0;
        auto file = open();
        file.truncate(at);
        file.append(at, forged);
        expect_made_again_with_one_line("is damaged");
    }
}

// INDEX.md, invariant 4.
TEST_F(IndexPlacesTest, ARecordWithoutHashesIsDamagedWhereNoPassLeavesThemOut) {
    const auto all = records();
    IndexEnd end = *open().read_end();
    end.content = {};
    auto file = open();
    auto at = IndexFile::kHeaderSize;
    file.truncate(at);
    for (size_t i = 0; i < all.size(); ++i) {
        auto record = all[i].record;
        record.hashes.clear();
        end.entries[i].offset = at;
        at = file.append(at, record);
    }
    file.append(at, end);
    expect_made_again_with_one_line("is damaged");
}

TEST_F(IndexPlacesTest, ADamagedRecordThatIsFoundLaterRemovesTheFile) {
    const auto source = decoded(memory(packed_), options());
    damage_last_record();
    Bytes out(10);
    const auto line = line_of([&] { source->read(plain_.size() - out.size(), out); });
    EXPECT_NE(line.find("the seek index is damaged; it was removed"), std::string::npos) << line;
    EXPECT_FALSE(std::filesystem::exists(path_));
    EXPECT_EQ(read_all(*decoded(memory(packed_), options())), plain_);
    EXPECT_EQ(present(), good_);
}

TEST_F(IndexPlacesTest, ADamagedRecordThatIsFoundLaterRemovesNobodyElsesFile) {
    const auto source = decoded(memory(packed_), options());
    damage_last_record();
    Bytes out(10);
    const auto read = [&] { source->read(plain_.size() - out.size(), out); };
    const auto builder = open();
    ASSERT_TRUE(builder.try_lock());
    EXPECT_EQ(error_of(read), EUCLEAN);
    EXPECT_TRUE(builder.is_at(path_)) << "somebody is at work on it";
    std::filesystem::rename(path_, dir_ / "old");
    write_file(path_, good_);
    EXPECT_NE(line_of(read).find("imgfs index IMAGE looks it through"), std::string::npos);
    EXPECT_EQ(present(), good_);
}

// INDEX.md, invariant 6: what is over 32 MiB is checked when it is used.
TEST_F(IndexPlacesTest, ALargeOneIsNotReadWholeAndFoundDamagedWhereItIs) {
    write_large_one();
    auto found = find_index({path_}, large_, {}, [](const std::string& line) { FAIL() << line; });
    ASSERT_TRUE(found.end);
    const SeekIndex index(std::move(found.file), std::move(found.end), kGiB);
    EXPECT_EQ(index.load(*index.at(0)).point.state.size(), 12 * kMiB);
    EXPECT_EQ(index.load(*index.at(2 * kMiB)).begin, 2 * kMiB);
    EXPECT_TRUE(std::filesystem::exists(path_));
    EXPECT_EQ(error_of([&] { index.load(*index.at(kMiB)); }), EUCLEAN);
    EXPECT_FALSE(std::filesystem::exists(path_));
}

// A medium that can't be written, say.
TEST_F(IndexPlacesTest, ALargeDamagedOneThatCannotBeReplacedIsMadeAgainElsewhereAndUsedFromThere) {
    write_large_one();
    const std::vector places = {path_, dir_ / "cache" / "index"};
    std::filesystem::create_directory(dir_ / "cache");
    std::filesystem::permissions(dir_ / "cache", std::filesystem::perms::all);
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755));
    std::filesystem::permissions(path_, std::filesystem::perms(0644));
    ASSERT_EQ(::seteuid(65534), 0);
    std::string said;
    const auto looking_through = find_index(places, large_, {.way_out = "none"},
                                            [&](const std::string& line) { said += line; });
    const auto for_verify = find_index(places, large_, {.kept = false}, {});
    ASSERT_EQ(::seteuid(0), 0);
    EXPECT_EQ(looking_through.file.name(), places[1].string());
    EXPECT_FALSE(looking_through.end);
    EXPECT_NE(said.find("is damaged and can't be replaced"), std::string::npos) << said;
    EXPECT_FALSE(for_verify.end);

    EXPECT_EQ(find_index(places, large_, {}, {}).file.name(), path_.string());
    std::filesystem::copy_file(path_, places[1], std::filesystem::copy_options::overwrite_existing);
    EXPECT_EQ(find_index(places, large_, {}, {}).file.name(), places[1].string());
}

TEST_F(IndexPlacesTest, OfAHalfWrittenOneOnlyTheRestNeedsRoom) {
    struct statvfs space {};
    ASSERT_EQ(::statvfs(dir_.path().c_str(), &space), 0);
    const auto room = space.f_bavail * space.f_frsize;
    const IndexIdentity identity{
        .codec = 1, .packed_size = (room + 2 * kGiB) * 64, .packed = to_bytes("huge")};
    open().write_header(identity);
    std::filesystem::resize_file(path_, 4 * kGiB);  // without taking room
    const auto found = find_index({path_}, identity, {}, {});
    EXPECT_EQ(found.file.name(), path_.string());
    EXPECT_EQ(found.file.size(), 4 * kGiB);
}

TEST_F(IndexPlacesTest, EachReasonToMakeItAgainIsSaidAlone) {
    const auto changed = [&](size_t at) {
        auto bad = good_;
        bad[at] ^= std::byte{1};
        return bad;
    };
    const std::vector<std::pair<Bytes, std::string>> cases = {
        {{}, "is empty"},
        {Bytes(50), "is shorter than"},
        {changed(0), "is no seek index"},
        {changed(16), "another version"},
        {changed(40), "damaged at its start"}};
    for (const auto& [content, why] : cases) {
        write_file(path_, content);
        expect_made_again_with_one_line(why);
    }
    auto others = options();
    others.packed_identity = to_bytes("as it is now");
    notes_.clear();
    decoded(memory(packed_), others)->settle();
    EXPECT_NE(notes_.find("made of other files, or of these before"), std::string::npos) << notes_;
    others.dense = true;
    notes_.clear();
    decoded(memory(packed_), others)->settle();
    EXPECT_NE(notes_.find("fewer seek points than are wanted"), std::string::npos) << notes_;
    EXPECT_EQ(std::ranges::count(notes_, '\n'), 1) << notes_;
}

TEST_F(IndexPlacesTest, WhatIsInTheWayIsSaidAndTheNextPlaceTaken) {
    auto places = options();
    places.index_files = {dir_ / "taken", dir_ / "next"};
    for (const auto* command : {"mkdir ", "mkfifo ", "ln -s index "}) {
        SCOPED_TRACE(command);
        notes_.clear();
        run(command + (dir_ / "taken").string());
        decoded(memory(packed_), places)->settle();
        EXPECT_NE(notes_.find("taken"), std::string::npos) << notes_;
        EXPECT_NE(notes_.find("kept as"), std::string::npos) << notes_;
        EXPECT_EQ(std::ranges::count(notes_, '\n'), 1) << notes_;
        EXPECT_EQ(read_file(dir_ / "next", kGiB), good_);
        std::filesystem::remove(dir_ / "taken");
        std::filesystem::remove(dir_ / "next");
    }
}

TEST_F(IndexPlacesTest, ThatMustBeKeptAndCannotBeFailsWithTheWayOut) {
    auto must = options();
    write_file(dir_ / "file", {});
    must.index_files = {dir_ / "file" / "index"};
    must.index_way_out = "do this";
    const auto open = [&] { decoded(memory(packed_), must); };
    EXPECT_EQ(error_of(open), EACCES);
    EXPECT_NE(line_of(open).find((dir_ / "file").string()), std::string::npos) << line_of(open);
    EXPECT_TRUE(line_of(open).ends_with("; do this")) << line_of(open);
    must.index_files.push_back(path_);
    EXPECT_EQ(read_all(*decoded(memory(packed_), must)), plain_);
}

TEST_F(IndexPlacesTest, ThatIsNotKeptLeavesNoFolder) {
    auto rescuing = options();
    rescuing.index_files = {dir_ / "imgfs" / "name" / "index"};
    rescuing.on_damage = [](const std::string& line) { FAIL() << line; };
    EXPECT_EQ(read_all(*decoded(memory(packed_), rescuing)), plain_);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "imgfs"));
}

}  // namespace
}  // namespace imgfs
