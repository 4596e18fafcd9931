#include "fs/source/index_places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

using Note = std::function<void(const std::string&)>;

// A larger index is checked record by record when it is used: reading it all would keep a mount
// waiting.
constexpr uint64_t kCheckedWhole = 32 * kMiB;
constexpr int kTries = 50;  // while another process replaces the file
constexpr auto kRetryDelay = std::chrono::milliseconds(20);

void tell(const Note& note, const std::filesystem::path& path, const std::string& what) {
    if (note) {
        note(printable(path.string()) + ": " + what);
    }
}

/// The folder may be somebody else's: a link there must not lead a writer elsewhere, and a pipe
/// must not keep a reader waiting.
Fd open_regular(const std::filesystem::path& path, int flags, mode_t mode = 0) {
    auto fd = open_file(path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        fail_errno(path.string());
    }
    if (!S_ISREG(status.st_mode)) {
        fail(EINVAL, printable(path.string()) + ": is no regular file");
    }
    return fd;
}

Hashes hashes_of(const IndexIdentity& identity) {
    return identity.skips ? Hashes::may_lack : Hashes::needed;
}

/// Where the sound records from the file's start end.
uint64_t sound_end(const IndexFile& file) {
    auto at = IndexFile::kHeaderSize;
    for (auto read = file.read_record(at); read; read = file.read_record(at)) {
        at = read->next;
    }
    return at;
}

/// Are the records what the end says?
bool is_sound(const IndexFile& file, const IndexEnd& end, const KeepIndex& keep) {
    if (file.size() > kCheckedWhole && !keep.looks_through()) {
        return true;
    }
    auto at = IndexFile::kHeaderSize;
    uint64_t reached = 0;
    ContentDigest content;
    for (const auto& entry : end.entries) {
        const auto read = file.read_record(at);
        if (!read || read->record.begin != reached ||
            entry != IndexEntry{.begin = read->record.begin,
                                .packed_bit = read->record.point.packed_bit,
                                .offset = at,
                                .unchecked = read->record.unchecked}) {
            return false;
        }
        at = read->next;
        reached = read->record.end;
        content.add(read->record);
    }
    return reached == end.plain_size && content.digest() == end.content;
}

std::optional<FoundIndex> find_complete(const std::filesystem::path& path,
                                        const IndexIdentity& identity, const KeepIndex& keep,
                                        std::filesystem::path& damaged) {
    Fd fd;
    try {
        fd = open_regular(path, O_RDONLY);
    } catch (const std::system_error&) {
        return std::nullopt;
    }
    IndexFile file(std::move(fd), path.string(), hashes_of(identity));
    if (file.check_header(identity) != IndexHeader::good) {
        return std::nullopt;
    }
    auto end = file.read_end();
    if (end && !is_sound(file, *end, keep)) {
        damaged = path;
        return std::nullopt;
    }
    if (!end) {
        return std::nullopt;
    }
    return FoundIndex{std::move(file), std::move(end)};
}

std::filesystem::path beside(const std::filesystem::path& path) {
    auto temporary = path;
    temporary += ".new";
    return temporary;
}

/// To be put in the place of one that is of no use, whose lock the caller holds.
IndexFile new_file(const std::filesystem::path& path, const IndexIdentity& identity, mode_t mode) {
    const auto temporary = beside(path);
    ::unlink(temporary.c_str());
    IndexFile file(open_regular(temporary, O_RDWR | O_CREAT | O_EXCL, mode), path.string(),
                   hashes_of(identity));
    file.try_lock();
    file.write_header(identity);
    return file;
}

IndexFile put_in_place(IndexFile file, const std::filesystem::path& path) {
    if (::rename(beside(path).c_str(), path.c_str()) != 0) {
        fail_errno(path.string());
    }
    return file;
}

/// With what is sound of a complete one, which others may be reading.
IndexFile mended(const IndexFile& bad, const std::filesystem::path& path,
                 const IndexIdentity& identity, mode_t mode) {
    auto as_dense = identity;
    as_dense.dense = bad.is_dense();
    auto file = new_file(path, as_dense, mode);
    file.copy_records(bad, sound_end(bad));
    return put_in_place(std::move(file), path);
}

const char* why_useless(IndexHeader header) {
    switch (header) {
        case IndexHeader::good:
            break;
        case IndexHeader::too_short:
            return "is shorter than a seek index";
        case IndexHeader::damaged:
            return "is no seek index, or damaged at its start";
        case IndexHeader::other_version:
            return "was made by another version of imgfs";
        case IndexHeader::other_files:
            return "was made of other files, or of these before they changed";
        case IndexHeader::less_dense:
            return "has fewer seek points than are wanted now";
    }
    return "is of no use";
}

/// Of a file whose lock is held: what is good of it.
IndexFile take_over(IndexFile file, const std::filesystem::path& path,
                    const IndexIdentity& identity, const KeepIndex& keep, const Note& note) {
    if (file.size() == 0) {
        file.write_header(identity);
        return file;
    }
    if (const auto header = file.check_header(identity); header != IndexHeader::good) {
        tell(note, path, std::string(why_useless(header)) + "; the index is made again");
        // It may be somebody's, under another name, too.
        return put_in_place(new_file(path, identity, keep.mode), path);
    }
    const auto end = file.read_end();
    if (end && !is_sound(file, *end, keep)) {
        tell(note, path, "is damaged; the index is made again from there on");
        return mended(file, path, identity, keep.mode);
    }
    if (!end && file.size() > IndexFile::kHeaderSize) {  // else it was completed just now
        tell(note, path, "isn't complete; indexing goes on where it stopped");
    }
    return file;
}

