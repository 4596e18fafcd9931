#include "cli/open_view.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdlib>

#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/image/raw_partition.h"
#include "fs/mount/control.h"
#include "fs/source/borrowed_source.h"
#include "fs/source/decode.h"
#include "fs/view/points_view.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

constexpr std::chrono::seconds kWaitForDaemon{30};

std::filesystem::path beside_image(const ImageFiles& files) {
    return files.folder / "imgfs" / files.name;
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// Where indexes go whose image's folder can't be written.
std::filesystem::path cache_folder() {
    if (const auto cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
        return std::filesystem::path(cache) / "imgfs";
    }
    if (::geteuid() == 0) {
        return "/var/cache/imgfs";
    }
    const auto home = environment("HOME");
    return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".cache/imgfs";
}

std::vector<std::filesystem::path> index_places(const ImageFiles& files) {
    std::vector places = {beside_image(files) / "index"};
    if (const auto cache = cache_folder(); !cache.empty()) {
        const auto path = std::filesystem::absolute(files.folder / files.name).string();
        places.push_back(cache / (hex(xxh3_128(bytes_of(path))) + ".index"));
    }
    return places;
}

/// As soon as the image is indexed.
std::function<Hash128()> content_of(const SeekIndex* index) {
    return
        [index] { return index != nullptr && index->known_size() ? index->content() : Hash128{}; };
}

/// What isn't compressed has nobody to vouch for it.
Vouching vouching_of(const SeekIndex* index) {
    if (index == nullptr) {
        return {};
    }
    return [index](uint64_t begin, uint64_t end) { return index->vouched(begin, end); };
}

/// What may be read by whoever may read the image.
mode_t readable_mode(const ImageFiles& files) {
    struct stat status {};
    return ::stat(files.parts.front().c_str(), &status) == 0 ? (status.st_mode & 0666) | 0600
                                                             : 0600;
}

/// When it was saved; 1970 if that can't be said.
timespec time_of_image(const ImageFiles& files) {
    struct stat status {};
    ::stat(files.parts.front().c_str(), &status);
    return status.st_mtim;
}

timespec timespec_of(std::chrono::system_clock::time_point time) {
    constexpr int64_t kSecond = 1'000'000'000;
    const int64_t ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
    return {.tv_sec = ns / kSecond, .tv_nsec = ns % kSecond};
}

}  // namespace

void add_delta_option(OptionTable& table) {
    table.add_options()("delta", po::value<std::string>()->value_name("DIR"),
                        "keep the changes in DIR (default: imgfs/NAME beside the image, or below "
                        "$IMGFS_DELTA_ROOT)");
}

void add_lock_option(OptionTable& table) {
    table.add_options()("break-lock",
                        "the delta's lock names another host, and nobody there writes it any more");
}

void add_image_options(OptionTable& table) {
    add_delta_option(table);
    table.add_options()("at", po::value<std::string>()->value_name("POINT"),
                        "as it was at that recovery point, or at the end of that day "
                        "(2026-11-20); base: the image as saved")(
        "cache-size", po::value<std::string>()->value_name("SIZE"),
        "memory for decoded data (default: 256M)");
}

ImageOptions image_options(const Arguments& arguments) {
    ImageOptions options;
    options.image = arguments.operands.front();
    options.delta = arguments.value("delta");
    options.at = arguments.value("at");
    if (arguments.has("break-lock")) {
        options.other_hosts = OtherHosts::overridden;
    }
    if (arguments.has("cache-size")) {
        try {
            options.cache_size = parse_size(arguments.value("cache-size"));
        } catch (const std::system_error& error) {
            throw UsageError("--cache-size: " + message_of(error));
        }
    }
    return options;
}

/// Anything could be the bytes of a partition: also a later part of an image.
void doubt_raw(const ImageFiles& files, const Partition& partition) {
    try {
        if (partition.info().format != "raw" || says_what_it_is(partition)) {
            return;
        }
    } catch (const std::system_error&) {
        return;  // whoever reads it is told
    }
    const auto part = parse_split_name(files.parts.front().filename().string());
    if (part && part->number == 1) {
        const auto before = files.folder / split_name({part->base, part->style, 0});
        fail(ENOENT, printable(before.string()) + ": this part of the image is missing, or " +
                         printable(files.parts.front().string()) +
                         " is no image: nothing in it says what it is");
    }
    say(printable(files.parts.front().string()) +
        ": taken for the bytes of a partition as they are, though nothing in them says what it is");
}

OpenImage open_image(const ImageOptions& options, const DamageReport& on_damage) {
    OpenImage image;
    image.files =
        locate_image(options.image, options.rescue ? MissingParts::named : MissingParts::refused);
    auto packed = open_parts(image.files);
    image.codec = codec_of(*packed);
    DecodeOptions decoding;
    decoding.index_files = index_places(image.files);
    decoding.index_mode = readable_mode(image.files);
    decoding.cache_size = options.cache_size;
    decoding.progress = terminal_progress("indexing " + printable(image.files.name) + " once");
    decoding.on_damage = options.rescue && !on_damage ? say : on_damage;
    for (const auto& gap : image.files.gaps) {
        decoding.on_damage(describe_gap(image.files, gap));
    }
    decoding.note = say;
    decoding.packed_identity = packed_identity(image.files);
    decoding.dense = options.dense_index;
    if (options.keep_index) {
        decoding.index_way_out =
            "make one of these folders writable, or name another one in "
            "XDG_CACHE_HOME, for mount too";
    }
    auto decoded = decode(std::move(packed), decoding);
    image.index = decoded.index;
    image.partition = open_partition(
        std::move(decoded.plain),
        {.check_strips = options.rescue ? CheckStrips::where_readable : options.check_strips,
         .vouching = vouching_of(decoded.index)});
    doubt_raw(image.files, *image.partition);
    return image;
}

