// imgfs ls and imgfs cat: what is inside, without mounting.
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <iomanip>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/view/path.h"

namespace imgfs {
namespace {

struct Listed {
    std::string name;
    Attributes attributes;
    std::string link_target;
};

/// As ls -l shows it: "drwxr-sr-x".
std::string mode_text(uint32_t mode) {
    std::string text = "?rwxrwxrwx";
    constexpr std::array<std::pair<uint32_t, char>, 7> kTypes = {
        std::pair{S_IFDIR, 'd'}, std::pair{S_IFREG, '-'}, std::pair{S_IFLNK, 'l'},
        std::pair{S_IFCHR, 'c'}, std::pair{S_IFBLK, 'b'}, std::pair{S_IFIFO, 'p'},
        std::pair{S_IFSOCK, 's'}};
    for (const auto& [type, letter] : kTypes) {
        if ((mode & S_IFMT) == type) {
            text[0] = letter;
        }
    }
    for (unsigned bit = 0; bit < 9; ++bit) {
        if ((mode & (0400U >> bit)) == 0) {
            text[1 + bit] = '-';
        }
    }
    const auto special = [&](uint32_t bit, size_t place, char letter) {
        if ((mode & bit) != 0) {
            text[place] = text[place] == '-' ? static_cast<char>(letter & ~0x20) : letter;
        }
    };
    special(S_ISUID, 3, 's');
    special(S_ISGID, 6, 's');
    special(S_ISVTX, 9, 't');
    return text;
}

Listed listed(View& view, std::string name, const Attributes& attributes) {
    return {std::move(name), attributes,
            S_ISLNK(attributes.mode) ? view.link_target(attributes.inode) : ""};
}

std::vector<Listed> list_directory(View& view, InodeNumber directory, bool all) {
    std::vector<Listed> found;
    for (const auto& entry : view.entries(directory)) {
        if (entry.name != "." && entry.name != ".." && (all || !entry.name.starts_with('.'))) {
            found.push_back(listed(view, entry.name, view.attributes(entry.inode)));
        }
    }
    std::ranges::sort(found, {}, &Listed::name);
    return found;
}

std::chrono::system_clock::time_point time_of(const timespec& time) {
    return std::chrono::system_clock::from_time_t(time.tv_sec);
}

void print_long(const Listed& file) {
    const auto& attributes = file.attributes;
    const bool device = S_ISCHR(attributes.mode) || S_ISBLK(attributes.mode);
    const auto size = device ? std::to_string(major(attributes.device)) + ", " +
                                   std::to_string(minor(attributes.device))
                             : std::to_string(attributes.size);
    std::cout << mode_text(attributes.mode) << std::setw(4) << attributes.links << std::setw(6)
              << attributes.uid << std::setw(6) << attributes.gid << std::setw(12) << size << " "
              << format_local(time_of(attributes.modified)) << " " << printable(file.name);
    if (S_ISLNK(attributes.mode)) {
        std::cout << " -> " << printable(file.link_target);
    }
    std::cout << "\n";
}

nlohmann::json to_json(const std::string& path, const Listed& file) {
    const auto& attributes = file.attributes;
    nlohmann::json entry = {{"path", path},
                            {"inode", attributes.inode},
                            {"mode", attributes.mode},
                            {"links", attributes.links},
                            {"uid", attributes.uid},
                            {"gid", attributes.gid},
                            {"bytes", attributes.size},
                            {"modified", format_utc(time_of(attributes.modified))}};
    if (S_ISLNK(attributes.mode)) {
        entry["link_target"] = file.link_target;
    }
    return entry;
}

std::string joined(const std::string& path, const std::string& name) {
    return path.ends_with('/') ? path + name : path + "/" + name;
}

/// One ls: what it shows, of as many paths as are named.
class Listing {
  public:
    Listing(View& view, const Arguments& arguments)
        : view_(view),
          long_(arguments.has("long")),
          all_(arguments.has("all")),
          recursive_(arguments.has("recursive")),
          json_(arguments.has("json")) {}

