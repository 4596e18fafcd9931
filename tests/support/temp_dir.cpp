#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "fs/base/error.h"

namespace imgfs {

std::filesystem::path memory_directory() {
    const std::filesystem::path memory = "/dev/shm";
    return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

TempDir::TempDir(const std::filesystem::path& parent) {
    std::string name = (parent / "imgfs-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        fail_errno(name);
    }
    path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& path, ConstByteSpan content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(content.data()),
               static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file) {
        fail_errno(path.string());
    }
}

}  // namespace imgfs
