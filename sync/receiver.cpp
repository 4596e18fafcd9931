#include "sync/receiver.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/tree_source.h"

namespace imgsync {

using State = TargetDirectory::State;

Receiver::Receiver(FrameWriter& writer, const Hello& hello, TargetTree& tree, Changes& changes)
    : writer_(writer), hello_(hello), tree_(tree), changes_(changes) {}

void Receiver::handle(const Frame& frame) {
    if (!started_) {
        if (frame.type != FrameType::tree) {
            fail_protocol("something else than a tree");
        }
        tree_.start(unpack_root(frame.payload));
        started_ = true;
        return;
    }
    switch (frame.type) {
        case FrameType::list:
            take_piece(unpack_piece(frame.payload));
            break;
        case FrameType::begin:
            begin(unpack_begin(frame.payload));
            break;
        case FrameType::end:
            end(unpack_hash(frame.payload));
            break;
        case FrameType::gone:
            drop(unpack_number(frame.payload));
            break;
        case FrameType::same:
            take_same(pending(unpack_number(frame.payload)));
            break;
        case FrameType::differs:
            take_different(pending(unpack_number(frame.payload)));
            break;
        case FrameType::tree_end:
            ended_ = true;
            if (!tree_.is_finished() || !pending_.empty()) {
                fail_protocol("the end of a tree that isn't complete");
            }
            return;
        case FrameType::data:
        case FrameType::zeros:
        case FrameType::delta:
            take_content(frame);
            break;
        default:
            fail_protocol("a frame of an unknown type");
    }
    send_signatures();
}

void Receiver::take_content(const Frame& frame) {
    if (file_) {
        file_->take(frame);
    } else if (!unwritable_) {
        fail_protocol("the content of no file");
    }
}

void Receiver::take_piece(const Piece& piece) {
    if (file_ || unwritable_) {
        fail_protocol("names within a file");
    }
    auto& directory = tree_.open(piece.directory);
    for (const auto& entry : piece.entries) {
        consider(directory, entry, piece.number);
    }
    if (piece.last) {
        tree_.end_listing(directory, piece.complete);
    }
    if (!deltas_of_.contains(piece.number)) {
        writer_.put(FrameType::listed, pack_number(piece.number));
    }
}

void Receiver::consider(TargetDirectory& directory, const Entry& entry, uint64_t piece) {
    // A name that wasn't in the list of names needn't be looked for.
    const bool may_exist = directory.unlisted.erase(entry.name) > 0 || !directory.names_known;
    if (entry.kind == Kind::keep) {
        return;
    }
    const bool is_link = entry.links.id != 0 && !entry.links.first;
    if (!is_link) {
        links_.begin(entry, joined(directory.path, entry.name));
    }
    if (directory.state == State::failed) {
        if (entry.kind == Kind::directory) {
            tree_.add(directory, entry, std::nullopt);
        }
        resolve_links(entry, LinkGroups::State::failed);
        return;
    }
    try {
        if (is_link) {
            consider_link(directory, entry);
        } else {
            consider_name(directory, entry, may_exist, piece);
        }
    } catch (const std::system_error& error) {
        resolve_links(entry, LinkGroups::State::failed);
        changes_.problem(error);
    }
}

void Receiver::consider_name(TargetDirectory& directory, const Entry& entry, bool may_exist,
                             uint64_t piece) {
    std::optional<Inode> present;
    if (directory.state == State::usable && may_exist) {
        present = Inode::find(directory.fd.get(), entry.name, tree_.shown(directory, entry.name));
    }
    if (entry.kind == Kind::directory) {
        tree_.add(directory, entry, present);
    } else if (entry.kind == Kind::file) {
        consider_file(directory, entry, present, piece);
    } else {
        consider_special(directory, entry, present);
    }
}

void Receiver::consider_special(TargetDirectory& directory, const Entry& entry,
                                const std::optional<Inode>& present) {
    bool same = false;
    if (present && kind_of(present->status().st_mode) == entry.kind &&
        !links_.must_split(entry, *present)) {
        const auto there = present->entry();
        same = there.symlink_target == entry.symlink_target && there.major == entry.major &&
               there.minor == entry.minor;
    }
    const auto path = joined(directory.path, entry.name);
    if (same) {
        auto inode = Inode::find(directory.fd.get(), entry.name, tree_.shown(path));
        if (inode) {
            update_attributes(*inode, entry, path);
        }
        resolve_links(entry, LinkGroups::State::ready);
    } else if (changes_.is_dry_run()) {
        would_need(directory, entry, present.has_value());
    } else {
        make_special(directory, entry, present.has_value());
        resolve_links(entry, LinkGroups::State::ready);
    }
}

void Receiver::consider_file(TargetDirectory& directory, const Entry& entry,
                             std::optional<Inode>& present, uint64_t piece) {
    Pending pending{.directory = directory.id, .entry = entry};
    if (!present || !present->is_file()) {
        need(directory, std::move(pending), present, piece);
        return;
    }
    const auto& status = present->status();
    pending.split = links_.must_split(entry, *present);
    const auto size = static_cast<uint64_t>(status.st_size);
    pending.how = size > kDeltaFrom && entry.size > kDeltaFrom ? How::delta : How::whole;
    const bool same_size = size == entry.size;
    const bool looks_same =
        same_size && tree_.is_same_time(modified_of(status), entry.attributes.modified);
    if (hello_.checksum ? same_size : looks_same && entry.unsure) {
        pending.how = How::compare;
    } else if (looks_same && !pending.split) {
        update_attributes(*present, entry, joined(directory.path, entry.name));
        resolve_links(entry, LinkGroups::State::ready);
        return;
    }
    need(directory, std::move(pending), present, piece);
}

void Receiver::update_attributes(Inode& present, const Entry& entry, const std::string& path) {
    if (tree_.is_same(present.attributes(), entry.attributes)) {
        return;
    }
    if (changes_.is_dry_run()) {
        changes_.record(Action::attributes, entry.kind, path);
        return;
    }
    const auto result = present.set(entry.attributes);
    changes_.take(result);
    if (result.changed && !result.not_permitted) {
        changes_.record(Action::attributes, entry.kind, path);
    }
}

void Receiver::would_need(TargetDirectory& directory, const Entry& entry, bool is_present) {
    if (is_present) {
        tree_.make_room(directory, entry.name);
    }
    changes_.record(is_present ? Action::changed : Action::created, entry.kind,
                    joined(directory.path, entry.name));
    resolve_links(entry, LinkGroups::State::renewed);
}

void Receiver::need(TargetDirectory& directory, Pending pending,
                    const std::optional<Inode>& present, uint64_t piece) {
    std::optional<Hash128> hash;
    if (pending.how == How::compare) {
        hash = hash_of(*present);
        pending.how = hash ? How::compare : How::whole;
    }
    if (changes_.is_dry_run() && !hash) {
        would_need(directory, pending.entry, present.has_value());
        return;
    }
    const auto id = pending.entry.id;
    const auto [place, is_new] = pending_.try_emplace(id, std::move(pending));
    if (!is_new) {
        fail_protocol("two files with one number");
    }
    ++directory.pending;
    if (hash) {
        writer_.put(FrameType::want, pack(Want{.id = id, .how = How::compare, .hash = *hash}));
    } else if (place->second.how == How::delta) {
        deltas_.push_back({id, piece});
        ++deltas_of_[piece];
    } else {
        want_whole(place->second);
    }
}

void Receiver::make_special(TargetDirectory& directory, const Entry& entry, bool is_present) {
    TempName name(directory.fd.get());
    if (!name.make(entry)) {
        changes_.not_permitted();
        return;
    }
    const auto path = tree_.shown(directory, entry.name);
    auto inode = Inode::find(name.directory(), name.name(), path);
    if (inode) {
        changes_.take(inode->set(entry.attributes));
    }
    tree_.make_room(directory, entry.name);
    name.rename_to(entry.name, path);
    changes_.record(is_present ? Action::changed : Action::created, entry.kind,
                    joined(directory.path, entry.name));
}

void Receiver::consider_link(TargetDirectory& directory, const Entry& entry) {
    switch (links_.state(entry.links)) {
        case LinkGroups::State::pending:
            links_.wait({directory.id, entry});
            ++directory.pending;
            return;
        case LinkGroups::State::ready:
            link(directory, entry);
            break;
        case LinkGroups::State::renewed:
            changes_.record(Action::linked, entry.kind, joined(directory.path, entry.name));
            break;
        case LinkGroups::State::failed:
            report_lost_link(directory, entry);
            break;
    }
    links_.handled(entry.links);
}

/// Its content was to come under the first name.
void Receiver::report_lost_link(const TargetDirectory& directory, const Entry& entry) {
    changes_.problem(imgfs::printable(tree_.shown(directory, entry.name)) +
                     ": not put in place, as its other name " +
                     imgfs::printable(links_.path(entry.links)) + " wasn't; push again");
}

void Receiver::link(TargetDirectory& directory, const Entry& entry) {
    const auto path = joined(directory.path, entry.name);
    const auto first = tree_.root() >= 0 ? tree_.find(links_.path(entry.links)) : std::nullopt;
    std::optional<Inode> present;
    if (directory.state == State::usable) {
        present = Inode::find(directory.fd.get(), entry.name, tree_.shown(path));
    }
    if (first && present && first->is_same(present->status())) {
        return;
    }
    if (changes_.is_dry_run()) {
        if (present) {
            tree_.make_room(directory, entry.name);
        }
        changes_.record(Action::linked, entry.kind, path);
        return;
    }
    if (!first) {
        imgfs::fail(ENOENT, imgfs::printable(tree_.shown(path)) +
                                ": its first name was taken away meanwhile; push again");
    }
    TempName name(directory.fd.get());
    first->link_as(directory.fd.get(), name.name());
    tree_.make_room(directory, entry.name);
    name.rename_to(entry.name, tree_.shown(path));
    changes_.record(Action::linked, entry.kind, path);
}

void Receiver::resolve_links(const Entry& entry, LinkGroups::State state) {
    if (entry.links.id == 0 || !entry.links.first) {
        return;
    }
    for (const auto& name : links_.resolve(entry.links, state)) {
        try {
            if (state == LinkGroups::State::ready) {
                link(tree_.at(name.directory), name.entry);
            } else if (state == LinkGroups::State::renewed) {
                const auto& directory = tree_.at(name.directory);
                changes_.record(Action::linked, name.entry.kind,
                                joined(directory.path, name.entry.name));
            } else {
                report_lost_link(tree_.at(name.directory), name.entry);
            }
        } catch (const std::system_error& error) {
            changes_.problem(error);
        }
        links_.handled(name.entry.links);
        tree_.settle(name.directory);
    }
}

}  // namespace imgsync
