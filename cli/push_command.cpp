#include "cli/push_command.h"

#include <unistd.h>

#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/push.h"
#include "sync/serve.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

constexpr int kSomeNotTransferred = 23;
constexpr int kSomeVanished = 24;

void add_push_options(OptionTable& table) {
    const auto text = [] { return po::value<std::string>(); };
    auto add = table.add_options();
    add("delete", "delete at the target what the source doesn't have");
    add("exclude", po::value<std::vector<std::string>>()->value_name("PATTERN"),
        "leave out what matches, at both ends (rsync's patterns: /anchored, dir/, *, **, ?); may "
        "be "
        "given again");
    add("no-default-excludes",
        "push the contents of /dev, /proc, /sys, /tmp, /run, /mnt, /media and "
        "/lost+found too, when SOURCE is the root of a system");
    add("one-file-system,x",
        "don't go into other file systems mounted in SOURCE (the default onto "
        "an imgfs mount)");
    add("cross-file-systems", "go into them even onto an imgfs mount");
    add("checksum,c",
        "let the content of all files decide what changed, not size and time (for "
        "what changed in the 2 s before the push it does so anyway)");
    add("dry-run,n", "change nothing, list what would be changed");
    add("verbose,v", "list what is changed");
    add("ssh,e", text()->value_name("COMMAND"), "instead of ssh, for example 'ssh -p 2222'");
    add("remote-path", text()->value_name("PROGRAM"), "imgsync at the far end");
    add("json", "print the summary as a JSON document");
}

/// [user@]host:PATH has its colon before any slash; an IPv6 address stands in brackets.
void set_target(const std::string& word, imgsync::PushOptions& options) {
    const auto bracket = word.find('[');
    const auto closing = word.find("]:");
    const bool has_address =
        bracket < closing && closing < word.find('/') && (bracket == 0 || word[bracket - 1] == '@');
    const auto colon = has_address ? closing + 1 : word.find(':');
    if (colon == std::string::npos || colon == 0 || word.find('/') < colon) {
        options.target = word;
        return;
    }
    options.remote.host = word.substr(0, colon);
    if (has_address) {
        options.remote.host.erase(closing, 1).erase(bracket, 1);
    }
    options.target = colon + 1 < word.size() ? word.substr(colon + 1) : ".";
}

imgsync::PushOptions push_options(const Arguments& arguments) {
    imgsync::PushOptions options;
    options.source = arguments.operands.at(0);
    set_target(arguments.operands.at(1), options);
    if (arguments.has("ssh")) {
        options.remote.ssh = boost::program_options::split_unix(arguments.value("ssh"));
    }
    options.remote.program = arguments.value("remote-path", options.remote.program);
    options.delete_extra = arguments.has("delete");
    options.dry_run = arguments.has("dry-run");
    options.checksum = arguments.has("checksum");
    options.list_items = arguments.has("verbose") || options.dry_run;
    options.default_excludes = !arguments.has("no-default-excludes");
    options.excludes = arguments.values("exclude");
    if (arguments.has("one-file-system") && arguments.has("cross-file-systems")) {
        throw UsageError("--one-file-system and --cross-file-systems exclude each other");
    }
    if (arguments.has("one-file-system") || arguments.has("cross-file-systems")) {
        options.one_file_system = arguments.has("one-file-system");
    }
    return options;
}

std::string_view name_of(imgsync::Action action) {
    switch (action) {
        case imgsync::Action::created:
            return "new";
        case imgsync::Action::changed:
            return "changed";
        case imgsync::Action::attributes:
            return "attributes";
        case imgsync::Action::linked:
            return "linked";
        case imgsync::Action::deleted:
            return "deleted";
    }
    return "";
}

/// One line on a terminal that says how far it is.
class ProgressLine {
  public:
    explicit ProgressLine(bool enabled) : enabled_(enabled) {}
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { clear(); }

    void show(const imgsync::PushSummary& summary) {
        const auto now = std::chrono::steady_clock::now();
        if (!enabled_ || now < next_) {
            return;
        }
        next_ = now + std::chrono::milliseconds(200);
        shown_ = true;
        std::cerr << "\r\033[K" << format_count(summary.entries) << " names, "
                  << format_size(summary.bytes_read) << " read, " << format_size(summary.bytes_sent)
                  << " sent" << std::flush;
    }
    void clear() {
        if (std::exchange(shown_, false)) {
            std::cerr << "\r\033[K" << std::flush;
        }
    }

  private:
    bool enabled_;
    bool shown_ = false;
    std::chrono::steady_clock::time_point next_;
};

