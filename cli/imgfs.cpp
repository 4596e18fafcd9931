// imgfs: compressed partition images as they are, read, mounted, mended and restored.
#include <malloc.h>

#include <array>
#include <filesystem>

#include "cli/commands.h"
#include "cli/mount_helper.h"
#include "cli/open_view.h"
#include "cli/terminal.h"

namespace imgfs {
namespace {

constexpr std::array kCommands = {
    Command{.name = "info",
            .operands = "IMAGE",
            .least_operands = 1,
            .most_operands = 1,
            .summary = "say what an image is",
            .description = "",
            .add_options = add_info_options,
            .run = info_command},
    Command{
        .name = "verify",
        .operands = "IMAGE",
        .least_operands = 1,
        .most_operands = 1,
        .summary = "read all of an image and its changes, and check all checksums",
        .description =
            "Exits with 3 if something is damaged, with 1 if the image can't be read. Damaged "
            "files are named, with the newest recovery point that shows the damage if it isn't in "
            "what is there now. Read in ten nights, --subset 1/10 to 10/10, all of it is read.",
        .add_options = add_verify_options,
        .run = verify_command},
    Command{
        .name = "index",
        .operands = "IMAGE",
        .least_operands = 1,
        .most_operands = 1,
        .summary = "make the seek index of an image ahead of time",
        .description =
            "The index says where decoding can start, so that any file can be read without "
            "unpacking what is before it. Whatever opens an image makes it in the background; "
            "made ahead of time, or gone on with after an interruption, nobody waits for it. It is "
            "kept beside the image, in imgfs/NAME, or else in $XDG_CACHE_HOME/imgfs (if that "
            "isn't set: /var/cache/imgfs for root, ~/.cache/imgfs for others); where neither "
            "can be written, this fails.",
        .add_options = add_index_options,
        .run = index_command},
    Command{.name = "ls",
            .operands = "IMAGE [PATH...]",
            .least_operands = 1,
            .most_operands = kAnyNumber,
            .summary = "list files in an image",
            .description = "",
            .add_options = add_list_options,
            .run = list_command},
    Command{.name = "cat",
            .operands = "IMAGE PATH...",
            .least_operands = 2,
            .most_operands = kAnyNumber,
            .summary = "print files out of an image",
            .description = "",
            .add_options = add_image_options,
            .run = cat_command},
    Command{.name = "cp",
            .operands = "IMAGE PATH... TARGET",
            .least_operands = 3,
            .most_operands = kAnyNumber,
            .summary = "copy files out of an image",
            .description =
                "Modes, times and hard links are kept, and, where the caller may set them, "
                "owners, device nodes and extended attributes.",
            .add_options = add_copy_options,
            .run = copy_command},
    Command{.name = "mount",
            .operands = "IMAGE MOUNTPOINT",
            .least_operands = 2,
            .most_operands = 2,
            .summary = "mount an image, read/write",
            .description =
                "Returns when the mount answers. What is changed goes to the delta; it is safe "
                "from a crash after fsync, imgfs sync, umount, and by itself within 5 seconds. "
                "Where the delta's folder can't be written the image is mounted read-only, and "
                "one line says so.\n\n"
                "Root's mounts and those with --allow-other check permissions. A user's own mount "
                "can be entered by nobody else and permits its owner everything, as fakeroot "
                "does.\n\n"
                "In /etc/fstab: /srv/web1/sda1 /mnt imgfs ro,noauto 0 0",
            .add_options = add_mount_options,
            .run = mount_command},
    Command{
        .name = "seal",
        .operands = "IMAGE NAME",
        .least_operands = 2,
        .most_operands = 2,
        .summary = "make a recovery point of what is there now",
        .description =
            "The changes so far never change again; mount --at NAME, and --at of the other "
            "commands, read the image as it is now. If the image is mounted read/write here, "
            "its daemon does it, and what programs have written so far is in the point. NAME is "
            "1 to 64 letters, digits, '.', '_' and '-'; base names the image as saved.",
        .add_options = add_seal_options,
        .run = seal_command},
    Command{.name = "points",
            .operands = "IMAGE",
            .least_operands = 1,
            .most_operands = 1,
            .summary = "list the recovery points: when, and what each added",
            .description = "",
            .add_options = add_points_options,
            .run = points_command},
    Command{.name = "rollback",
            .operands = "IMAGE POINT | IMAGE --undo",
            .least_operands = 1,
            .most_operands = 2,
            .summary = "go back to a recovery point; what came after it is set aside",
            .description =
                "The image must not be mounted. What was changed after POINT, and the points made "
                "since, are set aside until the next prune: --undo puts back what the last "
                "rollback set aside, and sets aside in its turn what has come since. A rollback "
                "to base goes back to the image as saved.",
            .add_options = add_rollback_options,
            .run = rollback_command},
    Command{.name = "prune",
            .operands = "IMAGE",
            .least_operands = 1,
            .most_operands = 1,
            .summary = "remove recovery points, and free their space",
            .description =
                "A point is kept if any of the --keep rules keeps it, as with restic and borg: "
                "--keep-daily 7 keeps the newest point of each of the last 7 days that have one. "
                "A rule that finds fewer keeps the oldest point as well. The newest point always "
                "stays. Each point that stays is as it was, whenever this is interrupted; the "
                "next prune goes on. What rollbacks have set aside goes, too. The image must not "
                "be mounted read/write.",
            .add_options = add_prune_options,
            .run = prune_command},
    Command{.name = "diff",
            .operands = "IMAGE [POINT [POINT]]",
            .least_operands = 1,
            .most_operands = 3,
            .summary = "say which files differ between two recovery points, or a point and now",
            .description =
                "Without a POINT: between the image as saved and now. A line a file: A added, C "
                "changed, D deleted, M only owner, mode, times, links or attributes changed, R "
                "renamed. Times of access don't count, nor do a directory's times. What a renamed "
                "directory holds isn't listed. Each POINT may be a date, or base. For ext2, ext3 "
                "and ext4. Exits with 3 if anything differs.",
            .add_options = add_diff_options,
            .run = diff_command},
    Command{.name = "export",
            .operands = "IMAGE POINT FILE",
            .least_operands = 3,
            .most_operands = 3,
            .summary = "write what a recovery point added into one file",
            .description =
                "For an archive, or for imgfs import on a copy of the image. All of it is "
                "read and checked before.",
            .add_options = add_export_options,
            .run = export_command},
    Command{.name = "import",
            .operands = "IMAGE FILE",
            .least_operands = 2,
            .most_operands = 2,
            .summary = "add a recovery point that was exported, to a copy of the image",
            .description =
                "The newest state here must be the one that the point was made over. The "
                "image must not be mounted read/write.",
            .add_options = add_import_options,
            .run = import_command},
    Command{.name = "umount",
            .operands = "MOUNTPOINT | --all",
            .least_operands = 0,
            .most_operands = 1,
            .summary = "commit and unmount",
            .description = "Returns when the last commit is safe, and fails if it wasn't. Exits "
                           "with 4 if files there are in use; they stay mounted.",
            .add_options = add_umount_options,
            .run = umount_command},
    Command{.name = "sync",
            .operands = "MOUNTPOINT",
            .least_operands = 1,
            .most_operands = 1,
            .summary = "commit what was changed, now",
            .description = "",
            .add_options = nullptr,
            .run = sync_command},
    Command{.name = "status",
            .operands = "[MOUNTPOINT]",
            .least_operands = 0,
            .most_operands = 1,
            .summary = "show what is mounted, and how it is",
            .description = "",
            .add_options = add_status_options,
            .run = status_command},
    Command{.name = "restore",
            .operands = "IMAGE TARGET",
            .least_operands = 2,
            .most_operands = 2,
            .summary = "write the partition, with its changes, to a disk or a file",
            .description =
                "A block device must be large enough and not in use; its name is asked for unless "
                "--yes is given. A file becomes sparse and appears when it is complete.",
            .add_options = add_restore_options,
            .run = restore_command},
    Command{.name = "flatten",
            .operands = "IMAGE OUT",
            .least_operands = 2,
            .most_operands = 2,
            .summary = "write an ordinary image, with the changes in it",
            .description =
                "OUT is what partclone would have saved now: partclone.restore (zstd -dc OUT | "
                "partclone.restore -s - -o DISK) and Clonezilla restore it. It is packed in many "
                "small pieces, so that any file in it is read quickly. --at base only converts the "
                "image.\n\n"
                "Of ext2, ext3 and ext4 the blocks are saved that the file system uses; of others, "
                "and where its journal has not been replayed, those that the image has and those "
                "that were changed.",
            .add_options = add_flatten_options,
            .run = flatten_command},
};

constexpr Program kProgram = {
    .name = "imgfs",
    .summary = "compressed partition images, mounted read/write without unpacking",
    .description =
        "IMAGE is what Clonezilla or partclone wrote, compressed or not, split or not: any of its "
        "parts, its name without the split suffix, or FOLDER/PARTITION of a Clonezilla folder "
        "(web1/sda1). It is never changed. What is written goes to a delta beside it, "
        "imgfs/NAME in the same folder, or where --delta or $IMGFS_DELTA_ROOT says.",
    .commands = kCommands,
    .exit_statuses = "0 done\n1 failed\n2 wrong usage\n3 damage or a difference found\n4 in use",
};

}  // namespace
}  // namespace imgfs

int main(int argc, char** argv) {
    imgfs::allow_many_descriptors();
    // Decoded segments come and go in megabytes: each its own mapping, given back when it is freed,
    // or the heap keeps the holes between them. (Setting it also stops glibc from raising it by
    // itself.)
    ::mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    const auto called = std::filesystem::path(argv[0]).filename();
    if (called != "mount.imgfs") {
        return imgfs::run_program(imgfs::kProgram, argc, argv);
    }
    try {
        auto words = imgfs::mount_helper_words({argv + 1, argv + argc});
        words.insert(words.begin(), called);
        std::vector<char*> line;
        line.reserve(words.size());
        for (auto& word : words) {
            line.push_back(word.data());
        }
        return imgfs::run_program(imgfs::kProgram, static_cast<int>(line.size()), line.data());
    } catch (const imgfs::UsageError& error) {
        imgfs::say(error.what());
        return imgfs::usage;
    }
}
