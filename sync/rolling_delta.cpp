#include "sync/rolling_delta.h"

#include <librsync.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <stdexcept>

#include "fs/base/error.h"

namespace imgsync {
namespace {

constexpr uint64_t kSmallestBlock = 2 * imgfs::kKiB;
constexpr uint64_t kMostBlocks = 1024 * imgfs::kKiB;
constexpr size_t kStrongLength = 16;
constexpr size_t kHeaderLength = 12;
constexpr size_t kBlockLength = 4 + kStrongLength;
constexpr size_t kBuffer = 64 * imgfs::kKiB;

uint64_t block_length(uint64_t size) {
    return std::max(kSmallestBlock, std::bit_ceil((size + kMostBlocks - 1) / kMostBlocks));
}

/// What librsync was fed makes no sense.
struct DamagedStream : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// librsync prints what a peer did wrong; we say it ourselves.
rs_job* quiet(rs_job* job) {
    [[maybe_unused]] static const bool silenced = (rs_trace_set_level(RS_LOG_EMERG), true);
    if (job == nullptr) {
        throw std::bad_alloc();
    }
    return job;
}

char* char_ptr(std::byte* bytes) {
    return reinterpret_cast<char*>(bytes);
}

/// Runs the job over what `input` still has, giving its output to `sink`. True when it is done.
bool run_job(rs_job* job, rs_buffers_t& input, const Sink& sink) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kBuffer);
    const ByteSpan out(buffer.get(), kBuffer);
    for (;;) {
        input.next_out = char_ptr(out.data());
        input.avail_out = out.size();
        const auto result = rs_job_iter(job, &input);
        const auto made = out.size() - input.avail_out;
        if (result != RS_DONE && result != RS_BLOCKED) {
            throw DamagedStream(rs_strerror(result));
        }
        if (made > 0) {
            sink(out.first(made));
        }
        if (result == RS_DONE) {
            return true;
        }
        if (made < out.size() && (input.avail_in == 0 || made == 0)) {
            return false;
        }
    }
}

rs_buffers_t input_of(ConstByteSpan bytes) {
    rs_buffers_t input{};
    // librsync never writes through next_in; its C interface only lacks the const.
    input.next_in = const_cast<char*>(imgfs::text_of(bytes).data());
    input.avail_in = bytes.size();
    return input;
}

/// Feeds a job until it is done. librsync wants what it left unread again with the next bytes.
void drive(rs_job* job, const Feed& feed, const Sink& sink) {
    Bytes buffer(4 * kBuffer);
    size_t filled = 0;
    bool at_end = false;
    for (bool done = false; !done;) {
        if (!at_end && filled < buffer.size()) {
            const auto count = feed(ByteSpan(buffer).subspan(filled));
            filled += count;
            at_end = count == 0;
        }
        auto input = input_of(ConstByteSpan(buffer).first(filled));
        input.eof_in = at_end ? 1 : 0;
        done = run_job(job, input, sink);
        const auto used = filled - input.avail_in;
        std::copy(buffer.begin() + static_cast<ptrdiff_t>(used),
                  buffer.begin() + static_cast<ptrdiff_t>(filled), buffer.begin());
        filled -= used;
        if (!done && at_end) {
            imgfs::fail(EIO, "librsync: wants more than there is");
        }
    }
}

uint32_t be32(ConstByteSpan bytes, size_t offset) {
    return __builtin_bswap32(imgfs::le32(bytes, offset));
}

rs_result read_basis(void* opaque, rs_long_t position, size_t* length, void** buffer) {
    const auto count = ::pread(*static_cast<int*>(opaque), *buffer, *length, position);
    if (count < 0) {
        return RS_IO_ERROR;
    }
    *length = static_cast<size_t>(count);
    return count == 0 ? RS_INPUT_ENDED : RS_DONE;
}

}  // namespace

void FreeJob::operator()(rs_job* job) const {
    rs_job_free(job);
}

uint64_t signature_length(uint64_t size) {
    const auto block = block_length(size);
    return kHeaderLength + (size + block - 1) / block * kBlockLength;
}

void sign(uint64_t size, const Feed& feed, const Sink& sink) {
    const Job job(quiet(rs_sig_begin(block_length(size), kStrongLength, RS_RK_BLAKE2_SIG_MAGIC)));
    uint64_t left = size;
    const auto exactly = [&](ByteSpan out) {
        const auto count = feed(out.first(std::min<uint64_t>(out.size(), left)));
        left -= count;
        return count;
    };
    drive(job.get(), exactly, sink);
    if (left > 0) {
        imgfs::fail(ESTALE, "shrank while it was read");
    }
}

Signature::Signature(uint64_t length)
    : left_(checked_length(length)), job_(quiet(rs_loadsig_begin(&loading_))) {}

uint64_t Signature::checked_length(uint64_t length) {
    if (length < kHeaderLength || (length - kHeaderLength) % kBlockLength != 0 ||
        length > signature_length(kMostBlocks * kSmallestBlock)) {
        fail_protocol("a signature of an impossible length");
    }
    return length;
}

Signature::~Signature() {
    if (!signature_ && loading_ != nullptr) {
        rs_free_sumset(loading_);
    }
}

void Signature::Free::operator()(rs_signature* signature) const {
    rs_free_sumset(signature);
}

void Signature::add(ConstByteSpan bytes) {
    if (bytes.size() > left_) {
        fail_protocol("a longer signature than it announced");
    }
    left_ -= bytes.size();
    if (header_.size() < kHeaderLength) {
        // Checked before librsync sees it: it would believe any block length.
        header_.insert(header_.end(), bytes.begin(), bytes.end());
        if (header_.size() < kHeaderLength) {
            return;
        }
        const auto block = be32(header_, 4);
        if (be32(header_, 0) != RS_RK_BLAKE2_SIG_MAGIC || block < kSmallestBlock ||
            block > imgfs::kGiB || be32(header_, 8) != kStrongLength) {
            fail_protocol("a signature of an unknown kind");
        }
        bytes = header_;
    }
    auto input = input_of(bytes);
    input.eof_in = is_complete() ? 1 : 0;
    bool done = false;
    try {
        done = run_job(job_.get(), input, [](ConstByteSpan) {});
    } catch (const DamagedStream&) {
        fail_protocol("a damaged signature");
    }
    if (done != is_complete() || input.avail_in > 0) {
        fail_protocol("a damaged signature");
    }
    if (done) {
        signature_.reset(loading_);
        job_.reset();
        if (rs_build_hash_table(signature_.get()) != RS_DONE) {
            throw std::bad_alloc();
        }
    }
}

void Signature::make_delta(const Feed& feed, const Sink& sink) {
    const Job job(quiet(rs_delta_begin(signature_.get())));
    drive(job.get(), feed, sink);
}

Patch::Patch(int basis, Sink sink)
    : basis_(basis), sink_(std::move(sink)), job_(quiet(rs_patch_begin(read_basis, &basis_))) {}

void Patch::add(ConstByteSpan delta) {
    if (done_ || broken_) {
        broken_ = true;
        return;
    }
    auto input = input_of(delta);
    try {
        done_ = run_job(job_.get(), input, sink_);
    } catch (const DamagedStream&) {
        broken_ = true;
    }
    broken_ = broken_ || input.avail_in > 0;
}

}  // namespace imgsync
