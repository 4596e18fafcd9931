// TransactionWriter: appends the records of one commit to a layer.
#pragma once

#include <vector>

#include "fs/store/block.h"
#include "fs/store/layer_file.h"
#include "fs/store/log_position.h"
#include "fs/store/stored_piece.h"

namespace imgfs {

/// Order of calls: put_…() with blocks ascending, finish_records(), then, when those are durable,
/// write_commit().
class TransactionWriter {
  public:
    /// All must outlive it.
    TransactionWriter(LayerFile& file, const LayerHeader& header, const LogPosition& from);

    void put_block(uint64_t block, const Block& data);
    void put_zeros(uint64_t first, uint64_t count);

    /// All records are written, not yet durable.
    void finish_records();

    /// Writes both copies; the position is right once they are durable.
    LogPosition write_commit();

    const std::vector<StoredPiece>& pieces() const { return pieces_; }

  private:
    void end_data_run();
    RecordCodec append_blocks(Bytes& record);
    bool is_worth_packing();
    void end_zero_run();
    RecordBytes next_header(RecordHeader header);
    void write_buffer();

    LayerFile& file_;
    const LayerHeader& header_;
    const LogPosition from_;

    uint64_t first_block_ = 0;  // of the run that is being gathered
    std::vector<const Block*> data_run_;
    uint64_t zero_run_ = 0;
    Bytes plain_;   // room for a run's blocks
    Bytes packed_;  // and for what is made of them

    uint64_t offset_;  // where the buffer goes
    Bytes buffer_;
    uint64_t chain_;
    std::vector<StoredPiece> pieces_;
};

}  // namespace imgfs
