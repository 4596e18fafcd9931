#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"
#include "fs/image/image_files.h"
#include "fs/source/cut_short.h"
#include "fs/source/file_source.h"
#include "fs/source/split_source.h"

namespace imgfs {
namespace {

// A mount waits for it, and an image on a slow network may have hundreds of parts.
constexpr uint64_t kHashedEnd = 4 * kKiB;

/// What a part should have had, and hasn't.
class LostBytes final : public Source {
  public:
    LostBytes(const ImageFiles& files, const PartGap& gap)
        : path_(files.parts[gap.part]),
          start_(gap.there.value_or(0)),
          size_(gap.size - start_),
          why_(describe_gap(files, gap)) {}
    uint64_t size() const override { return size_; }
    std::string place(uint64_t offset) const override {
        return printable(path_.string()) + ": byte " + format_count(start_ + offset);
    }

  private:
    void read_inside(uint64_t /*offset*/, ByteSpan /*out*/) const override { throw CutShort(why_); }

    const std::filesystem::path path_;
    const uint64_t start_;
    const uint64_t size_;
    const std::string why_;
};

/// Null if that part is whole.
const PartGap* gap_in(const ImageFiles& files, size_t part) {
    const auto found = std::ranges::find(files.gaps, part, &PartGap::part);
    return found == files.gaps.end() ? nullptr : &*found;
}

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
    for (size_t i = 0; i < files.parts.size(); ++i) {
        const auto* const gap = gap_in(files, i);
        if (gap == nullptr || gap->there) {
            parts.push_back(std::make_unique<FileSource>(files.parts[i]));
        }
        if (gap != nullptr) {
            parts.push_back(std::make_unique<LostBytes>(files, *gap));
        }
    }
    if (parts.size() == 1) {
        return std::move(parts.front());
    }
    return std::make_unique<SplitSource>(std::move(parts));
}

Bytes packed_identity(const ImageFiles& files) {
    Xxh128 hash;
    for (size_t i = 0; i < files.parts.size(); ++i) {
        if (const auto* const gap = gap_in(files, i); gap == nullptr || gap->there) {
            hash_part(hash, files.parts[i]);
        }
    }
    const auto digest = hash.digest();
    return {digest.begin(), digest.end()};
}

}  // namespace imgfs