void print_summary(const imgsync::PushSummary& summary, bool dry_run) {
    const auto& target = summary.target;
    std::cout << (dry_run ? "would push " : "pushed ") << format_count(summary.entries)
              << " names with " << format_size(summary.file_bytes) << ": "
              << format_count(target.created) << " new, " << format_count(target.changed)
              << " changed, " << format_count(target.attributes) << " only attributes, "
              << format_count(target.linked) << " linked, " << format_count(target.deleted)
              << " deleted, " << format_count(target.kept) << " only in the target\n"
              << "read " << format_size(summary.bytes_read) << ", sent "
              << format_size(summary.bytes_sent) << ", saved " << format_size(summary.bytes_saved)
              << "\n";
    if (target.not_permitted > 0) {
        std::cout << format_count(target.not_permitted)
                  << " owners, devices or attributes were left as they are: only root may set "
                     "them\n";
    }
    if (summary.problems > 0 || summary.vanished > 0) {
        std::cerr << "imgsync: " << format_count(summary.problems) << " not transferred, "
                  << format_count(summary.vanished) << " vanished\n";
    }
}

void print_json(const imgsync::PushSummary& summary, bool dry_run) {
    const auto& target = summary.target;
    const nlohmann::json document = {{"schema", 1},
                                     {"dry_run", dry_run},
                                     {"names", summary.entries},
                                     {"file_bytes", summary.file_bytes},
                                     {"bytes_read", summary.bytes_read},
                                     {"bytes_sent", summary.bytes_sent},
                                     {"bytes_received", summary.bytes_received},
                                     {"bytes_saved", summary.bytes_saved},
                                     {"files_sent", summary.files_sent},
                                     {"created", target.created},
                                     {"changed", target.changed},
                                     {"attributes_changed", target.attributes},
                                     {"linked", target.linked},
                                     {"deleted", target.deleted},
                                     {"only_in_target", target.kept},
                                     {"not_permitted", target.not_permitted},
                                     {"resent", target.resent},
                                     {"problems", summary.problems},
                                     {"vanished", summary.vanished}};
    std::cout << document.dump(2) << "\n";
}

int run_push(const Arguments& arguments) {
    allow_many_descriptors();
    const bool as_json = arguments.has("json");
    auto options = push_options(arguments);
    const Interrupt interrupt;
    options.interrupt = interrupt.fd();
    ProgressLine line(::isatty(STDERR_FILENO) != 0);
    std::mutex terminal;  // lines come from another thread than progress
    options.on_problem = [&](const std::string& text) {
        const std::lock_guard lock(terminal);
        line.clear();
        std::cerr << "imgsync: " << text << "\n";
    };
    options.on_item = [&](const imgsync::Item& item) {
        const std::lock_guard lock(terminal);
        line.clear();
        (as_json ? std::cerr : std::cout)
            << name_of(item.action) << "\t" << printable(item.path) << "\n";
    };
    options.on_progress = [&](const imgsync::PushSummary& summary) {
        const std::lock_guard lock(terminal);
        line.show(summary);
    };
    const auto summary = imgsync::push(options);
    line.clear();
    if (as_json) {
        print_json(summary, options.dry_run);
    } else {
        print_summary(summary, options.dry_run);
    }
    if (summary.problems > 0) {
        return kSomeNotTransferred;
    }
    return summary.vanished > 0 ? kSomeVanished : done;
}

int run_serve(const Arguments& /*arguments*/) {
    allow_many_descriptors();
    const Interrupt interrupt;
    try {
        imgsync::serve({.in = STDIN_FILENO, .out = STDOUT_FILENO, .interrupt = interrupt.fd()});
    } catch (const std::exception& error) {
        return errno_of(error) == ECONNRESET ? connection_lost : failed;  // the source was told why
    }
    return done;
}

}  // namespace

Command push_command() {
    return {
        .name = "push",
        .operands = "SOURCE [[USER@]HOST:]TARGET",
        .least_operands = 2,
        .most_operands = 2,
        .summary = "make TARGET's content equal to SOURCE's",
        .description =
            "SOURCE's content becomes TARGET's, with a trailing slash or without: new and "
            "changed files, owners by number, times, hard links, devices, symbolic links, ACLs, "
            "extended attributes and holes. Of changed files over 64 KiB only the differences "
            "travel. Without --delete, what only TARGET has stays and is counted.\n\n"
            "Each file of the target is the old or the new one at any moment. At the end the "
            "target is committed. When SOURCE is the root of a system (it has /proc and /etc), "
            "the contents of /dev, /proc, /sys, /tmp, /run, /mnt, /media and /lost+found are "
            "left out, and left alone at the target.\n\n"
            "The far end runs `imgsync serve` through ssh.",
        .add_options = add_push_options,
        .run = run_push};
}

Command serve_command() {
    return {.name = "serve",
            .operands = "",
            .least_operands = 0,
            .most_operands = 0,
            .summary = "receive a push on standard input and output; started by push through ssh",
            .description = "Not for use by hand.",
            .add_options = nullptr,
            .run = run_serve};
}

}  // namespace imgfs
