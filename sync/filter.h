// Which names a push leaves out: rsync's --exclude patterns.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace imgsync {

/// One pattern, compiled. Matching takes time in proportion to pattern × path, whatever the pattern
/// is: it may come from the other end.
class Pattern {
  public:
    explicit Pattern(std::string_view text);

    /// `path` is relative to the root of the push, without a slash at either end.
    bool matches(std::string_view path, bool is_directory) const;

  private:
    enum class Token : uint8_t { letter, set, any, star, double_star };
    struct Step {
        Token token;
        char letter = 0;
        std::bitset<256> set;
    };

    void compile(std::string_view text);
    size_t compile_set(std::string_view text, size_t at);
    bool matches_whole(std::string_view text) const;
    bool matches_tail(std::string_view path) const;

    bool anchored_ = false;
    bool directories_only_ = false;
    bool and_contents_ = false;  // a trailing /***
    bool whole_path_ = false;    // has a slash or ** inside: the name alone isn't enough
    std::vector<Step> steps_;
};

/// The same at both ends: the source leaves out what is excluded, the target leaves it alone.
class Filter {
  public:
    Filter() = default;
    explicit Filter(const std::vector<std::string>& patterns);

    bool excludes(std::string_view path, bool is_directory) const;

  private:
    std::vector<Pattern> patterns_;
};

}  // namespace imgsync
