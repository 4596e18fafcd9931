// librsync, streamed: signature of an old file, delta of a new one against it, and the patch.
#pragma once

#include <functional>
#include <memory>

#include "sync/wire.h"

struct rs_job;
struct rs_signature;

namespace imgsync {

using Sink = std::function<void(ConstByteSpan bytes)>;
/// Fills the span as far as there is something; 0 is the end.
using Feed = std::function<size_t(ByteSpan out)>;

/// How long sign() will make the signature of a file of this size. Blocks are small, so that a
/// change of 1 KiB costs 2 to 4 KiB, but never over a million: the whole signature is in memory.
uint64_t signature_length(uint64_t size);

/// Signs the first `size` bytes that `feed` gives; fails if it gives fewer.
void sign(uint64_t size, const Feed& feed, const Sink& sink);

struct FreeJob {
    void operator()(rs_job* job) const;
};
using Job = std::unique_ptr<rs_job, FreeJob>;

/// A signature as it arrives from the other end.
class Signature {
  public:
    /// Fails as a breach of protocol if no sign() makes that many bytes.
    explicit Signature(uint64_t length);
    ~Signature();

    void add(ConstByteSpan bytes);
    bool is_complete() const { return left_ == 0; }
    /// Once, when complete.
    void make_delta(const Feed& feed, const Sink& sink);

  private:
    struct Free {
        void operator()(rs_signature* signature) const;
    };

    static uint64_t checked_length(uint64_t length);

    uint64_t left_;
    Bytes header_;
    rs_signature* loading_ = nullptr;  // the job below makes it
    Job job_;
    std::unique_ptr<rs_signature, Free> signature_;
};

/// Makes the new file from the old one and a delta as it arrives.
class Patch {
  public:
    /// `basis` must outlive it.
    Patch(int basis, Sink sink);
    Patch(const Patch&) = delete;
    Patch& operator=(const Patch&) = delete;

    void add(ConstByteSpan delta);
    /// The delta made sense to its end. Whether the file is right, only its hash can tell.
    bool is_complete() const { return done_ && !broken_; }

  private:
    int basis_;
    Sink sink_;
    bool done_ = false;
    bool broken_ = false;
    Job job_;
};

}  // namespace imgsync
