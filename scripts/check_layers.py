#!/usr/bin/env python3
"""Checks that the layers of the program use only what stands below them.

Reads every #include of the C++ files and the layer() lines of CMakeLists.txt, and compares them with
the tables here. Prints one line a violation and exits with 1 if there is any. Tests itself first, on
small trees with planted violations.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What each layer may include besides itself: folders, or single headers.
MAY_INCLUDE = {
    "fs/base": [],
    "fs/source": ["fs/base"],
    "fs/image": ["fs/base", "fs/source"],
    "fs/store": ["fs/base", "fs/source"],
    "fs/view": ["fs/base", "fs/source", "fs/store"],
    "fs/mount": ["fs/base", "fs/view"],
    "fs/transfer": ["fs/base", "fs/source", "fs/image", "fs/store", "fs/view"],
    "sync": ["fs/base", "fs/view/view.h"],
    "cli": ["fs/base", "fs/source", "fs/image", "fs/store", "fs/view", "fs/mount", "fs/transfer",
            "sync"],
    "tests/support": ["fs/base", "fs/source", "fs/store", "fs/view/view.h"],
    "tests/fuzz": ["fs/base", "fs/source", "fs/image", "tests/support"],
}

# Headers of libraries: pattern, the layers that own it, the library's names in CMakeLists.txt.
LIBRARIES = [
    (r"xxhash\.h", ["fs/base"], ["PkgConfig::xxhash"]),
    # The decoder is fs/source's; fs/base takes only CRC-32 from it.
    (r"zlib\.h", ["fs/source", "fs/base"], ["ZLIB::ZLIB"]),
    (r"(isa-l|isa-l/.*|igzip_lib)\.h", ["fs/source"], ["PkgConfig::isal"]),
    (r"zstd(_errors)?\.h", ["fs/source"], ["PkgConfig::zstd"]),
    (r"lzma\.h", ["fs/source"], ["PkgConfig::lzma"]),
    (r"bzlib\.h", ["fs/source"], ["BZip2::BZip2"]),
    (r"lz4(frame)?\.h", ["fs/source"], ["PkgConfig::lz4"]),
    (r"lzo/.*", ["fs/source"], ["PkgConfig::lzo"]),
    (r"(ext2fs|et)/.*", ["fs/view"], ["PkgConfig::ext2fs"]),
    (r"fuse(3/.*|_lowlevel\.h|\.h)", ["fs/mount"], ["PkgConfig::fuse3"]),
    (r"librsync\.h", ["sync"], ["${LIBRSYNC}"]),
    (r"boost/program_options.*", ["cli"], ["Boost::program_options"]),
    (r"nlohmann/.*", ["cli", "fs/mount"], ["nlohmann_json::nlohmann_json"]),
    (r"g(test|mock)/.*", ["tests"], ["GTest::gtest_main"]),
]
EVERYBODYS_LIBRARIES = ["Threads::Threads"]

# The C++ library, C's and the kernel's headers, which everybody may include.
SYSTEM_HEADER = re.compile(
    r"[a-z_0-9]+|(sys|linux|netinet|arpa|net|asm|bits)/[\w/]+\.h|"
    r"(dirent|dlfcn|endian|errno|fcntl|fnmatch|glob|grp|libgen|limits|malloc|mntent|netdb|paths|poll|pthread|pwd|"
    r"sched|signal|spawn|stddef|stdint|stdio|stdlib|string|syslog|termios|time|unistd|utime)\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
LAYER_LINE = re.compile(r"^layer\(\s*(\S+?)(?:\s+ON\s+([^)]*))?\)", re.MULTILINE)


def layer_of(path):
    """The layer that a file is in; tests/X for the tests of X; None if it is in no layer."""
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    inner = folder.removeprefix("tests/")
    if folder in MAY_INCLUDE:
        return folder
    if folder.startswith("tests/") and (inner in MAY_INCLUDE or inner == "system"):
        return folder
    return None


def allowed_folders(layer):
    """What the files of a layer may include: folders and single headers."""
    if layer in MAY_INCLUDE:
        return [layer, *MAY_INCLUDE[layer]]
    tested = "cli" if layer == "tests/system" else layer.removeprefix("tests/")
    return [layer, "tests/support", tested, *MAY_INCLUDE[tested]]


def own_include_is_allowed(layer, included):
    folder = included.rsplit("/", 1)[0]
    return folder in allowed_folders(layer) or included in allowed_folders(layer)


def library_include_is_allowed(layer, included):
    for pattern, owners, _ in LIBRARIES:
        if re.fullmatch(pattern, included):
            users = allowed_folders(layer) if layer.startswith("tests/") else [layer]
            return (layer.startswith("tests/") and "tests" in owners) or any(
                user in owners for user in users)
    return SYSTEM_HEADER.fullmatch(included) is not None


def check_file(path, text):
    """The violations of one C++ file."""
    layer = layer_of(path)
    if layer is None:
        yield f"{path}: stands in no layer that scripts/check_layers.py knows"
        return
    for match in INCLUDE.finditer(text):
        own, library = match.groups()
        line = text.count("\n", 0, match.start(1 if own else 2)) + 1
        if own and not own_include_is_allowed(layer, own):
            yield f"{path}:{line}: {layer} may not include {own}"
        if library and not library_include_is_allowed(layer, library):
            yield f"{path}:{line}: <{library}> does not belong to {layer}"


def check_links(text):
    """The violations of the layer() lines of CMakeLists.txt."""
    above = [layer for layer in MAY_INCLUDE if not layer.startswith("tests/")]
    for layer, links in LAYER_LINE.findall(text):
        if layer not in above:
            yield f"CMakeLists.txt: layer({layer}) is unknown, or stands there twice"
            continue
        above.remove(layer)
        for link in links.split():
            if not link_is_allowed(layer, link, above):
                yield f"CMakeLists.txt: {layer} may not link {link}"
    for layer in above:
        yield f"CMakeLists.txt: layer({layer}) is missing"


def link_is_allowed(layer, link, above):
    linked = next((other for other in MAY_INCLUDE if other.replace("/", "_") == link), None)
    if linked is not None:
        return linked not in above and linked in MAY_INCLUDE[layer]
    owners = [owners for _, owners, names in LIBRARIES if link in names]
    return link in EVERYBODYS_LIBRARIES or any(layer in some for some in owners)


def check_tree(root, paths):
    for path in paths:
        if path.endswith((".h", ".cpp")):
            yield from check_file(path, (root / path).read_text(encoding="utf-8"))
    yield from check_links((root / "CMakeLists.txt").read_text(encoding="utf-8"))


# Planted violations: a file, its text, and what must be said of it ("" if it keeps the rules).
PLANTED = [
    ("fs/base/good.h", "#include <xxhash.h>\n#include <vector>\n#include <sys/stat.h>\n", ""),
    ("fs/store/up.cpp", '\n#include "fs/view/view.h"\n', ":2: fs/store may not include fs/view"),
    ("fs/store/side.cpp", '#include "fs/image/x.h"\n', "fs/store may not include fs/image"),
    ("fs/image/thief.cpp", "#include <zlib.h>\n", "<zlib.h> does not belong to fs/image"),
    ("fs/mount/thief.h", "  #  include <ext2fs/ext2fs.h>\n", "does not belong to fs/mount"),
    ("fs/base/stranger.h", "#include <openssl/sha.h>\n", "does not belong to fs/base"),
    ("sync/interface.h", '#include "fs/view/view.h"\n', ""),
    ("sync/body.h", '#include "fs/view/ext_view.h"\n', "sync may not include fs/view/ext_view.h"),
    ("fs/base/tested.cpp", "#include <gtest/gtest.h>\n", "does not belong to fs/base"),
    ("fs/new/thing.h", "", "stands in no layer"),
    ("cli/all.cpp", '#include "sync/push.h"\n#include <boost/program_options.hpp>\n', ""),
    ("tests/fs/view/x_test.cpp", '#include "fs/store/a.h"\n#include <ext2fs/ext2fs.h>\n', ""),
    ("tests/fs/store/x_test.cpp", '#include "fs/view/view.h"\n', "tests/fs/store may not include"),
    ("tests/system/x_test.cpp", '#include <gtest/gtest.h>\n#include "tests/support/s.h"\n', ""),
]
GOOD_LINKS = """layer(fs/base ON PkgConfig::xxhash Threads::Threads)
layer(fs/source ON fs_base ZLIB::ZLIB)
layer(fs/image ON fs_source)
layer(fs/store ON fs_source)
layer(fs/view ON fs_store PkgConfig::ext2fs)
layer(fs/mount ON fs_view PkgConfig::fuse3)
layer(fs/transfer ON fs_image fs_view)
layer(sync ON fs_base ${LIBRSYNC})
layer(cli ON fs_mount fs_transfer sync)
"""
PLANTED_LINKS = [
    (GOOD_LINKS, ""),
    (GOOD_LINKS.replace("fs/base ON", "fs/base ON fs_source"), "fs/base may not link fs_source"),
    (GOOD_LINKS.replace("fs/store ON", "fs/store ON fs_view"), "fs/store may not link fs_view"),
    (GOOD_LINKS.replace("fs/image ON", "fs/image ON ZLIB::ZLIB"), "may not link ZLIB::ZLIB"),
    (GOOD_LINKS.replace("layer(cli ON fs_mount fs_transfer sync)\n", ""), "layer(cli) is missing"),
    (GOOD_LINKS + "layer(fs/other)\n", "layer(fs/other) is unknown"),
]


def test_itself():
    """Fails unless every planted violation is found, and nothing is said where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        trials = [(GOOD_LINKS, [(path, text)], said) for path, text, said in PLANTED]
        trials += [(links, [], said) for links, said in PLANTED_LINKS]
        for links, files, said in trials:
            (root / "CMakeLists.txt").write_text(links, encoding="utf-8")
            for path, text in files:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            found = list(check_tree(root, [path for path, _ in files]))
            as_planned = said in found[0] if said and found else not said and not found
            if not as_planned:
                sys.exit(f"check_layers.py is broken: {files or links}: expected '{said}', found {found}")


def main():
    test_itself()
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "-C", root, "-c", f"safe.directory={root}", "ls-files", "--cached", "--others",
         "--exclude-standard", "*.h", "*.cpp"],
        check=True, capture_output=True, text=True).stdout.split("\n")
    paths = [path for path in listed if path and (root / path).exists()]
    violations = list(check_tree(root, paths))
    print("\n".join(violations) or f"{len(paths)} files keep the layers")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
