// The stack from an image's files to a view, built alike for every command.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cli/options.h"
#include "fs/image/image_files.h"
#include "fs/image/partition.h"
#include "fs/source/seek_index.h"
#include "fs/store/cow_device.h"
#include "fs/view/ext_view.h"

namespace imgfs {

struct ImageOptions {
    std::string image;  ///< as a person names it
    std::string delta;  ///< --delta; empty: beside the image, or below $IMGFS_DELTA_ROOT
    std::string at;     ///< --at: the state that is read; empty: with all changes
    OtherHosts other_hosts = OtherHosts::respected;
    uint64_t cache_size = 256 * kMiB;
    bool dense_index = false;
    bool keep_index = false;  ///< it is an error if the index can't be kept for others
    bool rescue = false;      ///< damaged or not: what can be read
    CheckStrips check_strips = CheckStrips::where_needed;  ///< if it isn't damaged
};

/// --delta, --at and --cache-size.
void add_image_options(OptionTable& table);
void add_delta_option(OptionTable& table);
/// --break-lock, of commands that write the delta.
void add_lock_option(OptionTable& table);
ImageOptions image_options(const Arguments& arguments);

struct OpenImage {
    ImageFiles files;
    std::string codec;
    const SeekIndex* index = nullptr;  ///< lives as long as the partition; see Decoded
    std::unique_ptr<Partition> partition;
};

/// Finds the parts, decodes (indexing in the background if need be) and recognises the format.
/// Reads that wait for the indexing pass show its progress.
OpenImage open_image(const ImageOptions& options, const DamageReport& on_damage = {});

/// Where its changes are kept.
std::filesystem::path delta_folder(const ImageOptions& options, const OpenImage& image);

/// The image's changes and everything above; destroyed from the top down.
struct OpenDevice {
    ImageFiles files;
    std::string codec;
    const SeekIndex* index = nullptr;  ///< lives as long as the device; see Decoded
    ImageInfo info;
    std::filesystem::path delta_folder;
    std::string at;  ///< the state that was asked for
    std::unique_ptr<Partition> partition;
    std::unique_ptr<DeltaStore> delta;
    std::unique_ptr<CowDevice> device;
};

/// `use` is told to whoever wants to write the same delta. Says on stderr which state this is.
OpenDevice open_device(const ImageOptions& options, DeltaAccess access, const std::string& use);
/// The same over an image that is open already.
OpenDevice open_device(OpenImage image, const ImageOptions& options, DeltaAccess access,
                       const std::string& use);

/// One more state of a device, beside it.
struct OpenState {
    std::unique_ptr<DeltaStore> delta;
    std::unique_ptr<CowDevice> device;
};

/// `opened`, read-only, must outlive it. ENOENT if there is no such point.
OpenState open_state(const OpenDevice& opened, const std::string& at);

/// All recovery points as folders, base the first; `opened`, read-only, must outlive the view.
std::unique_ptr<View> open_points(const OpenDevice& opened);

struct OpenView {
    OpenDevice stack;
    std::unique_ptr<View> view;
};

/// The files inside, read-only: for commands that don't mount.
OpenView open_view(const ImageOptions& options, const std::string& use);

/// Reads all of the image and checks it: for whoever must not begin what damage would end. Fails at
/// the first damaged place, saying that `what` isn't done: "nothing is restored".
void check_image(const ImageOptions& options, const std::string& what);

/// "delta: web1/imgfs/sda1.ext4-ptcl-img.gz, 3 points, last change 2026-11-20 02:00:14", "…, at
/// POINT, made 2026-11-20 02:00:14" or "no delta: the image as saved".
std::string describe_delta(const OpenDevice& device);

/// Fails with EINVAL if `target` is a part of the image or belongs to its delta: nothing may be
/// written over what is being read.
void refuse_own_files(const OpenDevice& opened, const std::filesystem::path& target);

}  // namespace imgfs
