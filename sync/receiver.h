// The target's side of a push once both ends have greeted each other: compares what the source
// lists with what is there, asks for what differs, puts it in place.
#pragma once

#include <deque>
#include <memory>

#include "sync/file_receiver.h"
#include "sync/link_groups.h"
#include "sync/target_tree.h"

namespace imgsync {

class Receiver {
  public:
    /// All must outlive it.
    Receiver(FrameWriter& writer, const Hello& hello, TargetTree& tree, Changes& changes);

    void handle(const Frame& frame);
    /// The source has sent all, and all of it is in place.
    bool is_finished() const { return ended_; }

  private:
    /// A file whose content is on its way, or will be asked for.
    struct Pending {
        uint64_t directory = 0;
        Entry entry;
        How how = How::whole;
        bool split = false;  // a new inode, even if the content is the same
        Fd basis;            // of a delta that is on its way
        bool resent = false;
    };
    /// A file whose signature is still to be sent; its piece isn't `listed` before.
    struct WaitingDelta {
        uint64_t id = 0;
        std::optional<uint64_t> piece;
    };

    void take_content(const Frame& frame);
    void take_piece(const Piece& piece);
    void consider(TargetDirectory& directory, const Entry& entry, uint64_t piece);
    void consider_name(TargetDirectory& directory, const Entry& entry, bool may_exist,
                       uint64_t piece);
    void consider_special(TargetDirectory& directory, const Entry& entry,
                          const std::optional<Inode>& present);
    void consider_file(TargetDirectory& directory, const Entry& entry,
                       std::optional<Inode>& present, uint64_t piece);
    void update_attributes(Inode& present, const Entry& entry, const std::string& path);
    void need(TargetDirectory& directory, Pending pending, const std::optional<Inode>& present,
              uint64_t piece);
    std::optional<Hash128> hash_of(const Inode& present);
    void would_need(TargetDirectory& directory, const Entry& entry, bool is_present);
    void make_special(TargetDirectory& directory, const Entry& entry, bool is_present);

    void consider_link(TargetDirectory& directory, const Entry& entry);
    void link(TargetDirectory& directory, const Entry& entry);
    void report_lost_link(const TargetDirectory& directory, const Entry& entry);
    void resolve_links(const Entry& entry, LinkGroups::State state);

    void send_signatures();
    void send_signature(Pending& pending);
    Bytes signature_of(Pending& pending);
    void want_whole(Pending& pending);

    Pending& pending(uint64_t id);
    void begin(const Begin& begin);
    void end(const Hash128& hash);
    void end_unwritable();
    void put_in_place(Pending& pending);
    void take_same(Pending& pending);
    void take_different(Pending& pending);
    void drop(uint64_t id);
    void finish(uint64_t id);

    FrameWriter& writer_;
    const Hello& hello_;
    TargetTree& tree_;
    Changes& changes_;
    LinkGroups links_;
    std::map<uint64_t, Pending> pending_;
    std::deque<WaitingDelta> deltas_;
    std::map<uint64_t, size_t> deltas_of_;  // piece → its files among deltas_
    size_t signatures_out_ = 0;
    std::unique_ptr<FileReceiver> file_;  // that comes just now
    std::optional<uint64_t> unwritable_;  // comes just now, but couldn't be made here
    bool started_ = false;
    bool ended_ = false;
};

}  // namespace imgsync
