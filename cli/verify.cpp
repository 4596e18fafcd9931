// imgfs verify: whether an image and its delta are whole.
#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <iostream>
#include <mutex>
#include <optional>
#include <set>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/transfer/damaged_files.h"
#include "fs/transfer/verify_delta.h"
#include "fs/view/ext_view.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

/// What verify found, in the order it was found.
struct Findings {
    std::optional<DataPart> data;  ///< that was read; nothing: the structure alone
    uint64_t checksums = 0;
    uint64_t image_bytes = 0;  ///< read of a part of the data
    VerifiedDelta delta;
    std::vector<std::string> damage;
    std::vector<std::string> files;  ///< that can't be read whole
    std::string checksum;            ///< the kind that the image has
    bool cover_all = true;

    bool reads_all() const { return data && data->of == 1; }
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

void check_image(const Partition& partition, const DamageReport& report, Findings& findings) {
    findings.checksum = partition.info().checksum;
    findings.cover_all = partition.info().checksums_cover_all;
    if (findings.reads_all()) {
        const auto stream_damage = read_stream(partition);
        findings.checksums = partition.verify(report, terminal_progress("verifying"));
        if (findings.damage.empty() && !stream_damage.empty()) {
            report(stream_damage);
        }
    } else if (findings.data) {
        findings.image_bytes = verify_stretch(partition, *findings.data, report,
                                              terminal_progress("verifying a part"));
    }
}

void name_damaged_files(const ImageOptions& options, const std::string& at, Findings& findings) {
    auto state = options;
    state.at = at;
    const auto opened = open_device(state, DeltaAccess::read_only, "imgfs verify");
    if (!has_ext_superblock(*opened.device)) {
        return;
    }
    const auto view = make_ext_view(*opened.device, ViewAccess::read_only);
    find_damaged_files(
        *view,
        [&](const std::string& path, const std::string&) {
            findings.files.push_back(at.empty() ? path : "at " + at + ": " + path);
        },
        terminal_progress("looking for damaged files"));
}

/// The newest state that shows the damaged block: a point's name, or empty for the present; nothing
/// if it is overwritten in all of them.
std::optional<std::string> newest_state_with(const StoredPiece& damaged, const DeltaStore& delta) {
    const auto layers = delta.layers();
    const auto points = delta.points();
    for (auto count = layers.size(); count > 0; --count) {
        const auto seen = layers.part(0, count).find(damaged.first_block, damaged.end()).front();
        if (seen.from == damaged.from && seen.record == damaged.record) {
            const bool is_now = count == layers.size();
            return is_now ? "" : points[count - 1].name;
        }
    }
    return std::nullopt;
}

void name_damaged_files(const ImageOptions& options, const DeltaStore& delta, Findings& findings) {
    std::set<std::string> states;
    for (const auto& damaged : findings.delta.damaged) {
        if (auto state = newest_state_with(damaged, delta)) {
            states.insert(std::move(*state));
        }
    }
    if (findings.delta.damaged.size() < findings.damage.size()) {
        states.insert("");  // the image's own damage shows in the present
    }
    for (const auto& state : states) {
        name_damaged_files(options, state, findings);
    }
}

Findings check(ImageOptions options, const std::optional<DataPart>& data) {
    Findings findings{.data = data};
    options.rescue = true;
    std::mutex reporting;  // the indexing pass reports on a thread of its own
    const auto report = [&](const std::string& line) {
        const std::lock_guard lock(reporting);
        findings.damage.push_back(line);
    };
    try {
        auto image = open_image(options, report);
        check_image(*image.partition, report, findings);
        const auto opened =
            open_device(std::move(image), options, DeltaAccess::read_only, "imgfs verify");
        findings.delta = verify_delta(*opened.delta, data, report, terminal_progress("the delta"));
        if (!findings.damage.empty()) {
            name_damaged_files(options, *opened.delta, findings);
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

std::optional<DataPart> wanted_data(const Arguments& arguments) {
    if (arguments.has("structure") + arguments.has("read-data") + arguments.has("subset") > 1) {
        throw UsageError("--structure, --read-data and --subset exclude each other");
    }
    if (arguments.has("structure")) {
        return std::nullopt;
    }
    DataPart part;
    if (arguments.has("subset")) {
        const auto text = arguments.value("subset");
        const auto* const end = text.data() + text.size();
        const auto [slash, error] = std::from_chars(text.data(), end, part.number);
        if (error != std::errc() || slash == end || *slash != '/') {
            part.number = 0;
        } else if (const auto of = std::from_chars(slash + 1, end, part.of);
                   of.ec != std::errc() || of.ptr != end) {
            part.number = 0;
        }
        if (part.number < 1 || part.number > part.of) {
            throw UsageError("--subset: '" + printable(text) +
                             "' is no part; the second of ten is 2/10");
        }
    }
    return part;
}

std::string scope_of(const Findings& findings) {
    if (!findings.data) {
        return "structure";
    }
    return findings.reads_all() ? "data"
                                : "subset " + std::to_string(findings.data->number) + "/" +
                                      std::to_string(findings.data->of);
}

void print_damage(const Findings& findings) {
    for (const auto& line : findings.damage) {
        std::cout << "damaged: " << line << "\n";
    }
    for (const auto& file : findings.files) {
        std::cout << "damaged file: " << printable(file) << "\n";
    }
}

void print_sound_image(const Findings& findings) {
    if (!findings.data) {
        std::cout << "sound: the structure; the data was not read (--read-data reads it)\n";
    } else if (!findings.reads_all()) {
        const bool can_tell = findings.checksum != "none" && findings.cover_all;
        std::cout << (can_tell ? "sound: " : "readable: ") << scope_of(findings) << ", "
                  << format_size(findings.image_bytes) << " of the image\n";
    } else if (findings.checksum == "none") {
        std::cout << "readable to the end; the image has no checksums of its data: damage there "
                     "can't be told\n";
    } else if (!findings.cover_all) {
        std::cout << "readable to the end; " << format_count(findings.checksums) << " checksums ("
                  << findings.checksum
                  << ") agree, but take in the first byte of each block only: other damage can't "
                     "be told\n";
    } else {
        std::cout << "sound: " << format_count(findings.checksums) << " checksums ("
                  << findings.checksum << ") agree\n";
    }
}

void print_sound_delta(const VerifiedDelta& delta) {
    if (delta.blocks > 0) {
        std::cout << "sound: " << format_count(delta.blocks) << " blocks of the delta\n";
    }
    if (delta.layers > 0) {
        std::cout << "sound: " << format_count(delta.layers)
                  << (delta.layers == 1 ? " layer, " : " layers, ") << format_count(delta.records)
                  << (delta.records == 1 ? " record\n" : " records\n");
    }
}

}  // namespace

void add_verify_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("read-data",
                        "read all data, of the image and of every recovery point, and "
                        "check each checksum (the default)")(
        "structure", "headers, lists and logs only: seconds")(
        "subset", po::value<std::string>()->value_name("N/M"),
        "the structure, and of the data the N-th of M parts")("json", "print one JSON document");
}

int verify_command(const Arguments& arguments) {
    catch_interrupts();
    const auto findings = check(image_options(arguments), wanted_data(arguments));
    const int status = findings.damage.empty() ? done : damage;
    if (arguments.has("json")) {
        print_json({{"scope", scope_of(findings)},
                    {"checksums", findings.checksums},
                    {"checksum", findings.checksum},
                    {"checksums_cover_all", findings.cover_all},
                    {"damage", findings.damage},
                    {"damaged_files", findings.files},
                    {"delta_layers", findings.delta.layers},
                    {"delta_records", findings.delta.records},
                    {"delta_blocks", findings.delta.blocks},
                    {"sound", findings.damage.empty()}});
        return status;
    }
    print_damage(findings);
    if (status == done) {
        print_sound_image(findings);
        print_sound_delta(findings.delta);
    }
    return status;
}

}  // namespace imgfs