std::filesystem::path delta_folder(const ImageOptions& options, const OpenImage& image) {
    if (!options.delta.empty()) {
        return options.delta;
    }
    const auto beside = beside_image(image.files);
    const auto root = environment("IMGFS_DELTA_ROOT");
    return root.empty() || std::filesystem::exists(beside / "layers")
               ? beside
               : std::filesystem::absolute(root) / hex(image.partition->identity());
}

OpenDevice open_device(const ImageOptions& options, DeltaAccess access, const std::string& use) {
    return open_device(open_image(options), options, access, use);
}

OpenDevice open_device(OpenImage image, const ImageOptions& options, DeltaAccess access,
                       const std::string& use) {
    OpenDevice opened;
    opened.info = image.partition->info();
    const auto identity = image.partition->identity();
    opened.delta_folder = delta_folder(options, image);
    opened.files = std::move(image.files);
    opened.codec = std::move(image.codec);
    opened.index = image.index;
    if (!options.delta.empty() && access == DeltaAccess::read_only &&
        !std::filesystem::exists(options.delta)) {
        fail(ENOENT, printable(options.delta) +
                         ": no delta is there (--delta); if nothing has been changed yet, leave "
                         "--delta out");
    }
    wait_for_ending_mount(opened.delta_folder, kWaitForDaemon);
    opened.delta = std::make_unique<DeltaStore>(DeltaOptions{.folder = opened.delta_folder,
                                                             .device_size = opened.info.device_size,
                                                             .identity = identity,
                                                             .content = content_of(image.index),
                                                             .access = access,
                                                             .at = options.at,
                                                             .use = use,
                                                             .other_hosts = options.other_hosts});
    opened.partition = std::move(image.partition);
    opened.device = std::make_unique<CowDevice>(std::make_unique<BorrowedSource>(*opened.partition),
                                                *opened.delta);
    opened.at = options.at;
    say(describe_delta(opened));
    return opened;
}

void refuse_own_files(const OpenDevice& opened, const std::filesystem::path& target) {
    std::error_code absent;
    const auto is_own = [&](const std::filesystem::path& own) {
        return std::filesystem::equivalent(own, target, absent);
    };
    if (std::ranges::any_of(opened.files.parts, is_own) ||
        std::filesystem::equivalent(std::filesystem::absolute(target).parent_path(),
                                    opened.delta_folder, absent)) {
        fail(EINVAL, printable(target.string()) +
                         ": belongs to the image that is read; choose another target");
    }
}

OpenState open_state(const OpenDevice& opened, const std::string& at) {
    OpenState state{.delta = opened.delta->at(at), .device = nullptr};
    state.device = std::make_unique<CowDevice>(std::make_unique<BorrowedSource>(*opened.partition),
                                               *state.delta);
    return state;
}

std::unique_ptr<View> open_points(const OpenDevice& opened) {
    struct PointOfView {
        OpenState state;
        std::unique_ptr<View> view;
    };
    std::vector<PointFolder> folders = {{"base", time_of_image(opened.files)}};
    for (const auto& point : opened.delta->points()) {
        folders.push_back({point.name, timespec_of(point.time)});
    }
    return make_points_view(folders, [&opened, folders](size_t number) {
        auto point = std::make_shared<PointOfView>();
        point->state = open_state(opened, folders[number].name);
        point->view = make_ext_view(*point->state.device, ViewAccess::read_only);
        return std::shared_ptr<View>(point, point->view.get());
    });
}

void check_image(const ImageOptions& options, const std::string& what) {
    const auto stop = [&](const std::string& line) {
        fail(EUCLEAN, line + "; " + what + " (imgfs verify finds the rest)");
    };
    open_image(options).partition->verify(stop, terminal_progress("checking"));
}

OpenView open_view(const ImageOptions& options, const std::string& use) {
    OpenView opened{.stack = open_device(options, DeltaAccess::read_only, use), .view = nullptr};
    opened.view = make_ext_view(*opened.stack.device, ViewAccess::read_only);
    return opened;
}

std::string describe_delta(const OpenDevice& device) {
    const auto state = device.delta->state();
    if (!state.exists) {
        return "no delta: the image as saved";
    }
    auto line = "delta: " + printable(device.delta_folder.string());
    const auto points = device.delta->points();
    if (!device.at.empty()) {
        return points.empty() ? line + ", at base: the image as saved"
                              : line + ", at " + points.back().name + ", made " +
                                    format_local(points.back().time);
    }
    if (!points.empty()) {
        line += ", " + format_count(points.size()) + (points.size() == 1 ? " point" : " points");
    }
    if (state.last_commit) {
        line += ", last change " + format_local(*state.last_commit);
    }
    return line;
}

}  // namespace imgfs
