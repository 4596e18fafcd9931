#include "fs/image/raw_partition.h"

#include "fs/image/sequential_reader.h"

namespace imgfs {

RawPartition::RawPartition(std::unique_ptr<Source> plain)
    : Partition({.format = "raw", .device_size = plain->size(), .checksum = "none"}),
      plain_(std::move(plain)) {}

uint64_t RawPartition::verify(const DamageReport& report, const Progress& progress) const {
    SequentialReader reader(*plain_, 0, size());
    std::string reported;
    while (reader.offset() < size()) {
        const uint64_t start = reader.offset();
        const auto piece = reader.next(size());
        if (piece.bytes.empty() && reader.damage() != reported) {
            reported = reader.damage();
            report(plain_->place(start) + ": can't be read: " + reported);
        }
        if (reader.hopeless()) {
            report(plain_->place(reader.offset() - 1) +
                   ": nothing readable for a long stretch; the rest was not checked");
            break;
        }
        if (progress) {
            progress(reader.offset(), size());
        }
    }
    return 0;
}

}  // namespace imgfs
