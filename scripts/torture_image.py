"""One image that is tortured: imgfs on it, and what must hold whatever happened.

Imported by the other torture_*.py. Whatever doesn't hold raises Failure."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time


class Failure(Exception):
    pass


def run(*command, **options):
    """Runs a command; its output with stderr in it. options: as subprocess.run."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          **options)


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Image:
    """An image, its delta's folder, and a work folder with a mountpoint and a place to restore to."""

    def __init__(self, imgfs, image, delta, work):
        self.imgfs = imgfs
        self.image = image
        self.delta = delta
        self.work = work
        self.mountpoint = os.path.join(work, "mnt")
        self.disk = os.path.join(work, "disk")
        os.makedirs(self.mountpoint, exist_ok=True)

    def command(self, name, *words):
        """The command line of imgfs NAME, on this image."""
        return [self.imgfs, name, self.image, *words, "--delta", self.delta]

    def must(self, name, *words):
        return must(*self.command(name, *words))

    # ---- mounted

    def mount(self, *options):
        self.must("mount", self.mountpoint, *options)

    def umount(self):
        must(self.imgfs, "umount", self.mountpoint)

    def status(self):
        """Of this mount, as imgfs status --json has it; None if there is none."""
        text = subprocess.run([self.imgfs, "status", "--json", self.mountpoint], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout
        mounts = json.loads(text).get("mounts") if text else None
        return mounts[0] if mounts else None

    def is_mounted(self):
        return os.path.realpath(self.mountpoint) in mountpoints()

    def wait_until_mounted(self, seconds=30):
        wait_for(lambda: self.is_mounted() and self.status(), seconds, "nothing is mounted")

    def wait_until_gone(self, seconds=30):
        wait_for(lambda: not self.is_mounted(), seconds, "a dead mount is left")

    def kill(self, pid, number=signal.SIGKILL):
        os.kill(pid, number)
        self.wait_until_gone()

    # ---- not mounted

    def hash_at(self, at=None):
        """Of the partition, which is restored to a file."""
        self.must("restore", self.disk, "--overwrite", *(["--at", at] if at else []))
        return file_hash(self.disk)

    def restore(self, at=None):
        """The same, found clean."""
        found = self.hash_at(at)
        must("e2fsck", "-fn", self.disk)
        return found

    def points(self):
        text = subprocess.run(self.command("points", "--json"), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout
        try:
            return [point["name"] for point in json.loads(text)["points"]]
        except (ValueError, KeyError):
            raise Failure(f"imgfs points: {run(*self.command('points')).stdout}") from None

    def expect_no_leftovers(self):
        """After a writing open: nothing but what `layers` names, and what may always be there."""
        names = set(os.listdir(self.delta))
        listed = set()
        if "layers" in names:
            with open(os.path.join(self.delta, "layers"), encoding="ascii") as file:
                text = file.read()
            if re.search("^gone ", text, re.M):
                raise Failure(f"what is gone is still named:\n{text}")
            listed = set(re.findall(r"\d{6,}\.layer", text))
        for name in names - {"layers", "lock", "index"}:
            layer = re.sub(r"\.map-\d+$", ".layer", name)
            if layer not in listed:
                raise Failure(f"{self.delta}/{name} is left over")
        if listed - names:
            raise Failure(f"missing: {listed - names}")


def mountpoints():
    with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split(" ")[1].encode("latin-1", "replace").decode("unicode_escape")
                for line in file]


def wait_for(condition, seconds, complaint):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failure(f"{complaint} after {seconds} s")
        time.sleep(0.005)
