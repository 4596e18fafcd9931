#include "fs/store/layer_list.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <span>
#include <sstream>

#include "fs/base/error.h"

namespace imgfs {
namespace {

// Versions before recovery points read the first, those before rollback and prune the second.
constexpr std::string_view kTitle = "imgfs delta 1\n";
constexpr std::string_view kPointsTitle = "imgfs delta 2\n";
constexpr std::string_view kHistoryTitle = "imgfs delta 3\n";
constexpr std::string_view kOpen = "open";
constexpr std::string_view kSealed = "sealed";
constexpr size_t kLongestPoint = 64;
constexpr size_t kMaxLayers = 100'000;

/// 16 digits, the high ones first.
std::string hex_number(uint64_t value) {
    std::array<std::byte, 8> bytes;
    store(ByteSpan(bytes), 0, __builtin_bswap64(value));
    return hex(bytes);
}

std::string checksum_of(std::string_view text) {
    return hex_number(xxh3_64(bytes_of(text)));
}

bool parse_hex(std::string_view text, ByteSpan out) {
    if (text.size() != 2 * out.size()) {
        return false;
    }
    for (size_t i = 0; i < out.size(); ++i) {
        uint8_t value = 0;
        const auto* digits = text.data() + 2 * i;
        if (std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) {
            return false;
        }
        out[i] = std::byte{value};
    }
    return true;
}

// A name that can't leave the folder: digits and ".layer".
bool is_layer_name(std::string_view name) {
    constexpr std::string_view kSuffix = ".layer";
    return name.size() == 6 + kSuffix.size() && name.ends_with(kSuffix) &&
           std::ranges::all_of(name.substr(0, 6),
                               [](char digit) { return digit >= '0' && digit <= '9'; });
}

/// Any text as one word.
std::string as_word(std::string_view text) {
    return "=" + hex(bytes_of(text));
}

bool parse_word(std::string_view word, std::string& text) {
    if (!word.starts_with('=')) {
        return false;
    }
    text.resize(word.size() / 2);
    return parse_hex(word.substr(1), std::as_writable_bytes(std::span(text)));
}

bool parse_seal(std::istringstream& words, Seal& seal) {
    std::string chain;
    std::string note;
    words >> seal.end >> seal.transactions >> chain >> seal.time_ns >> seal.point >> note;
    std::array<std::byte, 8> bytes{};
    const bool good =
        parse_hex(chain, bytes) && is_point_name(seal.point) && parse_word(note, seal.note);
    seal.chain = __builtin_bswap64(le64(bytes, 0));
    return good;
}

bool parse_layer(std::istringstream& words, LayerList::Entry& entry) {
    std::string uuid;
    std::string parent;
    std::string state;
    words >> uuid >> parent >> state;
    if (!is_layer_name(entry.file) || !parse_hex(uuid, entry.uuid) ||
        !parse_hex(parent, entry.parent)) {
        return false;
    }
    if (state == kSealed) {
        return parse_seal(words, entry.seal.emplace());
    }
    return state == kOpen;
}

bool parse_line(const std::string& line, LayerList& list) {
    std::istringstream words(line);
    std::string key;
    std::string value;
    words >> key >> value;
    if (key == "device-size") {
        const auto end = value.data() + value.size();
        return std::from_chars(value.data(), end, list.device_size).ptr == end;
    }
    if (key == "identity") {
        return parse_hex(value, list.identity);
    }
    if (key == "content") {
        return parse_hex(value, list.content);
    }
    if (key == "layer" || key == "aside") {
        auto& layers = key == "layer" ? list.layers : list.aside;
        layers.push_back({.file = value});
        return layers.size() <= kMaxLayers && parse_layer(words, layers.back());
    }
    if (key == "gone") {
        list.gone.push_back(value);
        return list.gone.size() <= kMaxLayers && is_layer_name(value);
    }
    return false;
}

std::string format_state(const LayerList::Entry& layer) {
    if (!layer.seal) {
        return std::string(kOpen);
    }
    std::ostringstream text;
    text << kSealed << ' ' << layer.seal->end << ' ' << layer.seal->transactions << ' '
         << hex_number(layer.seal->chain) << ' ' << layer.seal->time_ns << ' ' << layer.seal->point
         << ' ' << as_word(layer.seal->note);
    return text.str();
}

std::string format_layer(const LayerList::Entry& layer) {
    return layer.file + ' ' + hex(layer.uuid) + ' ' + hex(layer.parent) + ' ' + format_state(layer);
}

bool names_one_twice(const LayerList& list) {
    auto names = file_names(list);
    std::ranges::sort(names);
    return std::ranges::adjacent_find(names) != names.end();
}

std::string_view title_of(const LayerList& list) {
    if (!list.aside.empty() || !list.gone.empty()) {
        return kHistoryTitle;
    }
    const bool has_points = std::ranges::any_of(
        list.layers, [](const LayerList::Entry& layer) { return layer.seal.has_value(); });
    return has_points ? kPointsTitle : kTitle;
}

/// Each layer is over the one before, and only the last can be open.
bool is_chain(const std::vector<LayerList::Entry>& layers) {
    Uuid parent{};
    for (const auto& layer : layers) {
        if (layer.parent != parent || (!layer.seal && &layer != &layers.back())) {
            return false;
        }
        parent = layer.uuid;
    }
    return true;
}

}  // namespace

bool is_point_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= kLongestPoint && name != "base" && name[0] != '-' &&
           std::ranges::all_of(name, allowed);
}

std::vector<std::string> file_names(const LayerList& list) {
    auto names = list.gone;
    std::ranges::transform(list.layers, std::back_inserter(names), &LayerList::Entry::file);
    std::ranges::transform(list.aside, std::back_inserter(names), &LayerList::Entry::file);
    return names;
}

std::string format_layer_list(const LayerList& list) {
    std::ostringstream text;
    text << title_of(list) << "device-size " << list.device_size << "\nidentity "
         << hex(list.identity) << '\n';
    if (list.content != Hash128{}) {
        text << "content " << hex(list.content) << '\n';
    }
    for (const auto& layer : list.layers) {
        text << "layer " << format_layer(layer) << '\n';
    }
    for (const auto& layer : list.aside) {
        text << "aside " << format_layer(layer) << '\n';
    }
    for (const auto& file : list.gone) {
        text << "gone " << file << '\n';
    }
    return text.str() + "checksum " + checksum_of(text.str()) + '\n';
}

LayerList parse_layer_list(ConstByteSpan content, const std::string& path) {
    const std::string text(text_of(content));
    const auto last_line = text.rfind("checksum ");
    bool good = last_line != std::string::npos &&
                text.substr(last_line) ==
                    "checksum " + checksum_of(std::string_view(text).substr(0, last_line)) + '\n';
    if (good && !text.starts_with(kTitle) && !text.starts_with(kPointsTitle) &&
        !text.starts_with(kHistoryTitle)) {
        fail(ENOTSUP, path + ": made by a newer imgfs, which can read it");
    }
    LayerList list;
    std::istringstream lines(good ? text.substr(0, last_line) : "");
    std::string line;
    std::getline(lines, line);
    while (good && std::getline(lines, line)) {
        good = parse_line(line, list);
    }
    if (!good || !is_chain(list.layers) || names_one_twice(list) ||
        format_layer_list(list) != text) {
        fail(EUCLEAN, path +
                          ": damaged; put back a copy of the folder, or move it away to go back "
                          "to the image as saved");
    }
    return list;
}

}  // namespace imgfs
