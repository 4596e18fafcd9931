#include "sync/push.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <deque>
#include <set>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/file_sender.h"
#include "sync/replies.h"

namespace imgsync {
namespace {

/// Files whose content was sent and that the target hasn't finished yet.
constexpr size_t kUnfinished = 1024;
/// Of one file: compare it, send a delta, send it whole.
constexpr uint8_t kMostWishes = 3;

/// The source's side of a push once both ends have greeted each other.
class Sender {
  public:
    Sender(const PushOptions& options, FrameWriter& writer, TreeSource& tree, Replies& replies,
           Notices& notices)
        : options_(options),
          writer_(writer),
          tree_(tree),
          replies_(replies),
          notices_(notices),
          file_sender_(writer, [this] { report_progress(); }) {}

    TargetCounts run();
    PushSummary summary() const;

  private:
    void step();
    void take(Reply reply);
    void send_piece();
    void send_wanted();
    void report_progress() const;
    bool may_send_piece() const { return !walked_ && unlisted_.size() < kPiecesAhead; }
    bool may_send_file() const { return !wanted_.empty() && unfinished_.size() < kUnfinished; }
    bool is_complete() const {
        return walked_ && unlisted_.empty() && wanted_.empty() && unfinished_.empty();
    }

    const PushOptions& options_;
    FrameWriter& writer_;
    TreeSource& tree_;
    Replies& replies_;
    Notices& notices_;
    FileSender file_sender_;
    std::map<uint64_t, SourceFile> files_;  // not yet finished, and of pieces not yet listed
    std::map<uint64_t, std::set<uint64_t>> unlisted_;  // piece → its files nobody has wanted
    std::map<uint64_t, uint64_t> piece_of_;
    std::deque<WantedFile> wanted_;
    std::set<uint64_t> unfinished_;
    bool walked_ = false;
    std::optional<TargetCounts> counts_;
};

TargetCounts Sender::run() {
    writer_.put(FrameType::tree, pack_root(tree_.root()));
    while (!is_complete()) {
        step();
    }
    writer_.put(FrameType::tree_end);
    writer_.flush();
    while (!counts_) {
        take(replies_.take());
    }
    return *counts_;
}

/// What is wanted goes before the walk, so the walk is never far ahead.
void Sender::step() {
    if (replies_.has_some()) {
        take(replies_.take());
    } else if (may_send_file()) {
        send_wanted();
    } else if (may_send_piece()) {
        send_piece();
    } else {
        writer_.flush();
        take(replies_.take());
    }
}

void Sender::take(Reply reply) {
    if (auto* wanted = std::get_if<WantedFile>(&reply)) {
        const auto id = wanted->want.id;
        const auto file = files_.find(id);
        if (file == files_.end() || ++file->second.wishes > kMostWishes) {
            fail_protocol("a wish for a file that it wasn't offered");
        }
        if (const auto piece = piece_of_.find(id); piece != piece_of_.end()) {
            unlisted_[piece->second].erase(id);
            piece_of_.erase(piece);
        }
        unfinished_.erase(id);  // wished again, it waits for this end
        wanted_.push_back(std::move(*wanted));
    } else if (const auto* listed = std::get_if<PieceListed>(&reply)) {
        const auto piece = unlisted_.find(listed->number);
        if (piece == unlisted_.end()) {
            fail_protocol("an answer to nothing");
        }
        for (const auto id : piece->second) {
            files_.erase(id);
            piece_of_.erase(id);
        }
        unlisted_.erase(piece);
    } else if (const auto* finished = std::get_if<FileFinished>(&reply)) {
        unfinished_.erase(finished->id);
        files_.erase(finished->id);
    } else {
        counts_ = std::get<TargetCounts>(reply);
    }
}

void Sender::send_piece() {
    std::map<uint64_t, SourceFile> files;
    const auto piece = tree_.next(files);
    if (!piece) {
        walked_ = true;
        return;
    }
    auto& unwanted = unlisted_[piece->number];
    for (auto& [id, file] : files) {
        unwanted.insert(id);
        piece_of_.emplace(id, piece->number);
        files_.emplace(id, std::move(file));
    }
    writer_.put(FrameType::list, pack(*piece));
    report_progress();
}

void Sender::send_wanted() {
    const auto wanted = std::move(wanted_.front());
    wanted_.pop_front();
    if (wanted.signature) {
        replies_.release_signature();  // before the end of its file makes room for another one
    }
    const auto id = wanted.want.id;
    const auto file = files_.find(id);
    if (file == files_.end()) {
        fail_protocol("a wish for a file that is finished");
    }
    const auto shown = tree_.shown(file->second);
    try {
        unfinished_.insert(id);
        file_sender_.send(wanted.want, wanted.signature.get(), file->second, shown);
    } catch (const std::system_error& error) {
        const int code = error.code().value();
        if (code == ECONNRESET || code == ECANCELED || code == EPROTO) {
            throw;
        }
        if (code == ENOENT || code == ELOOP || code == ENXIO) {
            notices_.vanished(shown);
        } else {
            notices_.problem(imgfs::message_of(error));
        }
        writer_.put(FrameType::gone, pack_number(id));
        unfinished_.erase(id);
        files_.erase(file);
    }
}

void Sender::report_progress() const {
    if (options_.on_progress) {
        options_.on_progress(summary());
    }
}

PushSummary Sender::summary() const {
    const auto& counts = file_sender_.counts();
    return {.entries = tree_.entries(),
            .file_bytes = tree_.file_bytes(),
            .bytes_read = counts.read,
            .bytes_sent = writer_.bytes(),
            .bytes_received = replies_.bytes(),
            .bytes_saved = tree_.file_bytes() - std::min(tree_.file_bytes(), counts.sent),
            .files_sent = counts.files,
            .problems = notices_.problems(),
            .vanished = notices_.vanished(),
            .target = counts_.value_or(TargetCounts{})};
}

void send_hello(const PushOptions& options, const std::vector<std::string>& excludes,
                FrameWriter& writer) {
    writer.put(FrameType::hello, pack(Hello{.delete_extra = options.delete_extra,
                                            .dry_run = options.dry_run,
                                            .checksum = options.checksum,
                                            .list_items = options.list_items,
                                            .target = options.target,
                                            .excludes = excludes}));
    writer.flush();
}

/// The order is strict here: nothing follows the welcome until the tree comes.
Welcome greet(const PushOptions& options, const std::vector<std::string>& excludes,
              FrameWriter& writer, const Wires& wires) {
    FrameReader reader(wires);
    send_hello(options, excludes, writer);
    const auto frame = reader.next();
    if (frame.type == FrameType::refused) {
        const auto refusal = unpack_refusal(frame.payload);
        imgfs::fail(refusal.code, imgfs::printable(refusal.text));
    }
    if (frame.type != FrameType::welcome) {
        fail_protocol("something else than imgsync's answer (its login shell prints something?)");
    }
    return unpack_welcome(frame.payload);
}

Fd open_root(const std::string& source) {
    return imgfs::open_file(source, O_RDONLY | O_DIRECTORY);
}

struct stat status_of(int fd, const std::string& name) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        imgfs::fail_errno(imgfs::printable(name));
    }
    return status;
}

