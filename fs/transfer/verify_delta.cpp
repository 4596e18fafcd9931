#include "fs/transfer/verify_delta.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

class DeltaCheck {
  public:
    DeltaCheck(const DeltaStore& delta, const std::optional<DataPart>& data,
               const DamageReport& report, const Progress& progress)
        : layers_(delta.layers()), data_(data), report_(report), progress_(progress) {
        for (const auto& layer : layers_) {
            total_ += layer->position().end;
        }
    }

    VerifiedDelta run() {
        for (const auto& layer : layers_) {
            guarded([&] {
                layer->visit_records([&](const StoredPiece& piece) { look_at(layer, piece); });
            });
            ++result_.layers;
            passed_ += layer->position().end;
        }
        return std::move(result_);
    }

  private:
    /// False if `work` has met damage.
    bool guarded(const std::function<void()>& work) {
        try {
            work();
            return true;
        } catch (const std::system_error& error) {
            if (errno_of(error) != EUCLEAN) {
                throw;
            }
            report_(message_of(error));
            return false;
        }
    }

    void look_at(const std::shared_ptr<Layer>& layer, const StoredPiece& record) {
        const bool wanted = data_ && result_.records % data_->of == data_->number - 1;
        ++result_.records;
        if (progress_) {
            progress_(passed_ + record.record, total_);
        }
        if (!wanted || record.kind != StoredPiece::Kind::data) {
            return;
        }
        result_.blocks += record.count;
        if (!is_whole(*layer, record)) {
            find_damage(layer, record);
        }
    }

    bool is_whole(const Layer& layer, const StoredPiece& record) {
        blocks_.resize(record.count * kBlockSize);
        try {
            layer.read(record, blocks_);
            return true;
        } catch (const std::system_error& error) {
            if (errno_of(error) != EUCLEAN) {
                throw;
            }
            return false;
        }
    }

    void find_damage(const std::shared_ptr<Layer>& layer, const StoredPiece& record) {
        for (auto block = record.first_block; block < record.end(); ++block) {
            auto piece = record.part(block, block + 1);
            blocks_.resize(kBlockSize);
            if (!guarded([&] { layer->read(piece, blocks_); })) {
                piece.from = layer;
                result_.damaged.push_back(piece);
            }
        }
    }

    const LayerChain layers_;
    const std::optional<DataPart>& data_;
    const DamageReport& report_;
    const Progress& progress_;
    uint64_t total_ = 0;   // bytes of the logs
    uint64_t passed_ = 0;  // of the layers before this one
    Bytes blocks_;
    VerifiedDelta result_;
};

}  // namespace

VerifiedDelta verify_delta(const DeltaStore& delta, const std::optional<DataPart>& data,
                           const DamageReport& report, const Progress& progress) {
    return DeltaCheck(delta, data, report, progress).run();
}

}  // namespace imgfs
