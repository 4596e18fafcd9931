#include "fs/image/promised_source.h"

#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/source/cut_short.h"

namespace imgfs {

// Afterwards: how long the stream is may turn out while it is read.
void PromisedSource::read_inside(uint64_t offset, ByteSpan out) const {
    try {
        stream_->read(offset, out);
    } catch (const std::system_error& error) {
        const auto end = stream_->bound();
        if (error.code().value() != EINVAL || offset + out.size() <= end) {
            throw;
        }
        const auto line = stream_->place(end) + ": the stream ends there, " +
                          format_count(size_ - end) +
                          " bytes before the end that its header promises; a part is missing, cut "
                          "short or damaged";
        if (meaning_ == TooShort::is_cut) {
            throw CutShort(line);
        }
        fail(EUCLEAN, line);
    }
}

}  // namespace imgfs
