#include "cli/mount_helper.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "cli/options.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

enum class Value { none, needed, optional };

struct MountOption {
    std::string_view name;         ///< as in fstab
    std::string_view word;         ///< for the command line; empty: nothing to say there
    std::string_view undone = {};  ///< the word of an earlier option that this one takes back
    Value value = Value::none;
};

constexpr std::array kOptions = {
    MountOption{"ro", "--read-only"},
    MountOption{"rw", "", "--read-only"},
    MountOption{"suid", "--suid"},
    MountOption{"nosuid", "", "--suid"},
    MountOption{"dev", "--dev"},
    MountOption{"nodev", "", "--dev"},
    MountOption{"noexec", "--noexec"},
    MountOption{"exec", "", "--noexec"},
    MountOption{"raw", "--raw"},
    MountOption{"points", "--points"},
    MountOption{"allow_other", "--allow-other"},
    MountOption{"delta", "--delta", "", Value::needed},
    MountOption{"cache-size", "--cache-size", "", Value::needed},
    MountOption{"log", "--log", "", Value::needed},
    MountOption{"user", "", "", Value::optional},
};

/// For mount(8) and systemd, or about access times, of which a mount keeps none, and about when
/// writes are done, which is as the delta has it.
constexpr auto kIgnored = std::to_array<std::string_view>({
    "defaults", "auto",       "noauto",      "nofail",        "_netdev",  "users",
    "nouser",   "nousers",    "owner",       "noowner",       "group",    "nogroup",
    "atime",    "noatime",    "diratime",    "nodiratime",    "relatime", "norelatime",
    "lazytime", "nolazytime", "strictatime", "nostrictatime", "sync",     "async",
    "dirsync",  "iversion",   "noiversion",  "silent",        "loud",
});

void add_option(const std::string& text, std::vector<std::string>& words) {
    if (text.empty() || text.starts_with("x-") || text.starts_with("X-") ||
        text.starts_with("comment=") || std::ranges::find(kIgnored, text) != kIgnored.end()) {
        return;
    }
    const auto equals = text.find('=');
    const auto name = text.substr(0, equals);
    const bool has_value = equals != std::string::npos;
    const auto known = std::ranges::find(kOptions, name, &MountOption::name);
    if (known == kOptions.end() ||
        (known->value != Value::optional && (known->value == Value::needed) != has_value)) {
        throw UsageError("mount option '" + printable(text) + "' is not known");
    }
    if (known->value == Value::none) {
        std::erase(words, known->undone);
        std::erase(words, known->word);  // once is enough
    }
    if (!known->word.empty()) {
        words.emplace_back(known->word);
    }
    if (known->value == Value::needed) {
        words.push_back(text.substr(equals + 1));
    }
}

}  // namespace

std::vector<std::string> mount_helper_words(const std::vector<std::string>& words) {
    std::vector<std::string> result = {"mount"};
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "-o" && i + 1 < words.size()) {
            std::istringstream options(words[++i]);
            for (std::string option; std::getline(options, option, ',');) {
                add_option(option, result);
            }
        } else if (words[i] == "-t" && i + 1 < words.size()) {
            ++i;  // the type: it brought us here
        } else if (!words[i].starts_with('-')) {
            result.push_back(words[i]);
        } else if (words[i].find_first_not_of("-sfnv") != std::string::npos) {
            throw UsageError("mount.imgfs doesn't know " + printable(words[i]));
        }
    }
    return result;
}

}  // namespace imgfs
