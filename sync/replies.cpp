#include "sync/replies.h"

#include <sys/socket.h>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgsync {
namespace {

constexpr size_t kMostWaiting = kPiecesAhead * (kPieceEntries + 2) * 2;

}  // namespace

Replies::Replies(int socket, int interrupt, Notices& notices)
    : socket_(socket),
      notices_(notices),
      reader_({.in = socket, .out = socket, .interrupt = interrupt}),
      thread_([this] { read_all(); }) {}

Replies::~Replies() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
}

void Replies::read_all() {
    std::exception_ptr end;
    try {
        for (bool done = false; !done;) {
            const auto frame = reader_.next();
            handle(frame);
            done = frame.type == FrameType::summary;
        }
    } catch (...) {
        end = std::current_exception();
        // The other thread may wait for the target to read.
        ::shutdown(socket_, SHUT_RDWR);
    }
    const std::lock_guard lock(mutex_);
    end_ = end;
    done_ = true;
    some_.notify_all();
}

void Replies::handle(const Frame& frame) {
    if (incomplete_ && frame.type != FrameType::signature) {
        fail_protocol("a signature that breaks off");
    }
    switch (frame.type) {
        case FrameType::want: {
            auto wanted = std::make_unique<WantedFile>(WantedFile{unpack_want(frame.payload), {}});
            if (wanted->want.how != How::delta) {
                put(std::move(*wanted));
                return;
            }
            claim_signature();
            wanted->signature = std::make_unique<Signature>(wanted->want.signature_length);
            incomplete_ = std::move(wanted);
            return;
        }
        case FrameType::signature:
            add_signature(frame.payload);
            return;
        case FrameType::listed:
            put(PieceListed{unpack_number(frame.payload)});
            return;
        case FrameType::finished:
            put(FileFinished{unpack_number(frame.payload)});
            return;
        case FrameType::item:
            notices_.item(unpack_item(frame.payload));
            return;
        case FrameType::problem:
            notices_.problem(imgfs::printable(unpack_text(frame.payload)));
            return;
        case FrameType::refused: {
            const auto refusal = unpack_refusal(frame.payload);
            imgfs::fail(refusal.code, imgfs::printable(refusal.text));
        }
        case FrameType::summary:
            put(unpack_counts(frame.payload));
            return;
        default:
            fail_protocol("a frame of an unknown type");
    }
}

void Replies::add_signature(ConstByteSpan bytes) {
    if (!incomplete_) {
        fail_protocol("a signature nobody announced");
    }
    incomplete_->signature->add(bytes);
    if (incomplete_->signature->is_complete()) {
        put(std::move(*incomplete_));
        incomplete_.reset();
    }
}

void Replies::put(Reply reply) {
    const std::lock_guard lock(mutex_);
    if (replies_.size() >= kMostWaiting) {
        fail_protocol("more than it may send at once");
    }
    replies_.push_back(std::move(reply));
    bytes_ = reader_.bytes();
    some_.notify_all();
}

/// A signature may have tens of megabytes: they are counted until the file is sent, not only until
/// they are taken.
void Replies::claim_signature() {
    const std::lock_guard lock(mutex_);
    if (++signatures_ > kSignaturesAhead) {
        fail_protocol("more signatures than it may send at once");
    }
}

void Replies::release_signature() {
    const std::lock_guard lock(mutex_);
    --signatures_;
}

bool Replies::has_some() const {
    const std::lock_guard lock(mutex_);
    return !replies_.empty() || done_;
}

Reply Replies::take() {
    std::unique_lock lock(mutex_);
    some_.wait(lock, [this] { return !replies_.empty() || done_; });
    if (end_) {
        std::rethrow_exception(end_);
    }
    if (replies_.empty()) {
        fail_protocol("its summary too early");
    }
    auto reply = std::move(replies_.front());
    replies_.pop_front();
    return reply;
}

void Replies::fail_with_its_end() {
    std::unique_lock lock(mutex_);
    some_.wait(lock, [this] { return done_; });
    if (end_) {
        std::rethrow_exception(end_);
    }
    fail_protocol("its summary too early");
}

uint64_t Replies::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

}  // namespace imgsync