/// The folder of the file, or the one above that stands there already.
std::filesystem::path existing_folder(const std::filesystem::path& file) {
    auto folder = std::filesystem::absolute(file).parent_path();
    while (!std::filesystem::exists(folder) && folder.has_relative_path()) {
        folder = folder.parent_path();
    }
    return folder;
}

/// `there`: bytes of the index that are there already.
void check_room(const std::filesystem::path& folder, const IndexIdentity& identity,
                uint64_t there) {
    struct statvfs space {};
    const auto whole = identity.packed_size / 64 + kMiB;
    const auto wanted = whole - std::min(whole, there);
    if (::statvfs(folder.c_str(), &space) == 0 && space.f_bavail * space.f_frsize < wanted) {
        fail(ENOSPC, printable(folder.string()) + ": has less than " + format_size(wanted) +
                         " free for the seek index");
    }
}

/// Of an index that can be gone on with.
uint64_t size_of(const std::filesystem::path& path, const IndexIdentity& identity) {
    try {
        const IndexFile file(open_regular(path, O_RDONLY), path.string());
        return file.check_header(identity) == IndexHeader::good ? file.size() : 0;
    } catch (const std::system_error&) {
        return 0;
    }
}

void make_folder(const std::filesystem::path& folder) {
    std::error_code problem;
    std::filesystem::create_directories(folder, problem);
    if (problem) {
        fail(problem.value(), printable(folder.string()) + ": " + problem.message());
    }
}

IndexFile open_for_building(const std::filesystem::path& path, const IndexIdentity& identity,
                            const KeepIndex& keep, const Note& note) {
    check_room(existing_folder(path), identity, size_of(path, identity));
    if (path.has_parent_path()) {
        make_folder(path.parent_path());
    }
    for (int i = 0; i < kTries; ++i) {
        const bool there = std::filesystem::exists(std::filesystem::symlink_status(path));
        IndexFile file(open_regular(path, O_RDWR | O_CREAT, keep.mode), path.string(),
                       hashes_of(identity));
        if (file.try_lock()) {
            if (file.is_at(path)) {
                if (there && file.size() == 0) {
                    tell(note, path, "is empty; the index is made again");
                }
                return take_over(std::move(file), path, identity, keep, note);
            }
        } else if (file.check_header(identity) == IndexHeader::good) {
            return file;
        }
        std::this_thread::sleep_for(kRetryDelay);
    }
    fail(EBUSY, printable(path.string()) + ": another program keeps it locked");
}

IndexFile unnamed_in(const std::filesystem::path& folder, const IndexIdentity& identity) {
    check_room(folder, identity, 0);
    auto path = (folder / ".imgfs-index-XXXXXX").string();
    const int fd = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) {
        fail_errno(path);
    }
    ::unlink(path.c_str());
    IndexFile file(Fd(fd), path);
    file.try_lock();
    file.write_header(identity);
    return file;
}

IndexFile unnamed(const std::vector<std::filesystem::path>& places, const IndexIdentity& identity) {
    for (const auto& path : places) {
        try {
            return unnamed_in(existing_folder(path), identity);
        } catch (const std::exception&) {
            // Then the next.
        }
    }
    return unnamed_in(std::filesystem::temp_directory_path(), identity);
}

/// Is it about something that stands there, not about rights or room?
bool is_in_the_way(int code) {
    return code == ELOOP || code == EISDIR || code == EINVAL;
}

/// The first place where one can be kept. If there is none, `reason` says why.
std::optional<IndexFile> kept_index(const std::vector<std::filesystem::path>& places,
                                    const IndexIdentity& identity, const KeepIndex& keep,
                                    const Note& note, std::string& reason) {
    std::string obstacle;
    for (const auto& path : places) {
        try {
            auto file = open_for_building(path, identity, keep, note);
            if (!obstacle.empty() && note) {
                note(obstacle + "; the seek index is kept as " + printable(path.string()));
            }
            return file;
        } catch (const std::exception& error) {
            const auto line = message_of(error);
            reason += (reason.empty() ? "" : "; ") + line;
            obstacle = is_in_the_way(errno_of(error)) ? line : obstacle;
        }
    }
    return std::nullopt;
}

}  // namespace

FoundIndex find_index(const std::vector<std::filesystem::path>& places,
                      const IndexIdentity& identity, const KeepIndex& keep, const Note& note) {
    std::optional<FoundIndex> believed;
    std::filesystem::path damaged;
    for (const auto& path : places) {
        if (auto found = find_complete(path, identity, keep, damaged)) {
            if (found->file.size() <= kCheckedWhole) {
                return std::move(*found);
            }
            // There is one in a later place because an earlier one is damaged and can't be
            // replaced.
            believed = std::move(found);
        }
    }
    if (believed) {
        return std::move(*believed);
    }
    if (!keep.kept) {
        return {unnamed(places, identity), std::nullopt};
    }
    std::string reason;
    if (auto file = kept_index(places, identity, keep, note, reason)) {
        if (!damaged.empty() && damaged != file->name()) {
            tell(note, damaged,
                 "is damaged and can't be replaced; the index is made again as " +
                     printable(file->name()));
        }
        return {std::move(*file), std::nullopt};
    }
    if (!keep.way_out.empty()) {
        fail(EACCES, "the seek index can't be kept (" + reason + "); " + keep.way_out);
    }
    if (!places.empty() && note) {
        note("the seek index can't be kept (" + reason + "); it will be made again next time");
    }
    return {unnamed({}, identity), std::nullopt};
}

}  // namespace imgfs
