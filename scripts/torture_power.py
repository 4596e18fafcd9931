#!/usr/bin/env python3
"""The power fails below the host's file system; torture_power.py --help.

A delta stands on an ext4 on a disk whose writes and flushes qemu-storage-daemon records, while a file
of the mounted image is written and synced. Then the disk is made as it was at each flush, and
mounted: the delta must open, and show a round that was acknowledged by then or a later one."""

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
from torture_image import Failure, Image, must, run, wait_for  # noqa: E402

SIZE = 128 << 20
SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
FILE = "rounds"


class Recorder:
    """A loop device whose writes are recorded."""

    def __init__(self, work):
        self.log = os.path.join(work, "log.raw")
        export = os.path.join(work, "export.raw")
        disk = os.path.join(work, "disk.raw")
        for path, size in ((disk, SIZE), (self.log, 64 * SIZE), (export, 0)):
            with open(path, "wb") as file:
                file.truncate(size)
        self.daemon = subprocess.Popen([
            "qemu-storage-daemon",
            "--blockdev", f"driver=file,node-name=disk,filename={disk}",
            "--blockdev", f"driver=file,node-name=log,filename={self.log}",
            "--blockdev", "driver=blklogwrites,node-name=both,file=disk,log=log,log-sector-size=512",
            "--export", f"type=fuse,id=export,node-name=both,mountpoint={export},writable=on"],
            stdin=subprocess.DEVNULL)
        wait_for(lambda: os.path.getsize(export) == SIZE, 30, "qemu-storage-daemon exports nothing")
        self.device = must("losetup", "-f", "--show", export).strip()
        self.end = SECTOR

    def position(self):
        """Where the log ends now."""
        with open(self.log, "rb") as log:
            for entry in entries(log, self.end):
                self.end = entry.end
        return self.end

    def close(self):
        run("losetup", "-d", self.device)
        self.daemon.terminate()
        self.daemon.wait(30)


class Entry:
    """Of a log, in the layout of the kernel's dm-log-writes: a sector, and then what was written."""

    def __init__(self, log, at):
        log.seek(at)
        first, count, self.flags, _ = struct.unpack("<QQQQ", log.read(32))
        self.is_there = count or self.flags
        self.offset = first * SECTOR
        self.length = count * SECTOR
        self.data = at + SECTOR
        self.end = self.data + (0 if self.flags & DISCARD else self.length)

    def redo(self, log, disk):
        disk.seek(self.offset)
        if self.flags & DISCARD:
            disk.write(bytes(self.length))
        else:
            log.seek(self.data)
            disk.write(log.read(self.length))
        disk.flush()


def entries(log, at):
    """From there to the end, behind which there are zeros."""
    entry = Entry(log, at)
    while entry.is_there:
        yield entry
        entry = Entry(log, entry.end)


def replay(path, disk):
    """Makes `disk` as it was at each flush in turn; says where in the log that is."""
    with open(path, "rb") as log, open(disk, "r+b") as target:
        magic, _, _, sector = struct.unpack("<QQQI", log.read(28))
        if (magic, sector) != (MAGIC, SECTOR):
            raise Failure(f"{path} is no log of writes")
        for entry in entries(log, SECTOR):
            entry.redo(log, target)
            if entry.flags & (FLUSH | FUA):
                yield entry.end


class Power:
    def __init__(self, options):
        self.options = options
        self.host = os.path.join(options.work, "host")
        self.image = Image(options.imgfs, options.image, os.path.join(self.host, "delta"),
                           options.work)
        self.acknowledged = []  # of each round where the log ended when its sync had returned

    def write_rounds(self, recorder):
        """Half of them with seals between, and over several mounts."""
        for number in range(1, self.options.rounds + 1):
            if number % 10 == 1:
                self.image.mount()
            path = os.path.join(self.image.mountpoint, FILE)
            fd = os.open(path, os.O_CREAT | os.O_WRONLY)
            os.pwrite(fd, f"{number:08}".encode() * 4096, 0)
            os.fsync(fd)
            os.close(fd)
            self.acknowledged.append(recorder.position())
            if number % 7 == 0:
                self.image.must("seal", f"p{number}")
            if number % 10 == 0 or number == self.options.rounds:
                self.image.umount()

    def record(self):
        os.makedirs(self.host)
        recorder = Recorder(self.options.work)
        try:
            must("mke2fs", "-q", "-t", "ext4", "-F", recorder.device)
            must("mount", recorder.device, self.host)
            began = recorder.position()
            self.write_rounds(recorder)
            must("umount", self.host)
        finally:
            recorder.close()
        return began, recorder.log

    def judge(self, at, disk):
        """What the power cut left: in a copy, since a mount replays the journal."""
        copy = disk + ".copy"
        must("cp", "--sparse=always", disk, copy)
        must("mount", "-o", "loop", copy, self.host)
        try:
            needed = sum(position <= at for position in self.acknowledged)
            found = self.found_round()
            if not needed <= found <= self.options.rounds:
                raise Failure(f"round {found} is there, {needed} was acknowledged")
            self.image.mount("--read-write")
            self.image.umount()
            if self.found_round() != found:
                raise Failure("opened for writing it shows another round")
        finally:
            must("umount", self.host)

    def found_round(self):
        """0 if there is no delta yet."""
        if not os.path.exists(os.path.join(self.image.delta, "layers")):
            return 0
        self.image.restore()
        numbers = set(re.findall(r"\d{8}", run("debugfs", "-R", f"cat /{FILE}",
                                               self.image.disk).stdout))
        if len(numbers) > 1:
            raise Failure(f"several rounds are in one file: {numbers}")
        return int(numbers.pop()) if numbers else 0

    def run(self):
        began, log = self.record()
        disk = os.path.join(self.options.work, "replayed.raw")
        with open(disk, "wb") as file:
            file.truncate(SIZE)
        cuts = 0
        for at in replay(log, disk):
            if at >= began and cuts < self.options.cuts:
                cuts += 1
                try:
                    self.judge(at, disk)
                except Failure as failure:
                    raise Failure(f"cut {cuts}, at byte {at} of the log: {failure}") from failure
        shutil.rmtree(self.host)
        if not cuts:
            raise Failure("no flush was recorded")
        return f"{cuts} power cuts in {self.options.rounds} rounds"


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--imgfs", required=True, help="the program")
    parser.add_argument("--image", required=True, help="an image with an ext file system")
    parser.add_argument("--delta", help="not used: it stands on the disk that is recorded")
    parser.add_argument("--work", required=True, help="a folder for what is made on the way")
    parser.add_argument("--rounds", type=int, default=100, help="of writing and syncing")
    parser.add_argument("--cuts", type=int, default=10**6, help="the first so many flushes")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        print(Power(options_of(sys.argv[1:])).run())
    except Failure as failure:
        sys.exit(f"torture_power.py: {failure}")
