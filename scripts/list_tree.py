#!/usr/bin/env python3
"""list_tree.py [--plain] DIR: one line for every file below DIR, to compare two trees with diff.

A line holds the path, type, mode, owner, and, by type, size and SHA-256 of the content, time to the
nanosecond, link target or device number, the other names of the same file, and all extended
attributes (ACLs are such). Left out are lost+found and what differs from one file system to the next:
inode numbers, and the sizes of directories. --plain leaves out what debugfs can't carry over as well:
set-uid bits, fractions of seconds, hard links, extended attributes, and devices, fifos and sockets
altogether.
"""

import hashlib
import os
import stat
import sys


def content_hash(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def entries(root):
    """The paths below root, relative, in order."""
    for folder, folders, files in os.walk(root, onerror=fail):
        folders.sort()
        at_top = folder == root
        if at_top and b"lost+found" in folders:
            folders.remove(b"lost+found")
        for name in folders + files:
            yield os.path.relpath(os.path.join(folder, name), root)


def fail(error):
    raise error


def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in names]


def describe(path, status, first_name, plain):
    """What stands on the line of a file behind its path."""
    kind = stat.S_IFMT(status.st_mode)
    mode = status.st_mode & ~(stat.S_ISUID | stat.S_ISGID) if plain else status.st_mode
    fields = [stat.filemode(mode), f"{status.st_uid}:{status.st_gid}"]
    if kind == stat.S_IFREG:
        fields += [str(status.st_size), content_hash(path)]
    elif kind == stat.S_IFLNK:
        fields.append(repr(os.readlink(path)))
    elif kind in (stat.S_IFBLK, stat.S_IFCHR):
        fields.append(f"{os.major(status.st_rdev)},{os.minor(status.st_rdev)}")
    if plain:
        # debugfs restores the times of files only.
        return fields + ([str(int(status.st_mtime))] if kind == stat.S_IFREG else [])
    fields.append(f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09d}")
    if kind != stat.S_IFDIR:
        fields.append(f"{status.st_nlink} links, first {first_name!r}")
    return fields + attributes(path)


def main():
    plain = "--plain" in sys.argv
    root = os.fsencode(sys.argv[-1])
    paths = sorted(entries(root))
    if not paths:
        sys.exit(f"{sys.argv[-1]}: nothing there")
    first_names = {}
    for path in paths:
        full = os.path.join(root, path)
        status = os.lstat(full)
        first = first_names.setdefault(status.st_ino, path)
        is_special = not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
                          or stat.S_ISLNK(status.st_mode))
        if not (plain and is_special):
            print(repr(path), *describe(full, status, first, plain))


if __name__ == "__main__":
    main()
