#include "fs/image/partclone_verify.h"

#include <algorithm>
#include <array>

#include "fs/base/text.h"
#include "fs/image/sequential_reader.h"

namespace imgfs {
namespace {

/// Without checksums, blocks are told apart in runs of about this many bytes.
constexpr uint64_t kRunWithoutChecksum = kMiB;

class Verifier {
  public:
    Verifier(const Source& plain, const PartcloneLayout& layout, const DamageReport& report,
             const Progress& progress)
        : layout_(layout),
          plain_(plain),
          report_(report),
          progress_(progress),
          reader_(plain, 0, layout.stream_end()),
          checksum_(layout.header.checksum_mode, layout.header.block_size) {}

    uint64_t run();

  private:
    struct Strip {
        uint64_t number;
        uint64_t first_rank;
        uint64_t blocks;
    };

    void check_front(uint64_t length, Proof proof, const std::string& name);
    void check_strip(const Strip& strip);
    void judge(const Strip& strip, uint64_t start, ConstByteSpan stored);
    void note_unreadable(const Strip& strip);
    void report_unreadable();
    bool take(uint64_t length, const std::function<void(ConstByteSpan)>& use);
    std::string name_of(const Strip& first, const Strip& last) const;

    const PartcloneLayout& layout_;
    const Source& plain_;
    const DamageReport& report_;
    const Progress& progress_;
    SequentialReader reader_;
    StripChecksum checksum_;
    uint64_t checked_ = 0;
    bool running_lost_ = false;  // a running checksum went wrong: what follows can't be told
    bool unreadable_ = false;    // the strips below are still to be reported
    Strip first_unreadable_{};
    Strip last_unreadable_{};
    std::string unreadable_why_;
};

/// False if any of it is damaged below.
bool Verifier::take(uint64_t length, const std::function<void(ConstByteSpan)>& use) {
    bool readable = true;
    while (length > 0) {
        const auto piece = reader_.next(length);
        if (piece.bytes.empty()) {
            readable = false;
        } else {
            use(piece.bytes);
        }
        length -= piece.length;
        if (progress_) {
            progress_(reader_.offset(), layout_.stream_end());
        }
    }
    return readable;
}

/// What stands before the blocks, and what proves that it is whole.
void Verifier::check_front(uint64_t length, Proof proof, const std::string& name) {
    const uint64_t start = reader_.offset();
    uint32_t crc = 0;
    Bytes stored;
    bool readable = take(length, [&](ConstByteSpan bytes) { crc = crc32(bytes, crc); });
    readable &= take(size_of(proof), [&](ConstByteSpan bytes) {
        stored.insert(stored.end(), bytes.begin(), bytes.end());
    });
    if (!readable) {
        report_(plain_.place(start) + ": " + name + " can't be read: " + reader_.damage());
        return;
    }
    if (proof == Proof::crc) {
        ++checked_;
        if (le32(stored, 0) != ~crc) {
            report_(plain_.place(start) + ": " + name + " is damaged: its checksum is wrong");
        }
    } else if (proof == Proof::mark && text_of(stored) != kBitmapMark) {
        report_(plain_.place(start) + ": " + name + " is damaged: it ends without its mark");
    }
}

std::string Verifier::name_of(const Strip& first, const Strip& last) const {
    const auto range = [](uint64_t from, uint64_t to) {
        return format_count(from) + (from == to ? "" : " to " + format_count(to));
    };
    const uint64_t from = layout_.used.select(first.first_rank);
    const uint64_t to = layout_.used.select(last.first_rank + last.blocks - 1);
    auto blocks = (from == to ? "block " : "blocks ") + range(from, to) + " of the partition";
    if (layout_.header.checksum_size == 0) {
        return blocks;
    }
    return (first.number == last.number ? "strip " : "strips ") + range(first.number, last.number) +
           " (" + blocks + ")";
}

void Verifier::note_unreadable(const Strip& strip) {
    if (unreadable_ && unreadable_why_ != reader_.damage()) {
        report_unreadable();
    }
    if (!unreadable_) {
        first_unreadable_ = strip;
        unreadable_why_ = reader_.damage();
        unreadable_ = true;
    }
    last_unreadable_ = strip;
}

void Verifier::report_unreadable() {
    if (unreadable_) {
        const bool lost = running_lost_ && !layout_.header.checksums_restart;
        report_(plain_.place(layout_.block_offset(first_unreadable_.first_rank)) + ": " +
                name_of(first_unreadable_, last_unreadable_) + " can't be read" +
                (lost ? ", and the blocks after can't be checked" : "") + ": " + unreadable_why_);
        unreadable_ = false;
    }
}

void Verifier::judge(const Strip& strip, uint64_t start, ConstByteSpan stored) {
    const bool matches = checksum_.matches(stored);
    const auto line = [&](const std::string& what) {
        report_(plain_.place(start) + ": " + name_of(strip, strip) + ": " + what);
    };
    if (layout_.header.checksums_restart) {
        ++checked_;
        if (!matches) {
            line("checksum is wrong");
        }
        return;
    }
    if (matches) {
        ++checked_;
        if (running_lost_) {
            line(
                "the running checksum is right again: up to here the blocks are good, only "
                "stored checksums before are damaged");
        }
        running_lost_ = false;
    } else if (!running_lost_) {
        ++checked_;
        running_lost_ = true;
        line("running checksum is wrong; the blocks after it can't be checked");
    }
}

void Verifier::check_strip(const Strip& strip) {
    const uint64_t start = reader_.offset();
    if (layout_.header.checksums_restart) {
        checksum_.restart();
    }
    std::array<std::byte, sizeof(Hash128)> stored{};
    size_t filled = 0;
    bool readable = take(strip.blocks * layout_.header.block_size,
                         [&](ConstByteSpan bytes) { checksum_.update(bytes); });
    readable &= take(layout_.header.checksum_size, [&](ConstByteSpan bytes) {
        std::ranges::copy(bytes, stored.begin() + static_cast<ptrdiff_t>(filled));
        filled += bytes.size();
    });
    if (!readable) {
        running_lost_ = layout_.header.checksum_size != 0;
        return note_unreadable(strip);
    }
    report_unreadable();
    if (layout_.header.checksum_size != 0) {
        judge(strip, start, ConstByteSpan(stored).first(filled));
    }
}

uint64_t Verifier::run() {
    const auto proof = layout_.header.proof();
    check_front(layout_.header.size - size_of(proof), proof, "partclone header");
    check_front(layout_.header.bitmap_size(), layout_.bitmap_proof, "bitmap of used blocks");
    const uint64_t used = layout_.used.used_count();
    const uint64_t most =
        layout_.header.blocks_per_checksum != 0
            ? layout_.header.blocks_per_checksum
            : std::max<uint64_t>(1, kRunWithoutChecksum / layout_.header.block_size);
    for (Strip strip{}; strip.first_rank < used; ++strip.number, strip.first_rank += most) {
        strip.blocks = std::min(most, used - strip.first_rank);
        check_strip(strip);
        if (reader_.hopeless()) {
            report_unreadable();
            report_(plain_.place(reader_.offset() - 1) +
                    ": nothing readable for a long stretch; the rest was not checked");
            break;
        }
    }
    report_unreadable();
    return checked_;
}

}  // namespace

uint64_t verify_partclone(const Source& plain, const PartcloneLayout& layout,
                          const DamageReport& report, const Progress& progress) {
    return Verifier(plain, layout, report, progress).run();
}

}  // namespace imgfs
