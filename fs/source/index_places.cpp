#include "fs/source/index_places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

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

/// Where the sound records from the file's start end.
uint64_t sound_end(const IndexFile& file, size_t& records) {
    auto at = IndexFile::kHeaderSize;
    for (auto read = file.read_record(at); read; read = file.read_record(at)) {
        at = read->next;
        ++records;
    }
    return at;
}

bool is_sound(const IndexFile& file, const IndexEnd& end) {
    size_t records = 0;
    return file.size() > kCheckedWhole || (sound_end(file, records), records == end.entries.size());
}

std::optional<FoundIndex> find_complete(const std::filesystem::path& path,
                                        const IndexIdentity& identity) {
    Fd fd;
    try {
        fd = open_regular(path, O_RDONLY);
    } catch (const std::system_error&) {
        return std::nullopt;
    }
    IndexFile file(std::move(fd), path.string());
    if (file.check_header(identity) != IndexHeader::good) {
        return std::nullopt;
    }
    auto end = file.read_end();
    if (!end || !is_sound(file, *end)) {
        return std::nullopt;
    }
    return FoundIndex{std::move(file), std::move(end)};
}

/// In the place of one that is of no use, whose lock the caller holds.
IndexFile replace(const std::filesystem::path& path, const IndexIdentity& identity, mode_t mode) {
    auto temporary = path;
    temporary += ".new";
    ::unlink(temporary.c_str());
    IndexFile file(open_regular(temporary, O_RDWR | O_CREAT | O_EXCL, mode), path.string());
    file.try_lock();
    file.write_header(identity);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        fail_errno(path.string());
    }
    return file;
}

/// Of a file whose lock is held: what is good of it.
IndexFile take_over(IndexFile file, const std::filesystem::path& path,
                    const IndexIdentity& identity, mode_t mode, const Note& note) {
    switch (file.check_header(identity)) {
        case IndexHeader::too_short:
            if (file.size() > 0) {  // it may be somebody's, under another name, too
                return replace(path, identity, mode);
            }
            file.write_header(identity);
            return file;
        case IndexHeader::foreign:
            tell(note, path,
                 "is of other files, another version or less dense; the index is made again");
            return replace(path, identity, mode);
        case IndexHeader::good:
            break;
    }
    if (file.read_end()) {
        tell(note, path, "is damaged; the index is made again from there on");
    } else if (file.size() > IndexFile::kHeaderSize) {
        tell(note, path, "was left half-written; indexing goes on where it stopped");
    }
    return file;
}

void check_room(const std::filesystem::path& folder, const IndexIdentity& identity) {
    struct statvfs space {};
    const auto wanted = identity.packed_size / 64 + kMiB;
    if (::statvfs(folder.c_str(), &space) == 0 && space.f_bavail * space.f_frsize < wanted) {
        fail(ENOSPC, printable(folder.string()) + ": has less than " + format_size(wanted) +
                         " free for the seek index");
    }
}

IndexFile open_for_building(const std::filesystem::path& path, const IndexIdentity& identity,
                            mode_t mode, const Note& note) {
    if (path.has_parent_path()) {
        std::filesystem::create_directories(path.parent_path());
        check_room(path.parent_path(), identity);
    }
    for (int i = 0; i < kTries; ++i) {
        IndexFile file(open_regular(path, O_RDWR | O_CREAT, mode), path.string());
        if (file.try_lock()) {
            if (file.is_at(path)) {
                return take_over(std::move(file), path, identity, mode, note);
            }
        } else if (file.check_header(identity) == IndexHeader::good) {
            return file;
        }
        std::this_thread::sleep_for(kRetryDelay);
    }
    fail(EBUSY, printable(path.string()) + ": another program keeps it locked");
}

IndexFile unnamed_in(const std::filesystem::path& folder, const IndexIdentity& identity) {
    check_room(folder, identity);
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
            std::filesystem::create_directories(path.parent_path());
            return unnamed_in(path.parent_path(), identity);
        } catch (const std::exception&) {
            // Then the next.
        }
    }
    return unnamed_in(std::filesystem::temp_directory_path(), identity);
}

}  // namespace

FoundIndex find_index(const std::vector<std::filesystem::path>& places,
                      const IndexIdentity& identity, const KeepIndex& keep, const Note& note) {
    for (const auto& path : places) {
        if (auto found = find_complete(path, identity)) {
            return std::move(*found);
        }
    }
    if (!keep.kept) {
        return {unnamed(places, identity), std::nullopt};
    }
    std::string reason;
    for (const auto& path : places) {
        try {
            return {open_for_building(path, identity, keep.mode, note), std::nullopt};
        } catch (const std::exception& error) {
            reason = message_of(error);
        }
    }
    if (!places.empty() && note) {
        note("the seek index can't be kept (" + reason + "); it will be made again next time");
    }
    return {unnamed({}, identity), std::nullopt};
}

}  // namespace imgfs
