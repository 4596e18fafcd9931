#!/usr/bin/env python3
"""Kills the daemon of a mounted image again and again while programs change files, and judges what is
left; torture_mix.py --help.

Each worker has a folder, and creates, writes, syncs, renames, unlinks and truncates files in it.
After each kill the partition is restored to a file. It must be clean; the names in all folders must
be those of one moment at or after the last sync that returned; what was synced must be there, or what
was written over it later. Then all goes on with what is there."""

import argparse
import errno
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from torture_image import Failure, Image, must  # noqa: E402
from torture_model import CELL, File, Names, cell, one_commit, version_of  # noqa: E402

TOP = "workers"
MOST_FILES = 12
MOST_CELLS = 160
DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT)


class Worker:
    """Changes one folder as long as it can; knows what must be there afterwards."""

    def __init__(self, number, seed):
        self.folder = f"{TOP}/{number}"
        self.random = random.Random(seed * 1000 + number)
        self.numbers = iter(range(number * 10**7 + 1, (number + 1) * 10**7))
        self.versions = 0
        self.counts = {"changes": 0, "syncs": 0, "reads": 0}
        self.files = {}  # by number: all since the last crash
        self.names = Names()
        self.synced_at = 0.0
        self.failure = None

    # ---- one step each

    def create(self):
        if len(self.names.now) < MOST_FILES:
            file = File(next(self.numbers))
            self.files[file.number] = file
            name = f"f{file.number % 100}"
            if name not in self.names.now:
                self.change_names({name: file.number}, lambda: os.close(os.open(
                    name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=self.fd)))
                self.write_to(name)

    def write(self):
        name = self.any_name()
        if name:
            self.write_to(name)

    def write_to(self, name):
        file = self.files[self.names.now[name]]
        with self.opened(name, os.O_WRONLY) as fd:
            for _ in range(self.random.randrange(1, 4)):
                self.write_once(file, fd)
            if self.random.random() < 0.5:
                self.sync_fd(fd, file)

    def write_once(self, file, fd):
        first = self.random.randrange(MOST_CELLS)
        count = self.random.choice((1, 3, 8, 40, 100))
        count = min(count, MOST_CELLS - first)
        self.versions += 1
        file.wrote(first, count, self.versions)
        content = b"".join(cell(file.number, self.versions, place)
                           for place in range(first, first + count))
        if os.pwrite(fd, content, first * CELL) != len(content):
            raise OSError(errno.EIO, "a short write")

    def sync(self):
        name = self.any_name()
        if name:
            with self.opened(name, os.O_RDONLY) as fd:
                self.sync_fd(fd, self.files[self.names.now[name]])

    def sync_fd(self, fd, file):
        began = time.monotonic()
        self.random.choice((os.fsync, os.fdatasync))(fd)
        file.synced()
        self.synced(began)

    def sync_folder(self):
        began = time.monotonic()
        os.fsync(self.fd)
        self.synced(began)

    def synced(self, began):
        self.synced_at = began
        self.counts["syncs"] += 1

    def truncate(self):
        name = self.any_name()
        if name:
            file = self.files[self.names.now[name]]
            cells = self.random.randrange(MOST_CELLS)
            with self.opened(name, os.O_WRONLY) as fd:
                file.truncated(cells)
                os.ftruncate(fd, cells * CELL)

    def rename(self):
        name = self.any_name()
        if name:
            other = f"r{self.random.randrange(6)}"
            if other != name:
                self.change_names({other: self.names.now[name], name: None}, lambda: os.rename(
                    name, other, src_dir_fd=self.fd, dst_dir_fd=self.fd))

    def unlink(self):
        name = self.any_name()
        if name:
            self.change_names({name: None}, lambda: os.unlink(name, dir_fd=self.fd))

    def unlink_open(self):
        name = self.any_name()
        if name:
            file = self.files[self.names.now[name]]
            with self.opened(name, os.O_WRONLY) as fd:
                self.change_names({name: None}, lambda: os.unlink(name, dir_fd=self.fd))
                self.write_once(file, fd)

    def read(self):
        name = self.any_name()
        file = self.files[self.names.now[name]] if name else None
        if file and file.now:
            first = self.random.randrange(len(file.now))
            count = self.random.randrange(len(file.now) - first) + 1
            with self.opened(name, os.O_RDONLY) as fd:
                content = os.pread(fd, count * CELL, first * CELL)
            if len(content) != count * CELL:
                raise OSError(errno.EIO, "a short read")
            expect_content(content, file, first, f"{self.folder}/{name}")
            self.counts["reads"] += 1

    # ---- what they share

    def any_name(self):
        return self.random.choice(sorted(self.names.now)) if self.names.now else None

    def opened(self, name, flags):
        return Descriptor(os.open(name, flags, dir_fd=self.fd))

    def change_names(self, files, action):
        change = self.names.begin(time.monotonic(), files)
        action()
        self.names.end(change, time.monotonic())
        self.counts["changes"] += 1

    def work(self, mountpoint, killed):
        """Until the daemon is dead; errors before `killed` is set are failures."""
        steps = [self.create] * 6 + [self.write] * 8 + [self.sync] * 3 + [self.read] * 4 + [
            self.sync_folder, self.truncate, self.truncate, self.rename, self.rename,
            self.rename, self.unlink, self.unlink, self.unlink_open]
        try:
            with Descriptor(os.open(os.path.join(mountpoint, self.folder), os.O_RDONLY)) as self.fd:
                while True:
                    self.random.choice(steps)()
        except OSError as error:
            if not killed.is_set() or error.errno not in DEAD:
                self.failure = f"{self.folder}: {error}"
        except Failure as failure:
            self.failure = str(failure)

    # ---- what is left

    def moments(self, tree):
        """When the folder was as it is in `tree`, by its names."""
        found = {}
        for name in os.listdir(os.path.join(tree, self.folder)):
            content = self.content(tree, name)
            numbers = {version_of(content[at:at + CELL], at // CELL)[0]
                       for at in range(0, len(content) // CELL * CELL, CELL)}
            numbers.discard(None)
            if len(numbers) > 1:
                raise Failure(f"{self.folder}/{name} holds several files: {numbers}")
            found[name] = numbers.pop() if numbers else None
        spans = self.names.moments(found)
        if not spans:
            raise Failure(f"{self.folder}: these files were never there at once: {found}")
        return spans

    def content(self, tree, name):
        with open(os.path.join(tree, self.folder, name), "rb") as file:
            return file.read()

    def go_on_with(self, tree, names):
        """Judges all files, and takes what was found for what is there."""
        self.files = {number: File(number, self.files[number].judge(
            self.content(tree, name), f"{self.folder}/{name}")) for name, number in names.items()}
        self.names = Names(names)


def expect_content(content, file, first, name):
    for place in range(first, first + len(content) // CELL):
        found = version_of(content[(place - first) * CELL:(place - first + 1) * CELL], place)
        if found[1] != file.now[place] or found[0] not in (None, file.number):
            raise Failure(f"{name}: cell {place} of {len(file.now)} is read as version {found[1]} "
                          f"of file {found[0]}, not {file.now[place]} of {file.number}")


class Descriptor:
    def __init__(self, fd):
        self.fd = fd

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        try:
            os.close(self.fd)
        except OSError:
            pass  # the daemon may be dead: what close() reports was never promised


class Mix:
    """Rounds of work, a kill and a judgement, on one image whose delta grows."""

    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.image = Image(options.imgfs, options.image, options.delta, options.work)
        self.workers = [Worker(number, options.seed) for number in range(options.workers)]
        self.hashes = {}  # of each recovery point
        self.sealed = 0
        self.pruned = 0
        self.began = time.monotonic()

    def prepare(self):
        self.image.mount()
        for worker in self.workers:
            os.makedirs(os.path.join(self.image.mountpoint, worker.folder))
        self.image.umount()

    def round(self, number):
        self.image.mount()
        pid = self.image.status()["pid"]
        killed = threading.Event()
        threads = [threading.Thread(daemon=True, target=worker.work, args=(self.image.mountpoint, killed))
                   for worker in self.workers]
        for thread in threads:
            thread.start()
        sealer = self.maybe_seal(number)
        time.sleep(self.random.uniform(0.02, self.options.longest))
        killed.set()
        self.image.kill(pid, signal.Signals[f"SIG{self.options.signal}"])
        for thread in [*threads, *sealer]:
            thread.join()
        failures = [worker.failure for worker in self.workers if worker.failure]
        if failures:
            raise Failure("\n".join(failures))
        self.judge()
        self.look_after_points(number)

    def maybe_seal(self, number):
        """Sometimes, so that the kill may hit it."""
        if self.random.random() > 0.2:
            return []
        thread = threading.Thread(daemon=True, target=self.seal_soon, args=(
            f"r{number}", self.random.uniform(0, self.options.longest)))
        thread.start()
        return [thread]

    def seal_soon(self, name, seconds):
        time.sleep(seconds)
        try:
            self.image.must("seal", name)
            self.hashes[name] = None
        except Failure:
            pass  # killed: the point may be there or not

    def judge(self):
        self.image.restore()
        tree = os.path.join(self.options.work, "tree")
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(tree)
        must("debugfs", "-R", f"rdump /{TOP} {tree}", self.image.disk)
        synced_at = max(worker.synced_at for worker in self.workers)
        chosen = one_commit([worker.moments(tree) for worker in self.workers], synced_at)
        if chosen is None:
            raise Failure("the folders are not of one commit at or after the last sync")
        for worker, names in zip(self.workers, chosen):
            worker.go_on_with(tree, names)
            worker.synced_at = 0.0

    def look_after_points(self, number):
        """Each point stays as it was when it was first looked at; now and then some are removed."""
        if number % 10 == 9:
            self.image.must("seal", f"s{number}")
            self.hashes[f"s{number}"] = None
        points = self.image.points()
        missing = self.hashes.keys() - set(points)
        if missing:
            raise Failure(f"points are missing: {missing}")
        self.sealed += len(set(points) - {name for name, found in self.hashes.items() if found})
        for name in points:
            self.hashes[name] = self.hashes.get(name) or self.image.restore(name)
        if number % 20 == 19:
            before = self.image.restore()
            self.image.must("prune", "--keep-last", "3")
            self.hashes = {name: self.hashes[name] for name in self.image.points()}
            self.pruned += 1
            self.expect_points_as_they_were()
            if self.image.restore() != before:
                raise Failure("a prune changed what is there now")
            self.image.expect_no_leftovers()

    def expect_points_as_they_were(self):
        for name, expected in self.hashes.items():
            if self.image.restore(name) != expected:
                raise Failure(f"point {name} is not what it was")

    def done(self, number):
        if self.options.seconds:
            return time.monotonic() - self.began >= self.options.seconds
        return number >= self.options.kills

    def run(self):
        self.prepare()
        number = 0
        while not self.done(number):
            try:
                self.round(number)
            except Failure as failure:
                raise Failure(f"kill {number + 1}: {failure}") from failure
            number += 1
        self.expect_points_as_they_were()
        totals = {what: sum(worker.counts[what] for worker in self.workers)
                  for what in self.workers[0].counts}
        return (f"{number} kills, {totals['changes']} changes of names, {totals['syncs']} syncs, "
                f"{totals['reads']} reads, {self.sealed} points, {self.pruned} prunes")


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--imgfs", required=True, help="the program")
    parser.add_argument("--image", required=True, help="an image with an ext file system")
    parser.add_argument("--delta", required=True, help="where its changes go; must not exist")
    parser.add_argument("--work", required=True, help="a folder for what is made on the way")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=int, help="go on so long, instead of --kills")
    parser.add_argument("--longest", type=float, default=0.5, help="seconds before a kill, at most")
    parser.add_argument("--signal", default="KILL", help="what the daemon gets (KILL)")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        print(Mix(options_of(sys.argv[1:])).run())
    except Failure as failure:
        sys.exit(f"torture_mix.py: {failure}")
