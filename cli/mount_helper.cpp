#include "cli/mount_helper.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "cli/options.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

struct MountOption {
    std::string_view name;   ///< as in fstab
    std::string_view words;  ///< for the command line; empty: for mount(8) itself
    bool has_value = false;
};

constexpr std::array kOptions = {
    MountOption{"ro", "--read-only"},
    MountOption{"rw", ""},
    MountOption{"delta", "--delta", true},
    MountOption{"cache-size", "--cache-size", true},
    MountOption{"log", "--log", true},
    MountOption{"raw", "--raw"},
    MountOption{"allow_other", "--allow-other"},
    MountOption{"suid", "--suid"},
    MountOption{"dev", "--dev"},
    MountOption{"nosuid", ""},
    MountOption{"nodev", ""},
    MountOption{"exec", ""},
    MountOption{"noatime", ""},
    MountOption{"relatime", ""},
    MountOption{"defaults", ""},
    MountOption{"auto", ""},
    MountOption{"noauto", ""},
    MountOption{"user", ""},
    MountOption{"users", ""},
    MountOption{"owner", ""},
    MountOption{"nouser", ""},
    MountOption{"nofail", ""},
    MountOption{"_netdev", ""},
};

void add_option(const std::string& text, std::vector<std::string>& words) {
    if (text.empty() || text.starts_with("x-") || text.starts_with("comment=")) {
        return;
    }
    const auto equals = text.find('=');
    const auto name = text.substr(0, equals);
    const auto known = std::ranges::find(kOptions, name, &MountOption::name);
    if (known == kOptions.end() || known->has_value != (equals != std::string::npos)) {
        throw UsageError("mount option '" + printable(text) + "' is not known");
    }
    if (!known->words.empty()) {
        words.emplace_back(known->words);
    }
    if (known->has_value) {
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
