#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/image/image_files.h"
#include "fs/source/file_source.h"
#include "fs/source/split_source.h"

namespace imgfs {
namespace {

// A mount waits for it, and an image on a slow network may have hundreds of parts.
constexpr uint64_t kHashedEnd = 4 * kKiB;

void hash_part(Xxh128& hash, const std::filesystem::path& path) {
    const auto name = path.string();
    const Fd file = open_file(path, O_RDONLY);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        fail_errno(name);
    }
    const auto size = static_cast<uint64_t>(status.st_size);
    Bytes numbers(3 * sizeof(uint64_t));
    store<uint64_t>(numbers, 0, size);
    store<int64_t>(numbers, 8, status.st_mtim.tv_sec);
    store<int64_t>(numbers, 16, status.st_mtim.tv_nsec);
    hash.update(numbers);
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM);  // nothing is read ahead
    Bytes end(std::min(size, kHashedEnd));
    for (const uint64_t offset : {uint64_t{0}, size - end.size()}) {
        hash.update(ByteSpan(end).first(read_some(file.get(), offset, end, name)));
    }
}

}  // namespace

std::unique_ptr<Source> open_parts(const ImageFiles& files) {
    std::vector<std::unique_ptr<Source>> parts;
    for (const auto& path : files.parts) {
        parts.push_back(std::make_unique<FileSource>(path));
    }
    if (parts.size() == 1) {
        return std::move(parts.front());
    }
    return std::make_unique<SplitSource>(std::move(parts));
}

Bytes packed_identity(const ImageFiles& files) {
    Xxh128 hash;
    for (const auto& path : files.parts) {
        hash_part(hash, path);
    }
    const auto digest = hash.digest();
    return {digest.begin(), digest.end()};
}

}  // namespace imgfs
