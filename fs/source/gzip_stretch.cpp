#include "fs/source/gzip_stretch.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "fs/source/gzip_decoder.h"

namespace imgfs {
namespace {

constexpr uint64_t kMarkerIsNear = 256 * kKiB;
constexpr size_t kInput = 64 * kKiB;

class StretchDecoder {
  public:
    StretchDecoder(ConstByteSpan packed, GzipStretch& stretch, uint64_t spacing)
        : input_(packed), stretch_(stretch), spacing_(spacing), inflater_(make_isal_inflater()) {
        inflater_->resume(Bytes(kDeflateHistory, std::byte{}), 0, 0);
    }

    bool run() { return find_known() && decode_known(); }

  private:
    /// Until nothing refers to the history any more.
    bool find_known() {
        const auto other = make_isal_inflater();
        other->resume(Bytes(kDeflateHistory, std::byte{0xff}), 0, 0);
        Bytes shadow(kDeflateHistory);
        while (stretch_.size - stretch_.known < kDeflateHistory) {
            if (stretch_.size + shadow.size() > GzipStretches::kPlainMost) {
                return false;
            }
            const auto out = room().first(shadow.size());
            const auto expected = other->step(input_, shadow);
            const auto step = inflater_->step(input_, out);
            if (!take(step) || step.made != expected.made || step.made < out.size()) {
                return false;
            }
            const auto differs = std::mismatch(out.rbegin(), out.rend(), shadow.rbegin()).first;
            if (differs != out.rend()) {
                stretch_.known = stretch_.size - static_cast<uint64_t>(differs - out.rbegin());
            }
        }
        return true;
    }

    bool decode_known() {
        uint64_t last = 0;
        while (true) {
            const bool due = stretch_.size - last >= spacing_;
            const auto input = due ? up_to_marker() : input_.first(std::min(kInput, input_.size()));
            const auto step = inflater_->step(input, room());
            if (!take(step) || step.taken < input.size() || room().empty()) {
                return false;
            }
            if (step.at_block && (due || input_.empty())) {
                last = stretch_.size;
                stretch_.blocks.push_back({stretch_.end - input_.size(), last});
            }
            if (input_.empty()) {
                return step.at_block;
            }
        }
    }

    ConstByteSpan up_to_marker() const {
        const auto found = text_of(input_).find(kSyncMarker);
        return found == std::string_view::npos ? input_ : input_.first(found + kSyncMarker.size());
    }

    ByteSpan room() const {
        return stretch_.plain.first(GzipStretches::kPlainMost).subspan(stretch_.size);
    }

    bool take(const Inflater::Step& step) {
        if (step.damaged || step.at_end) {
            return false;
        }
        input_ = input_.subspan(step.taken);
        stretch_.size += step.made;
        return true;
    }

    ConstByteSpan input_;
    GzipStretch& stretch_;
    const uint64_t spacing_;
    std::unique_ptr<Inflater> inflater_;
};

}  // namespace

std::optional<GzipStretch> GzipStretches::decode(uint64_t from) {
    auto memory = spares_.take(kPlainMost + kPacked + kMarkerIsNear);
    const auto packed = memory.first(memory.size())
                            .subspan(kPlainMost)
                            .first(std::min(kPacked + kMarkerIsNear, packed_.size() - from));
    if (!is_readable(from, packed)) {
        return std::nullopt;
    }
    const auto text = text_of(packed);
    const auto first = text.find(kSyncMarker);
    auto last = text.find(kSyncMarker, kPacked);
    last = last == std::string_view::npos ? text.rfind(kSyncMarker) : last;
    const auto begin = first + kSyncMarker.size();
    const auto end = last + kSyncMarker.size();
    GzipStretch stretch{.begin = from + begin, .end = from + end, .plain = std::move(memory)};
    const bool marked = first != last && first <= kPacked;
    if (!marked || !StretchDecoder(packed.first(end).subspan(begin), stretch, spacing_).run()) {
        give_back(std::move(stretch));
        return std::nullopt;
    }
    return stretch;
}

/// Where it isn't, the pass finds out itself how far it can go.
bool GzipStretches::is_readable(uint64_t from, ByteSpan packed) const {
    try {
        packed_.read(from, packed);
        return true;
    } catch (const std::system_error& error) {
        if (error.code().value() != EUCLEAN) {
            throw;
        }
        return false;
    }
}

}  // namespace imgfs
