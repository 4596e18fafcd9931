#include "fs/source/file_source.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {

FileSource::FileSource(const std::filesystem::path& path)
    : name_(printable(path.string())), fd_(open_file(path, O_RDONLY)) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
        fail_errno(name_);
    }
    if (S_ISREG(status.st_mode)) {
        size_ = static_cast<uint64_t>(status.st_size);
    } else if (!S_ISBLK(status.st_mode)) {
        fail(EINVAL, name_ + ": neither a file nor a block device");
    } else if (::ioctl(fd_.get(), BLKGETSIZE64, &size_) != 0) {
        fail_errno(name_ + ": size");
    }
}

std::string FileSource::place(uint64_t offset) const {
    return name_ + ": byte " + format_count(offset);
}

void FileSource::read_inside(uint64_t offset, ByteSpan out) const {
    const auto count = read_some(fd_.get(), offset, out, name_);
    if (count < out.size()) {
        fail(EUCLEAN, name_ + ": ends at byte " + format_count(offset + count) +
                          ", it has become shorter; put the whole file back");
    }
}

}  // namespace imgfs
