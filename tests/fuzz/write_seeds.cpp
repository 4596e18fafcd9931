// fuzz_seeds TARGET FOLDER: writes the inputs that fuzzing of the target begins with.
#include <filesystem>
#include <iostream>

#include "tests/fuzz/targets.h"
#include "tests/support/temp_dir.h"

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: fuzz_seeds TARGET FOLDER\n";
        return 2;
    }
    const std::filesystem::path folder = argv[2];
    size_t number = 0;
    for (const auto& seed : imgfs::fuzz_target(argv[1]).seeds(argv[1])) {
        imgfs::write_file(folder / ("seed-" + std::to_string(number++)), seed);
    }
    return 0;
}
