// imgfs info: what an image is.
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

uint64_t packed_size(const ImageFiles& files) {
    uint64_t size = 0;
    for (const auto& part : files.parts) {
        size += std::filesystem::file_size(part);
    }
    return size;
}

nlohmann::json describe(const OpenDevice& opened) {
    const auto& info = opened.info;
    const auto state = opened.delta->state();
    nlohmann::json parts = nlohmann::json::array();
    for (const auto& part : opened.files.parts) {
        parts.push_back(part.string());
    }
    nlohmann::json delta = nullptr;
    if (state.exists) {
        delta = {{"folder", opened.delta_folder.string()},
                 {"commits", state.commits},
                 {"stored_bytes", state.stored_bytes}};
        if (state.last_commit) {
            delta["last_commit"] = format_utc(*state.last_commit);
        }
    }
    return {{"image", opened.files.name},
            {"parts", parts},
            {"packed_bytes", packed_size(opened.files)},
            {"codec", opened.codec},
            {"format", info.format},
            {"made_by", info.made_by},
            {"file_system", info.file_system},
            {"device_bytes", info.device_size},
            {"block_bytes", info.block_size},
            {"total_blocks", info.total_blocks},
            {"used_blocks", info.used_blocks},
            {"checksum", info.checksum},
            {"blocks_per_checksum", info.blocks_per_checksum},
            {"checksums_restart", info.checksums_restart},
            {"checksums_cover_all", info.checksums_cover_all},
            {"delta", delta}};
}

std::string describe_checksums(const ImageInfo& info) {
    if (info.checksum == "none") {
        return "none: damage can't be told";
    }
    if (!info.checksums_cover_all) {
        return info.checksum +
               " of each block's first byte only, running: most damage can't be told";
    }
    return info.checksum + ", one for " + format_count(info.blocks_per_checksum) + " blocks" +
           (info.checksums_restart ? "" : ", running (can be checked in order only)");
}

void print_line(const char* what, const std::string& text) {
    std::cout << what << std::string(14 - std::string_view(what).size(), ' ') << text << "\n";
}

void print(const OpenDevice& opened) {
    const auto& info = opened.info;
    const auto parts = opened.files.parts.size();
    print_line("image", printable((opened.files.folder / opened.files.name).string()) + " (" +
                            (parts == 1 ? "1 part" : format_count(parts) + " parts") + ", " +
                            format_size(packed_size(opened.files)) + " packed)");
    print_line("codec", opened.codec);
    print_line("format", info.format + (info.made_by.empty() ? "" : ", by " + info.made_by));
    if (!info.file_system.empty()) {
        print_line("file system", printable(info.file_system));
    }
    print_line("partition",
               format_size(info.device_size) + " (" + format_count(info.device_size) + " bytes)");
    if (info.block_size != 0) {
        print_line("blocks", format_count(info.used_blocks) + " of " +
                                 format_count(info.total_blocks) + " used, " +
                                 format_count(info.block_size) + " bytes each");
    }
    const bool seldom = opened.codec == "none" && info.checksum != "none";
    print_line("checksums",
               describe_checksums(info) +
                   (seldom ? "; checked by verify and restore, not by each read" : ""));
    const auto state = opened.delta->state();
    if (state.exists) {
        print_line("delta", printable(opened.delta_folder.string()) + " (" +
                                format_size(state.stored_bytes) + ", " +
                                format_count(state.commits) + " commits)");
    }
}

}  // namespace

void add_info_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("json", "print one JSON document");
}

int info_command(const Arguments& arguments) {
    catch_interrupts();
    const auto opened = open_device(image_options(arguments), DeltaAccess::read_only, "imgfs info");
    if (arguments.has("json")) {
        print_json(describe(opened));
    } else {
        print(opened);
    }
    return done;
}

}  // namespace imgfs
