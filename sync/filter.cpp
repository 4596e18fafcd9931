#include "sync/filter.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace imgsync {
namespace {

struct LetterClass {
    std::string_view name;
    int (*contains)(int letter);
};

constexpr std::array kClasses = {
    LetterClass{"alnum", std::isalnum}, LetterClass{"alpha", std::isalpha},
    LetterClass{"blank", std::isblank}, LetterClass{"cntrl", std::iscntrl},
    LetterClass{"digit", std::isdigit}, LetterClass{"graph", std::isgraph},
    LetterClass{"lower", std::islower}, LetterClass{"print", std::isprint},
    LetterClass{"punct", std::ispunct}, LetterClass{"space", std::isspace},
    LetterClass{"upper", std::isupper}, LetterClass{"xdigit", std::isxdigit},
};

/// Adds [:NAME:] that begins at `at`; returns its length, 0 if there is none.
size_t add_class(std::string_view text, size_t at, std::bitset<256>& set) {
    const auto close = text.find(":]", at);
    if (!text.substr(at).starts_with("[:") || close == std::string_view::npos) {
        return 0;
    }
    const auto found =
        std::ranges::find(kClasses, text.substr(at + 2, close - at - 2), &LetterClass::name);
    if (found == kClasses.end()) {
        return 0;
    }
    for (int letter = 0; letter < 256; ++letter) {
        if (found->contains(letter) != 0) {
            set.set(static_cast<size_t>(letter));
        }
    }
    return close + 2 - at;
}

}  // namespace

Pattern::Pattern(std::string_view text) {
    if (text.starts_with('/')) {
        anchored_ = true;
        text.remove_prefix(1);
    }
    if (text.ends_with("/***")) {
        and_contents_ = true;
        text.remove_suffix(4);
    } else if (text.ends_with('/')) {
        directories_only_ = true;
        text.remove_suffix(1);
    }
    whole_path_ = anchored_ || and_contents_ || text.find('/') != std::string_view::npos ||
                  text.find("**") != std::string_view::npos;
    compile(text);
}

void Pattern::compile(std::string_view text) {
    // As rsync: without a wildcard in the pattern, a backslash is only a backslash.
    const bool wild = text.find_first_of("*?[") != std::string_view::npos;
    for (size_t at = 0; at < text.size(); ++at) {
        const char letter = text[at];
        if (wild && letter == '\\' && at + 1 < text.size()) {
            steps_.push_back({Token::letter, text[++at], {}});
        } else if (letter == '?') {
            steps_.push_back({Token::any, 0, {}});
        } else if (letter == '*') {
            const bool twice = text.substr(at).starts_with("**");
            steps_.push_back({twice ? Token::double_star : Token::star, 0, {}});
            at += twice ? 1 : 0;
        } else if (letter == '[') {
            at = compile_set(text, at);
        } else {
            steps_.push_back({Token::letter, letter, {}});
        }
    }
}

/// Returns the place of the closing bracket; a set that isn't closed matches nothing, as in rsync.
size_t Pattern::compile_set(std::string_view text, size_t at) {
    Step step{Token::set, 0, {}};
    size_t next = at + 1;
    const bool negated = next < text.size() && (text[next] == '!' || text[next] == '^');
    next += negated ? 1 : 0;
    const auto first = next;
    const auto take = [&] {
        next += text[next] == '\\' && next + 1 < text.size() ? 1 : 0;
        return static_cast<unsigned char>(text[next++]);
    };
    while (next < text.size() && (text[next] != ']' || next == first)) {
        if (const auto length = add_class(text, next, step.set); length > 0) {
            next += length;
            continue;
        }
        const size_t low = take();
        size_t high = low;
        if (next + 1 < text.size() && text[next] == '-' && text[next + 1] != ']') {
            ++next;
            high = take();
        }
        for (size_t letter = low; letter <= high; ++letter) {
            step.set.set(letter);
        }
    }
    if (next >= text.size()) {
        step.set.reset();
    } else if (negated) {
        step.set.flip();
    }
    step.set.reset('/');
    steps_.push_back(step);
    return next;
}

bool Pattern::matches(std::string_view path, bool is_directory) const {
    if (!whole_path_) {
        const auto name = path.substr(path.rfind('/') + 1);
        return (is_directory || !directories_only_) && matches_whole(name);
    }
    if (and_contents_) {
        for (auto slash = path.find('/'); slash != std::string_view::npos;
             slash = path.find('/', slash + 1)) {
            if (matches_tail(path.substr(0, slash))) {
                return true;
            }
        }
        return is_directory && matches_tail(path);
    }
    return (is_directory || !directories_only_) && matches_tail(path);
}

bool Pattern::matches_tail(std::string_view path) const {
    if (anchored_) {
        return matches_whole(path);
    }
    if (!steps_.empty() && steps_.front().token == Token::double_star &&
        matches_whole("/" + std::string(path))) {
        return true;
    }
    for (size_t start = 0;;) {
        if (matches_whole(path.substr(start))) {
            return true;
        }
        const auto slash = path.find('/', start);
        if (slash == std::string_view::npos) {
            return false;
        }
        start = slash + 1;
    }
}

/// Walks all states of the pattern at once: reached[i] says that steps before i can have matched.
bool Pattern::matches_whole(std::string_view text) const {
    std::vector<char> reached(steps_.size() + 1, 0);
    std::vector<char> next(steps_.size() + 1, 0);
    const auto pass_stars = [this](std::vector<char>& states) {
        for (size_t index = 0; index < steps_.size(); ++index) {
            const auto token = steps_[index].token;
            if (states[index] && (token == Token::star || token == Token::double_star)) {
                states[index + 1] = 1;
            }
        }
    };
    reached[0] = 1;
    pass_stars(reached);
    for (const char letter : text) {
        std::ranges::fill(next, 0);
        for (size_t index = 0; index < steps_.size(); ++index) {
            if (!reached[index]) {
                continue;
            }
            const auto& step = steps_[index];
            const bool is_letter = step.token == Token::letter && step.letter == letter;
            const bool in_set =
                step.token == Token::set && step.set[static_cast<unsigned char>(letter)];
            const bool is_any = step.token == Token::any && letter != '/';
            next[index + 1] |= static_cast<char>(is_letter || in_set || is_any);
            next[index] |= static_cast<char>(step.token == Token::double_star ||
                                             (step.token == Token::star && letter != '/'));
        }
        pass_stars(next);
        std::swap(reached, next);
    }
    return reached.back() != 0;
}

Filter::Filter(const std::vector<std::string>& patterns)
    : patterns_(patterns.begin(), patterns.end()) {}

bool Filter::excludes(std::string_view path, bool is_directory) const {
    return std::ranges::any_of(
        patterns_, [&](const Pattern& pattern) { return pattern.matches(path, is_directory); });
}

}  // namespace imgsync
