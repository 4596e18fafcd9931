"""What a folder may hold after a crash, for one worker that changed it and knows what was synced.

A file is a row of cells of 512 bytes. Each cell says which file, version and place it is of and has a
checksum, so it can be judged by itself. A version of 0 is a cell of zeros."""

import random
import struct
import zlib

from torture_image import Failure

CELL = 512
HEADER = struct.Struct("<IIII")
FILLER = random.Random(1).randbytes(1 << 16)
ENDLESS = float("inf")


def cell(file, version, place):
    """The bytes of one cell. Each third version can be packed well."""
    length = CELL - HEADER.size
    at = (file * 7919 + version * 104729 + place * 613) % (len(FILLER) - length)
    filler = bytes([version & 255]) * length if version % 3 == 0 else FILLER[at:at + length]
    return HEADER.pack(file, version, place, zlib.crc32(filler)) + filler


def version_of(content, place):
    """Which file and version a cell is of; (None, 0) if it is of zeros."""
    if content.count(0) == CELL:
        return None, 0
    file, version, _, _ = HEADER.unpack_from(content)
    if content != cell(file, version, place):
        raise Failure(f"cell {place} is of no file: {content[:32].hex()} …")
    return file, version


class File:
    """What a file holds, and what it may hold after a crash: of each cell the version that was
    synced, and those since; as many cells as then, or as any time since."""

    def __init__(self, number, versions=()):
        self.number = number
        self.now = list(versions)
        self.synced()

    def synced(self):
        self.allowed = [{version} for version in self.now]
        self.sizes = {len(self.now)}

    def _grow(self, cells):
        self.now += [0] * (cells - len(self.now))
        self.allowed += [{0} for _ in range(cells - len(self.allowed))]

    def wrote(self, first, count, version):
        self._grow(first + count)
        for place in range(first, first + count):
            self.now[place] = version
            self.allowed[place].add(version)
        self.sizes.add(len(self.now))

    def truncated(self, cells):
        for place in range(cells, len(self.now)):
            self.allowed[place].add(0)
        del self.now[cells:]
        self._grow(cells)
        self.sizes.add(cells)

    def content(self, first, count):
        return b"".join(cell(self.number, self.now[place], place) if self.now[place] else bytes(CELL)
                        for place in range(first, first + count))

    def judge(self, content, name):
        """The versions that `content` is of, if a crash may leave it."""
        cells, rest = divmod(len(content), CELL)
        if rest or not min(self.sizes) <= cells <= max(self.sizes):
            raise Failure(f"{name}: {len(content)} bytes, and not of {sorted(self.sizes)} cells")
        versions = []
        for place in range(cells):
            file, version = version_of(content[place * CELL:(place + 1) * CELL], place)
            if file not in (None, self.number) or version not in self.allowed[place]:
                raise Failure(f"{name}: cell {place} is version {version} of file {file}, and not "
                              f"one of {sorted(self.allowed[place])} of {self.number}")
            versions.append(version)
        return versions


class Change:
    """To the names of a folder: `files` get other numbers, None takes a name away."""

    def __init__(self, began, files):
        self.began = began
        self.ended = ENDLESS
        self.files = files


class Names:
    """The files of one folder, and all changes to its names since the last crash."""

    def __init__(self, names=None):
        self.at_first = dict(names or {})
        self.now = dict(self.at_first)
        self.changes = []

    def begin(self, began, files):
        change = Change(began, files)
        self.changes.append(change)
        return change

    def end(self, change, ended):
        change.ended = ended
        self.now = applied(self.now, change)

    def moments(self, found):
        """The spans of time at which a commit has just the names in `found`, each with a file's
        number or None if it can't be told: [(began, ended, names)]."""
        spans = []
        names = self.at_first
        began = -ENDLESS
        for change in [*self.changes, None]:
            if fits(names, found):
                spans.append((began, change.ended if change else ENDLESS, names))
            if change:
                names = applied(names, change)
                began = change.began
        return spans


def applied(names, change):
    names = {**names, **change.files}
    return {name: file for name, file in names.items() if file is not None}


def fits(names, found):
    return names.keys() == found.keys() and all(
        number in (None, names[name]) for name, number in found.items())


def one_commit(spans_of_all, not_before):
    """One moment at which all folders are as they were found; the names of each at it."""
    starts = {not_before} | {began for spans in spans_of_all for began, _, _ in spans}
    for moment in sorted(start for start in starts if start >= not_before):
        chosen = [next((names for began, ended, names in spans if began <= moment <= ended), None)
                  for spans in spans_of_all]
        if None not in chosen:
            return chosen
    return None
