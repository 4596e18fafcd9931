#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "tests/fuzz/index_input.h"
#include "tests/fuzz/partclone_input.h"
#include "tests/fuzz/point_input.h"
#include "tests/fuzz/stream_input.h"

namespace imgfs {
namespace {

constexpr std::array kTargets = {
    FuzzTarget{"zstd", run_stream, stream_seeds},
    FuzzTarget{"gzip", run_stream, stream_seeds},
    FuzzTarget{"partclone", run_partclone, partclone_seeds},
    FuzzTarget{"index", run_index, index_seeds},
    FuzzTarget{"point", run_point, point_seeds},
    FuzzTarget{"lz4", run_stream, stream_seeds},
    FuzzTarget{"bzip2", run_stream, stream_seeds},
    FuzzTarget{"lzop", run_stream, stream_seeds},
    FuzzTarget{"xz", run_stream, stream_seeds},
    FuzzTarget{"lzip", run_stream, stream_seeds},
    FuzzTarget{"lzma", run_stream, stream_seeds},
};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() {
    return kTargets;
}

const FuzzTarget& fuzz_target(std::string_view name) {
    const auto* const found = std::ranges::find(kTargets, name, &FuzzTarget::name);
    assert(found != kTargets.end());
    return *found;
}

}  // namespace imgfs
