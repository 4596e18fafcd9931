#include "sync/file_receiver.h"

#include <algorithm>

#include "sync/file_sender.h"

namespace imgsync {

FileReceiver::FileReceiver(const Begin& begin, int directory, const std::string& path, int basis)
    : begin_(begin), file_(directory, path) {
    if (begin.how == How::delta) {
        patch_ = std::make_unique<Patch>(basis, [this](ConstByteSpan bytes) { write(bytes); });
    }
}

void FileReceiver::write(ConstByteSpan bytes) {
    if (bytes.size() > begin_.size - std::min(begin_.size, file_.size())) {
        fail_protocol("more of a file than it announced");
    }
    hash_.update(bytes);
    file_.write(bytes);
}

void FileReceiver::take(const Frame& frame) {
    if (frame.type == FrameType::delta && patch_) {
        patch_->add(frame.payload);
    } else if (frame.type == FrameType::data && !patch_) {
        write(frame.payload);
    } else if (frame.type == FrameType::zeros && !patch_) {
        const auto count = unpack_number(frame.payload);
        if (count > begin_.size - std::min(begin_.size, file_.size())) {
            fail_protocol("more of a file than it announced");
        }
        add_zeros(hash_, count);
        file_.skip_zeros(count);
    } else {
        fail_protocol("a frame that doesn't belong to a file");
    }
}

bool FileReceiver::end(const Hash128& hash) {
    file_.end();
    return (!patch_ || patch_->is_complete()) && hash_.digest() == hash;
}

}  // namespace imgsync
