// imgfs flatten: the image with its changes, as an ordinary image.
#include "fs/transfer/flatten.h"

#include <array>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/transfer/new_parts.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

struct ChecksumName {
    std::string_view name;
    ChecksumMode mode;
};
constexpr std::array kChecksums = {ChecksumName{"crc32", ChecksumMode::crc32},
                                   ChecksumName{"xxh128", ChecksumMode::xxh128}};

const Packing& packing_of(const Arguments& arguments) {
    const auto name = arguments.value("codec", "zstd");
    const auto* const packing = find_packing(name);
    if (packing == nullptr) {
        throw UsageError("--codec: " + name + " is none of zstd, gzip, lz4 and none");
    }
    return *packing;
}

int level_of(const Arguments& arguments, const Packing& packing) {
    if (!arguments.has("level")) {
        return packing.usual_level;
    }
    const auto text = arguments.value("level");
    int level = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
    if (error != std::errc() || end != text.data() + text.size() || level < packing.least_level ||
        level > packing.most_level) {
        throw UsageError("--level: of " + std::string(packing.name) + " from " +
                         std::to_string(packing.least_level) + " to " +
                         std::to_string(packing.most_level));
    }
    return level;
}

ChecksumMode checksum_of(const Arguments& arguments) {
    const auto name = arguments.value("checksum", "crc32");
    const auto* const found = std::ranges::find(kChecksums, name, &ChecksumName::name);
    if (found == kChecksums.end()) {
        throw UsageError("--checksum: " + name + " is neither crc32 nor xxh128");
    }
    return found->mode;
}

uint64_t part_size_of(const Arguments& arguments) {
    if (!arguments.has("split")) {
        return 0;
    }
    try {
        if (const auto size = parse_size(arguments.value("split")); size != 0) {
            return size;
        }
    } catch (const std::system_error& error) {
        throw UsageError("--split: " + message_of(error));
    }
    throw UsageError("--split: parts have a size");
}

FlattenOptions flatten_options(const Arguments& arguments) {
    const auto& packing = packing_of(arguments);
    return {.packing = packing,
            .level = level_of(arguments, packing),
            .checksum = checksum_of(arguments),
            .part_size = part_size_of(arguments)};
}

/// A link is followed once, here: the file that it names is replaced, not the link.
std::filesystem::path target_of(const std::filesystem::path& named) {
    const auto status = std::filesystem::status(named);
    if (!std::filesystem::exists(status)) {
        return named;
    }
    if (!std::filesystem::is_regular_file(status)) {
        fail(EINVAL, printable(named.string()) + ": is no file; name a new one");
    }
    return std::filesystem::canonical(named);
}

/// The image that has that name would be gone: not the one that is read, nor one with changes.
void check_target(const OpenDevice& opened, const std::filesystem::path& target,
                  const Arguments& arguments) {
    const auto there = files_of_name(target);
    refuse_own_files(opened, target);
    for (const auto& file : there) {
        refuse_own_files(opened, file);
    }
    const auto delta =
        std::filesystem::absolute(target).parent_path() / "imgfs" / target.filename() / "layers";
    if (std::filesystem::exists(delta)) {
        fail(EEXIST, printable(target.string()) + ": an image of this name has changes in " +
                         printable(delta.parent_path().string()) + "; choose another name");
    }
    if (there.empty()) {
        return;
    }
    if (arguments.has("split") || there.size() > 1 ||
        there.front().filename() != target.filename()) {
        throw UsageError(printable(there.front().string()) +
                         " exists; parts can't be replaced in one step: choose another name, or "
                         "remove them first");
    }
    if (!arguments.has("overwrite")) {
        throw UsageError(printable(there.front().string()) + " exists; --overwrite replaces it");
    }
}

void print_result(const std::filesystem::path& target, const KeptBlocks& kept,
                  const FlattenResult& result, const Arguments& arguments) {
    if (!arguments.has("json")) {
        std::cout << printable(target.string()) << ": " << format_size(result.packed_size);
        if (arguments.has("split")) {
            std::cout << " in " << format_count(result.files.size()) << " parts";
        }
        std::cout << ", " << format_size(result.plain_size) << " used of "
                  << format_size(kept.device_size) << "\n";
        return;
    }
    auto files = nlohmann::json::array();
    for (const auto& file : result.files) {
        files.push_back(file.string());
    }
    print_json({{"target", target.string()},
                {"files", files},
                {"file_system", kept.file_system},
                {"bytes", kept.device_size},
                {"used_bytes", result.plain_size},
                {"packed_bytes", result.packed_size}});
}

}  // namespace

void add_flatten_options(OptionTable& table) {
    add_image_options(table);
    const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
    table.add_options()("codec", text("NAME"), "zstd (default), gzip, lz4 or none")(
        "level", text("N"), "as the codec's program counts (default: 2 of zstd, 1 of others)")(
        "split", text("SIZE"), "parts of that many bytes: OUT.aa, OUT.ab …")(
        "checksum", text("NAME"),
        "of the blocks: crc32 (default; every partclone reads it), or xxh128, which older "
        "partclone (Debian 12's 0.3.23, too) can't read")("overwrite", "replace an existing image")(
        "json", "print one JSON document");
}

int flatten_command(const Arguments& arguments) {
    catch_interrupts();
    const auto wanted = flatten_options(arguments);
    const auto target = target_of(arguments.operands[1]);
    auto options = image_options(arguments);
    options.check_strips = CheckStrips::always;
    auto image = open_image(options);
    const auto bitmap = Bytes(image.partition->bitmap().begin(), image.partition->bitmap().end());
    const auto opened =
        open_device(std::move(image), options, DeltaAccess::read_only, "imgfs flatten");
    check_target(opened, target, arguments);
    if (opened.info.checksum != "none" && !opened.info.checked_alone) {
        check_image(options, "nothing is written");  // reading doesn't check it
    }
    const auto kept = kept_blocks({.device = *opened.device,
                                   .changes = *opened.delta,
                                   .info = opened.info,
                                   .bitmap = bitmap});
    if (!kept.note.empty()) {
        say(kept.note);
    }
    const auto result =
        flatten(*opened.device, kept, target, wanted, terminal_progress("flattening"));
    print_result(target, kept, result, arguments);
    return done;
}

}  // namespace imgfs
