#include "fs/store/layer_list.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sstream>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::string_view kTitle = "imgfs delta 1\n";
constexpr size_t kMaxLayers = 100'000;

std::string checksum_of(std::string_view text) {
    std::array<std::byte, 8> sum;
    store(ByteSpan(sum), 0, __builtin_bswap64(xxh3_64(bytes_of(text))));
    return hex(sum);
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
    if (key == "layer") {
        LayerList::Entry entry{.file = value};
        std::string uuid;
        std::string parent;
        words >> uuid >> parent >> entry.state;
        const bool good = is_layer_name(entry.file) && parse_hex(uuid, entry.uuid) &&
                          parse_hex(parent, entry.parent) && list.layers.size() < kMaxLayers;
        list.layers.push_back(std::move(entry));
        return good;
    }
    return false;
}

}  // namespace

std::string format_layer_list(const LayerList& list) {
    std::ostringstream text;
    text << kTitle << "device-size " << list.device_size << "\nidentity " << hex(list.identity)
         << '\n';
    if (list.content != Hash128{}) {
        text << "content " << hex(list.content) << '\n';
    }
    for (const auto& layer : list.layers) {
        text << "layer " << layer.file << ' ' << hex(layer.uuid) << ' ' << hex(layer.parent) << ' '
             << layer.state << '\n';
    }
    return text.str() + "checksum " + checksum_of(text.str()) + '\n';
}

LayerList parse_layer_list(ConstByteSpan content, const std::string& path) {
    const std::string text(text_of(content));
    const auto last_line = text.rfind("checksum ");
    bool good = last_line != std::string::npos &&
                text.substr(last_line) ==
                    "checksum " + checksum_of(std::string_view(text).substr(0, last_line)) + '\n';
    if (good && !text.starts_with(kTitle)) {
        fail(ENOTSUP, path + ": made by a newer imgfs, which can read it");
    }
    LayerList list;
    std::istringstream lines(good ? text.substr(0, last_line) : "");
    std::string line;
    std::getline(lines, line);
    while (good && std::getline(lines, line)) {
        good = parse_line(line, list);
    }
    if (!good || format_layer_list(list) != text) {
        fail(EUCLEAN, path +
                          ": damaged; put back a copy of the folder, or move it away to go back "
                          "to the image as saved");
    }
    return list;
}

}  // namespace imgfs
