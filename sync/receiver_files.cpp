// The part of Receiver that asks for the content of files and puts it in place.
#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/receiver.h"
#include "sync/tree_source.h"

namespace imgsync {
namespace {

constexpr size_t kPiece = 256 * imgfs::kKiB;

uint64_t size_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

Feed reader_of(int fd, const std::string& name) {
    return [fd, name, offset = uint64_t{0}](ByteSpan out) mutable {
        const auto count = imgfs::read_some(fd, offset, out, name);
        offset += count;
        return count;
    };
}

}  // namespace

void Receiver::want_whole(Pending& pending) {
    pending.how = How::whole;
    pending.basis.close();
    writer_.put(FrameType::want, pack(Want{.id = pending.entry.id, .how = How::whole}));
}

/// Nothing if it can't be read: then it is replaced.
std::optional<Hash128> Receiver::hash_of(const Inode& present) {
    try {
        const auto file = present.open_for_reading();
        const auto read = reader_of(file.get(), imgfs::printable(present.path()));
        imgfs::Xxh128 hash;
        Bytes buffer(kPiece);
        while (const auto count = read(buffer)) {
            hash.update(ConstByteSpan(buffer).first(count));
        }
        return hash.digest();
    } catch (const std::system_error&) {
        return std::nullopt;
    }
}

/// Within the window, so that the source never holds more than a few signatures.
void Receiver::send_signatures() {
    while (!deltas_.empty() && signatures_out_ < kSignaturesAhead) {
        const auto delta = deltas_.front();
        deltas_.pop_front();
        send_signature(pending_.at(delta.id));
        if (delta.piece && --deltas_of_[*delta.piece] == 0) {
            deltas_of_.erase(*delta.piece);
            writer_.put(FrameType::listed, pack_number(*delta.piece));
        }
    }
}

/// The basis is opened at its turn only: thousands of files may wait for it. What is there and
/// can't be read is of no use.
Bytes Receiver::signature_of(Pending& pending) {
    auto& directory = tree_.at(pending.directory);
    Bytes signature;
    try {
        const auto path = tree_.shown(directory, pending.entry.name);
        const auto present = Inode::find(directory.fd.get(), pending.entry.name, path);
        if (!present || !present->is_file()) {
            return {};
        }
        pending.basis = present->open_for_reading();
        const int basis = pending.basis.get();
        sign(size_of(basis), reader_of(basis, imgfs::printable(path)), [&](ConstByteSpan bytes) {
            signature.insert(signature.end(), bytes.begin(), bytes.end());
        });
    } catch (const std::system_error&) {
        return {};
    }
    return signature;
}

void Receiver::send_signature(Pending& pending) {
    const auto signature = signature_of(pending);
    if (signature.empty()) {
        want_whole(pending);
        return;
    }
    ++signatures_out_;
    writer_.put(FrameType::want, pack(Want{.id = pending.entry.id,
                                           .how = How::delta,
                                           .signature_length = signature.size()}));
    for (ConstByteSpan left = signature; !left.empty();) {
        const auto piece = left.first(std::min(left.size(), kPiece));
        writer_.put(FrameType::signature, piece);
        left = left.subspan(piece.size());
    }
}

Receiver::Pending& Receiver::pending(uint64_t id) {
    const auto found = pending_.find(id);
    if (found == pending_.end() || file_ || unwritable_) {
        fail_protocol("a file that nobody asked for");
    }
    return found->second;
}

void Receiver::begin(const Begin& begin) {
    auto& file = pending(begin.id);
    if (file.how != begin.how || (begin.how == How::delta && !file.basis)) {
        fail_protocol("a file in another way than it was asked for");
    }
    const auto& directory = tree_.at(file.directory);
    try {
        file_ = std::make_unique<FileReceiver>(
            begin, directory.fd.get(), tree_.shown(directory, file.entry.name), file.basis.get());
    } catch (const std::system_error& error) {
        unwritable_ = begin.id;
        changes_.problem(error);
    }
}

/// The end of a file that couldn't be made here, and whose content was passed over.
void Receiver::end_unwritable() {
    const auto id = *unwritable_;
    unwritable_.reset();
    auto& file = pending_.at(id);
    signatures_out_ -= file.how == How::delta ? 1 : 0;
    resolve_links(file.entry, LinkGroups::State::failed);
    finish(id);
}

void Receiver::end(const Hash128& hash) {
    if (unwritable_) {
        end_unwritable();
        return;
    }
    if (!file_) {
        fail_protocol("the end of no file");
    }
    const auto id = file_->begin().id;
    auto& file = pending_.at(id);
    const bool right = file_->end(hash);
    signatures_out_ -= file.how == How::delta ? 1 : 0;
    if (right) {
        try {
            put_in_place(file);
            resolve_links(file.entry, LinkGroups::State::ready);
        } catch (const std::system_error& error) {
            resolve_links(file.entry, LinkGroups::State::failed);
            changes_.problem(error);
        }
        finish(id);
    } else if (!file.resent) {
        file_.reset();
        file.resent = true;
        changes_.resent();
        want_whole(file);
    } else {
        resolve_links(file.entry, LinkGroups::State::failed);
        changes_.problem(std::system_error(
            EBADMSG, std::generic_category(),
            imgfs::printable(tree_.shown(tree_.at(file.directory), file.entry.name)) +
                ": arrived damaged twice; the old one stays"));
        finish(id);
    }
}

void Receiver::put_in_place(Pending& pending) {
    auto& directory = tree_.at(pending.directory);
    const auto path = tree_.shown(directory, pending.entry.name);
    auto& temporary = file_->file();
    auto inode = Inode::of_open_file(temporary.fd(), path);
    auto attributes = pending.entry.attributes;
    attributes.modified = file_->begin().modified;
    changes_.take(inode.set(attributes));
    temporary.close();
    const bool is_present = tree_.make_room(directory, pending.entry.name);
    temporary.name().rename_to(pending.entry.name, path);
    changes_.record(is_present ? Action::changed : Action::created, Kind::file,
                    joined(directory.path, pending.entry.name));
}

void Receiver::take_same(Pending& pending) {
    if (pending.how != How::compare) {
        fail_protocol("a comparison nobody asked for");
    }
    if (pending.split) {
        take_different(pending);
        return;
    }
    auto& directory = tree_.at(pending.directory);
    try {
        const auto path = joined(directory.path, pending.entry.name);
        auto inode = Inode::find(directory.fd.get(), pending.entry.name, tree_.shown(path));
        if (inode) {
            update_attributes(*inode, pending.entry, path);
        }
        resolve_links(pending.entry, LinkGroups::State::ready);
    } catch (const std::system_error& error) {
        resolve_links(pending.entry, LinkGroups::State::failed);
        changes_.problem(error);
    }
    finish(pending.entry.id);
}

void Receiver::take_different(Pending& pending) {
    if (pending.how != How::compare) {
        fail_protocol("a comparison nobody asked for");
    }
    if (changes_.is_dry_run()) {
        would_need(tree_.at(pending.directory), pending.entry, true);
        finish(pending.entry.id);
    } else if (pending.entry.size > kDeltaFrom) {
        pending.how = How::delta;
        deltas_.push_back({pending.entry.id, std::nullopt});
    } else {
        want_whole(pending);
    }
}

/// The source can't send it after all.
void Receiver::drop(uint64_t id) {
    const auto found = pending_.find(id);
    if (found == pending_.end() || (file_ && file_->begin().id != id) ||
        (unwritable_ && *unwritable_ != id)) {
        fail_protocol("the end of a file that nobody asked for");
    }
    const auto waiting = std::ranges::find(deltas_, id, &WaitingDelta::id);
    if (waiting != deltas_.end()) {
        fail_protocol("the end of a file that nobody asked for yet");
    }
    auto& file = found->second;
    signatures_out_ -= file.how == How::delta ? 1 : 0;
    file_.reset();
    unwritable_.reset();
    resolve_links(file.entry, LinkGroups::State::failed);
    const auto directory = file.directory;
    pending_.erase(found);
    tree_.settle(directory);
}

void Receiver::finish(uint64_t id) {
    file_.reset();
    const auto found = pending_.find(id);
    const auto directory = found->second.directory;
    pending_.erase(found);
    writer_.put(FrameType::finished, pack_number(id));
    tree_.settle(directory);
}

}  // namespace imgsync