    void add(const std::string& path, bool with_heading) {
        const auto last = long_ || json_ ? LastLink::keep : LastLink::follow;
        const auto found = resolve_path(view_, path, last);
        if (!found) {
            fail(ENOENT, printable(path) + ": there is no such file in the image");
        }
        if (S_ISDIR(found->mode)) {
            add_directory(path, found->inode, with_heading || recursive_);
        } else {
            show(path, listed(view_, path, *found));
        }
    }

    const nlohmann::json& entries() const { return entries_; }

  private:
    void add_directory(const std::string& path, InodeNumber inode, bool with_heading) {
        if (with_heading && !json_) {
            std::cout << (first_ ? "" : "\n") << printable(path) << ":\n";
        }
        first_ = false;
        const auto files = list_directory(view_, inode, all_);
        for (const auto& file : files) {
            show(joined(path, file.name), file);
        }
        for (const auto& file : files) {
            if (recursive_ && S_ISDIR(file.attributes.mode)) {
                add_directory(joined(path, file.name), file.attributes.inode, true);
            }
        }
    }

    void show(const std::string& path, const Listed& file) {
        if (json_) {
            entries_.push_back(to_json(path, file));
        } else if (long_) {
            print_long(file);
        } else {
            std::cout << printable(file.name) << "\n";
        }
    }

    View& view_;
    bool long_;
    bool all_;
    bool recursive_;
    bool json_;
    bool first_ = true;
    nlohmann::json entries_ = nlohmann::json::array();
};

void print_file(View& view, const std::string& path) {
    const auto found = resolve_path(view, path, LastLink::follow);
    if (!found) {
        fail(ENOENT, printable(path) + ": there is no such file in the image");
    }
    if (!S_ISREG(found->mode)) {
        fail(EINVAL, printable(path) + ": not a regular file");
    }
    Bytes buffer(kMiB);
    for (uint64_t offset = 0; offset < found->size;) {
        const auto count = view.read(found->inode, offset, buffer);
        if (count == 0) {
            break;
        }
        const auto text = text_of(ConstByteSpan(buffer).first(count));
        if (!std::cout.write(text.data(), static_cast<std::streamsize>(text.size()))) {
            fail(EPIPE, "standard output: can't be written");
        }
        offset += count;
    }
}

/// Does `action` for each path; one that fails is said and the others still done.
int for_each_path(std::span<const std::string> paths,
                  const std::function<void(const std::string&)>& action) {
    int status = done;
    for (const auto& path : paths) {
        try {
            action(path);
        } catch (const std::exception& error) {
            if (errno_of(error) == EPIPE || errno_of(error) == ECANCELED) {
                throw;
            }
            say(message_of(error));
            status = failed;
        }
    }
    return status;
}

}  // namespace

void add_list_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("long,l", "mode, links, owner, group, size and time too")(
        "all,a", "names that begin with a dot too")("recursive,R", "directories below too")(
        "json", "print one JSON document");
}

int list_command(const Arguments& arguments) {
    catch_interrupts();
    const auto opened = open_view(image_options(arguments), "imgfs ls");
    std::vector<std::string> paths(arguments.operands.begin() + 1, arguments.operands.end());
    if (paths.empty()) {
        paths = {"/"};
    }
    Listing listing(*opened.view, arguments);
    const int status =
        for_each_path(paths, [&](const std::string& path) { listing.add(path, paths.size() > 1); });
    if (arguments.has("json")) {
        print_json({{"entries", listing.entries()}});
    }
    return status;
}

int cat_command(const Arguments& arguments) {
    catch_interrupts();
    const auto opened = open_view(image_options(arguments), "imgfs cat");
    return for_each_path(std::span(arguments.operands).subspan(1),
                         [&](const std::string& path) { print_file(*opened.view, path); });
}

}  // namespace imgfs
