// imgfs info and imgfs verify: what an image is, and whether it is whole.
#include <cerrno>
#include <iostream>
#include <mutex>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/transfer/damaged_files.h"
#include "fs/transfer/verify_delta.h"
#include "fs/view/ext_view.h"

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

/// What verify found, in the order it was found.
struct Findings {
    uint64_t checksums = 0;
    uint64_t delta_blocks = 0;
    std::vector<std::string> damage;
    std::vector<std::string> files;  ///< that can't be read whole
    std::string checksum;            ///< the kind that the image has
    bool cover_all = true;
};

bool is_damage(const std::exception& error) {
    return errno_of(error) == EUCLEAN;
}

/// Why the packed stream can't be read to its end; empty if it can.
std::string read_stream(const Partition& partition) {
    try {
        partition.settle();
    } catch (const std::exception& error) {
        if (!is_damage(error)) {
            throw;
        }
        return message_of(error);
    }
    return {};
}

void name_damaged_files(const OpenDevice& opened, Findings& findings) {
    if (!has_ext_superblock(*opened.device)) {
        return;
    }
    const auto view = make_ext_view(*opened.device, ViewAccess::read_only);
    find_damaged_files(
        *view, [&](const std::string& path, const std::string&) { findings.files.push_back(path); },
        terminal_progress("looking for damaged files"));
}

Findings check(ImageOptions options) {
    Findings findings;
    options.rescue = true;
    std::mutex reporting;  // the indexing pass reports on a thread of its own
    const auto report = [&](const std::string& line) {
        const std::lock_guard lock(reporting);
        findings.damage.push_back(line);
    };
    try {
        auto image = open_image(options, report);
        const auto stream_damage = read_stream(*image.partition);
        findings.checksum = image.partition->info().checksum;
        findings.cover_all = image.partition->info().checksums_cover_all;
        findings.checksums = image.partition->verify(report, terminal_progress("verifying"));
        if (findings.damage.empty() && !stream_damage.empty()) {
            report(stream_damage);
        }
        const auto opened =
            open_device(std::move(image), options, DeltaAccess::read_only, "imgfs verify");
        if (findings.damage.empty()) {
            findings.delta_blocks = verify_delta(*opened.delta, report);
        }
        if (!findings.damage.empty()) {
            name_damaged_files(opened, findings);
        }
    } catch (const std::exception& error) {
        // Damage that is too deep to go on from; everything else is an image that can't be read.
        if (!is_damage(error)) {
            throw;
        }
        report(message_of(error));
    }
    return findings;
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

void add_verify_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("json", "print one JSON document");
}

int verify_command(const Arguments& arguments) {
    catch_interrupts();
    const auto findings = check(image_options(arguments));
    const int status = findings.damage.empty() ? done : damage;
    if (arguments.has("json")) {
        print_json({{"checksums", findings.checksums},
                    {"checksum", findings.checksum},
                    {"checksums_cover_all", findings.cover_all},
                    {"damage", findings.damage},
                    {"damaged_files", findings.files},
                    {"delta_blocks", findings.delta_blocks},
                    {"sound", findings.damage.empty()}});
        return status;
    }
    for (const auto& line : findings.damage) {
        std::cout << "damaged: " << line << "\n";
    }
    for (const auto& file : findings.files) {
        std::cout << "damaged file: " << printable(file) << "\n";
    }
    if (status == done && findings.checksum == "none") {
        std::cout << "readable to the end; the image has no checksums of its data: damage there "
                     "can't be told\n";
    } else if (status == done && !findings.cover_all) {
        std::cout
            << "readable to the end; " << format_count(findings.checksums) << " checksums ("
            << findings.checksum
            << ") agree, but take in the first byte of each block only: other damage can't be "
               "told\n";
    } else if (status == done) {
        std::cout << "sound: " << format_count(findings.checksums) << " checksums ("
                  << findings.checksum << ") agree\n";
    }
    if (status == done && findings.delta_blocks > 0) {
        std::cout << "sound: " << format_count(findings.delta_blocks) << " blocks of the delta\n";
    }
    return status;
}

}  // namespace imgfs
