#include "fs/transfer/verify_stretch.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr uint64_t kReadSize = kMiB;

}  // namespace

uint64_t verify_stretch(const Source& partition, const DataPart& part, const DamageReport& report,
                        const Progress& progress) {
    const auto length = partition.size() / part.of + 1;
    const auto begin = std::min((part.number - 1) * length, partition.size());
    const auto end = std::min(begin + length, partition.size());
    Bytes bytes(kReadSize);
    std::string last;  // of one damage many reads may tell
    for (auto at = begin; at < end;) {
        const auto count = std::min(kReadSize, end - at);
        try {
            partition.read(at, ByteSpan(bytes).first(count));
        } catch (const std::system_error& error) {
            if (errno_of(error) != EUCLEAN) {
                throw;
            }
            if (message_of(error) != last) {
                last = message_of(error);
                report(last);
            }
        }
        at += count;
        if (progress) {
            progress(at - begin, end - begin);
        }
    }
    return end - begin;
}

}  // namespace imgfs