bool lies_inside(int inner, const struct stat& outer, const std::string& name) {
    Fd here(::openat(inner, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (;;) {
        const auto status = status_of(here.get(), name);
        if (status.st_dev == outer.st_dev && status.st_ino == outer.st_ino) {
            return true;
        }
        Fd up(::openat(here.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
        const auto above = status_of(up.get(), name);
        if (above.st_dev == status.st_dev && above.st_ino == status.st_ino) {
            return false;
        }
        here = std::move(up);
    }
}

/// A target here: refused around the source, and never gone into when it lies in the source.
std::optional<std::pair<dev_t, ino_t>> check_place(const PushOptions& options, int root) {
    struct stat target {};
    if (!options.remote.host.empty() || ::stat(options.target.c_str(), &target) != 0) {
        return std::nullopt;
    }
    if (lies_inside(root, target, options.source)) {
        imgfs::fail(EINVAL, imgfs::printable(options.source) +
                                ": lies in the target; push into another directory");
    }
    return std::pair(target.st_dev, target.st_ino);
}

std::vector<std::string> excludes_of(const PushOptions& options) {
    auto excludes = options.excludes;
    if (options.default_excludes) {
        std::ranges::copy(root_excludes(options.source), std::back_inserter(excludes));
    }
    if (excludes.size() > kMostExcludes ||
        std::ranges::any_of(excludes, [](auto& text) { return text.size() > kLongestPattern; })) {
        imgfs::fail(E2BIG, "--exclude: more or longer patterns than imgsync can send");
    }
    return excludes;
}

/// ssh has told why on stderr; what it ended with tells the way out.
[[noreturn]] void fail_lost(const PushOptions& options, int status) {
    const auto host = imgfs::printable(options.remote.host) + ": ";
    if (status == 127) {
        imgfs::fail(ECONNRESET, host + imgfs::printable(options.remote.program) +
                                    " isn't there; install imgsync, or name it by --remote-path");
    }
    imgfs::fail(ECONNRESET, host + "connection lost (ssh ended with " + std::to_string(status) +
                                "); what is complete at the target stays, push again");
}

/// Time stamps have the grain of the file system and the kernel's clock tick, at most 2 s.
Time shortly_before_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return {.seconds = now.tv_sec - 2, .nanoseconds = static_cast<uint32_t>(now.tv_nsec)};
}

}  // namespace

std::vector<std::string> root_excludes(const std::string& source) {
    const Fd root = open_root(source);
    const auto has = [&](const char* name) { return ::faccessat(root.get(), name, F_OK, 0) == 0; };
    if (!has("proc") || !has("etc")) {
        return {};
    }
    return {"/dev/*", "/proc/*", "/sys/*",   "/tmp/*",
            "/run/*", "/mnt/*",  "/media/*", "/lost+found/*"};
}

PushSummary push_through(int socket, const PushOptions& options) {
    Fd root = open_root(options.source);
    check_place(options, root.get());
    const auto excludes = excludes_of(options);
    Notices notices;
    notices.on_problem = options.on_problem;
    notices.on_item = options.on_item;
    const Wires wires{socket, socket, options.interrupt};
    FrameWriter writer(wires);
    const bool to_imgfs = greet(options, excludes, writer, wires).is_imgfs;
    // Only now: the target may have been made by the greeting.
    const auto leave_out = check_place(options, root.get());
    TreeSource tree(std::move(root), options.source,
                    {.excludes = excludes,
                     .one_file_system = options.one_file_system.value_or(to_imgfs),
                     .unsure_since = options.unsure_since.value_or(shortly_before_now()),
                     .leave_out = leave_out},
                    notices);
    Replies replies(socket, options.interrupt, notices);
    Sender sender(options, writer, tree, replies, notices);
    try {
        sender.run();
    } catch (const std::system_error& error) {
        if (error.code().value() == ECONNRESET) {
            replies.fail_with_its_end();  // the target may have said why
        }
        throw;
    }
    return sender.summary();
}

PushSummary push(const PushOptions& options) {
    Connection connection(options.remote);
    try {
        const auto summary = push_through(connection.socket(), options);
        connection.finish();
        return summary;
    } catch (const std::system_error& error) {
        if (error.code().value() == ECONNRESET && connection.ssh_process() > 0) {
            fail_lost(options, connection.finish());
        }
        throw;
    }
}

}  // namespace imgsync
