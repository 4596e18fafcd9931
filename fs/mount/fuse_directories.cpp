// FUSE operations on directories.
#include <algorithm>
#include <cerrno>
#include <mutex>

#include "fs/mount/fuse_operations.h"
#include "fs/mount/mounted_view.h"

namespace imgfs {
namespace {

enum class Listing { names, names_and_attributes };

void opendir(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
    answer(request, [&](MountedView& mounted) {
        const auto handle = mounted.open_directory(inode_of(node));
        file->fh = handle;
        file->cache_readdir = mounted.directory(handle).kernel_caches ? 1 : 0;
        file->keep_cache = 1;
        if (fuse_reply_open(request, file) != 0) {
            mounted.close_directory(handle);  // the caller is gone, nobody will release it
        }
    });
}

void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    answer(request, [&](MountedView& mounted) {
        mounted.close_directory(file->fh);
        fuse_reply_err(request, 0);
    });
}

fuse_entry_param bare_entry(const DirectoryEntry& entry) {
    fuse_entry_param bare{};  // ino 0: the kernel looks the name up when somebody needs more
    bare.attr.st_ino = entry.inode;
    bare.attr.st_mode = entry.type;
    return bare;
}

/// With all attributes if that is safe. The kernel makes a name of it, so it must still be there:
/// if names in the directory have changed since the list was made, it gets none.
fuse_entry_param full_entry(const MountedView& mounted, const OpenDirectory& directory,
                            const DirectoryEntry& entry) {
    if (entry.name == "." || entry.name == ".." ||
        mounted.names_changed(directory.inode) != directory.names_changed) {
        return bare_entry(entry);
    }
    try {
        return entry_of(mounted.view().attributes(entry.inode));
    } catch (const std::exception&) {
        return bare_entry(entry);  // an error, or the waiting, is for whoever asks for this name
    }
}

void list(fuse_req_t request, const OpenDirectory& directory, uint64_t offset, Bytes& out,
          Listing listing) {
    const auto& mounted = mounted_view(request);
    size_t used = 0;
    for (uint64_t next = std::max(offset, directory.start) - directory.start;
         next < directory.entries.size(); ++next) {
        const auto& entry = directory.entries[next];
        auto* place = reinterpret_cast<char*>(out.data()) + used;
        const auto room = out.size() - used;
        const auto after = static_cast<off_t>(directory.start + next + 1);
        size_t size = 0;
        if (listing == Listing::names) {
            const auto bare = bare_entry(entry);
            size = fuse_add_direntry(request, place, room, entry.name.c_str(), &bare.attr, after);
        } else {
            const auto full = full_entry(mounted, directory, entry);
            size = fuse_add_direntry_plus(request, place, room, entry.name.c_str(), &full, after);
        }
        if (size > room) {
            break;
        }
        used += size;
    }
    out.resize(used);
}

void read_directory(fuse_req_t request, uint64_t handle, size_t size, off_t offset,
                    Listing listing) {
    answer(request, [&](MountedView& mounted) {
        Bytes out(size);
        {
            auto& directory = mounted.directory(handle);
            const std::lock_guard lock(directory.mutex);
            // The kernel may have had the first pieces in its cache, and asks for the rest only.
            const auto names_changed = mounted.names_changed(directory.inode);
            if (directory.entries.empty() || (offset == 0 && names_changed != 0)) {
                auto entries = mounted.view().entries(directory.inode);
                directory.start += directory.entries.size();
                directory.names_changed = names_changed;
                directory.entries = std::move(entries);
            }
            list(request, directory, static_cast<uint64_t>(offset), out, listing);
        }
        // After the answer the directory may be closed by another worker.
        fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), out.size());
    });
}

void readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
    read_directory(request, file->fh, size, offset, Listing::names);
}

void readdirplus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
    read_directory(request, file->fh, size, offset, Listing::names_and_attributes);
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& operations) {
    operations.opendir = opendir;
    operations.readdir = readdir;
    operations.readdirplus = readdirplus;
    operations.releasedir = releasedir;
}

}  // namespace imgfs
