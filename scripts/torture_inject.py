#!/usr/bin/env python3
"""Kills imgfs at each of its system calls, or lets them fail, and judges what is left;
torture_inject.py --help.

strace does it. A seal, rollback, undo or prune is killed at the first, second, third ... call of each
kind that changes files, until it gets through; then all points that must stay are as they were, the
command does its work when it is run again, and nothing is left over. The daemon is killed in the same
way while a file is written and synced, and what was synced last must be there."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from torture_image import Failure, Image, must, run, wait_for  # noqa: E402

CALLS = ("pwrite64", "write", "fdatasync", "fsync", "rename", "unlink", "unlinkat", "ftruncate",
         "fallocate", "fchmod")
SYNCED = "synced"  # the file that is written and synced,
ROUNDS = 6  # so often


def traced(injection, command, paths=()):
    """`command` under strace; a call that isn't there on this machine is no error. Only calls on
    `paths` count, if there are any."""
    only = [word for path in paths for word in ("-P", os.path.realpath(path))]
    return ["strace", "-f", "-qq", "-o", "/dev/null", *only, "-e", f"inject=?{injection}", *command]


class Injector:
    def __init__(self, options):
        self.options = options
        self.image = Image(options.imgfs, options.image, options.delta, options.work)
        self.kept = os.path.join(options.work, "delta.kept")
        self.tried = 0

    # ---- commands on a delta that is not mounted

    def write_files(self, text):
        """A mount in which much is written over, so that there is something to merge."""
        self.image.mount()
        for name in ("a", "b"):
            path = os.path.join(self.image.mountpoint, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{text} in {name}\n" * 3000)
        self.image.umount()

    def prepare(self):
        """Three points and changes after them, of which a rollback has set others aside."""
        for name in ("one", "two", "three"):
            self.write_files(name)
            self.image.must("seal", name)
        self.write_files("aside")
        self.image.must("rollback", "three")
        self.write_files("now")
        shutil.copytree(self.image.delta, self.kept)

    def reset(self):
        shutil.rmtree(self.image.delta)
        shutil.copytree(self.kept, self.image.delta)

    def states(self):
        """The hash of each point, and, without a name, of what is there now."""
        return {name: self.image.hash_at(name) for name in [None, *self.image.points()]}

    def kill_each_call(self, name, *words):
        """`imgfs NAME` at each call; what may be there is what is there before it or after it."""
        self.reset()
        before = self.states()
        self.image.must(name, *words)
        after = self.states()
        for point in [None, *self.image.points()]:
            self.image.restore(point)
        for call in self.options.calls or CALLS:
            at = 1
            while at <= self.options.most and self.kill_at(call, at, name, *words):
                self.judge(f"{name} killed at {call} {at}", before, after)
                self.finish(f"{name} killed at {call} {at}", after, name, *words)
                at += 1

    def kill_at(self, call, at, name, *words):
        """True if the command was killed, false if it got through."""
        self.reset()
        done = run(*traced(f"{call}:signal=SIGKILL:when={at}", self.image.command(name, *words)))
        if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
            self.tried += 1
            return True
        if done.returncode != 0:
            raise Failure(f"{name}, not killed at {call} {at}: {done.stdout}")
        return False

    def judge(self, where, before, after):
        found = self.states()
        if found not in (before, after, {**before, **after}):
            raise Failure(f"{where}: points {list(found)} are neither as before nor as after")

    def finish(self, where, after, name, *words):
        """What was not done is done when it is run again; a rollback that was done isn't undone."""
        if name != "rollback" or self.states() != after:
            run(*self.image.command(name, *words))
        found = self.states()
        if found != after:
            raise Failure(f"{where}, run again: points {list(found)}, not {list(after)}, or others")
        self.image.mount()
        with open(os.path.join(self.image.mountpoint, "later"), "w", encoding="ascii") as file:
            file.write("the next writing open")
        self.image.umount()
        self.image.expect_no_leftovers()

    # ---- the daemon

    def start_daemon(self, injection, paths=()):
        self.reset()
        command = [self.options.imgfs, "mount", "-f", self.image.image, self.image.mountpoint,
                   "--delta", self.image.delta]
        daemon = subprocess.Popen(traced(injection, command, paths), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: daemon.poll() is not None or self.image.is_mounted(), 60,
                 "the daemon doesn't come up")
        return daemon

    def write_and_sync(self):
        """The rounds whose sync returned."""
        path = os.path.join(self.image.mountpoint, SYNCED)
        acknowledged = []
        for number in range(1, ROUNDS + 1):
            try:
                self.write_once(path, number)
                acknowledged.append(number)
            except OSError:
                pass
            if number == ROUNDS // 2:
                run(*self.image.command("seal", "half"))
        return acknowledged

    def write_once(self, path, number):
        if not self.image.is_mounted():
            raise OSError("the daemon is dead")
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            os.pwrite(fd, f"{number:08}".encode() * 2048, 0)
            os.fsync(fd)
        finally:
            try:
                os.close(fd)
            except OSError:
                pass

    def synced_number(self):
        """Which round the restored file is of; 0 if there is none."""
        self.image.restore()
        text = must("debugfs", "-R", f"cat /{SYNCED}", self.image.disk)
        numbers = set(re.findall(r"\d{8}", text))
        return int(numbers.pop()) if len(numbers) == 1 else 0 if not numbers else -1

    def kill_daemon_at_each_call(self):
        for call in self.options.calls or CALLS:
            at = 1
            while at <= self.options.most and self.daemon_killed_at(call, at):
                at += 1

    def daemon_killed_at(self, call, at):
        """True if it was killed, false if it got through."""
        daemon = self.start_daemon(f"{call}:signal=SIGKILL:when={at}")
        acknowledged = self.write_and_sync()
        if self.image.is_mounted():
            run(self.options.imgfs, "umount", self.image.mountpoint)
        status = self.wait_for_end(daemon)
        self.expect_synced(f"daemon killed at {call} {at}", acknowledged)
        self.tried += status != 0
        return status != 0

    def wait_for_end(self, daemon):
        try:
            status = daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            raise Failure("the daemon doesn't end") from None
        self.image.wait_until_gone()
        return status

    def expect_synced(self, where, acknowledged):
        """What was acknowledged last is there, or a later round; a new point is clean."""
        found = self.synced_number()
        last = acknowledged[-1] if acknowledged else 0
        if not last <= found <= ROUNDS:
            raise Failure(f"{where}: round {found} is there, {last} was acknowledged")
        if "half" in self.image.points():
            self.image.restore("half")

    # ---- calls of the daemon that fail

    def fail_each_call(self):
        for call, error in (("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"),
                            ("fallocate", "ENOSPC")):
            for at in range(1, self.options.most_failures + 1):
                self.daemon_failed_at(call, error, at)

    def daemon_failed_at(self, call, error, at):
        """Once, on a file of the delta. Nothing that isn't there is acknowledged."""
        where = f"{call} {at} fails with {error}"
        daemon = self.start_daemon(f"{call}:error={error}:when={at}", self.delta_files())
        came_up = self.image.is_mounted()
        acknowledged = self.write_and_sync()
        if came_up:
            self.expect_said(where, call, acknowledged)
            run(self.options.imgfs, "umount", self.image.mountpoint)
        if self.wait_for_end(daemon) == 0 and not came_up:
            raise Failure(f"{where}: the mount failed and says nothing of it")
        self.expect_synced(where, acknowledged)
        self.write_files("again")
        self.tried += 1

    def delta_files(self):
        names = ["layers", "layers.new", *(f"{number:06}.layer" for number in range(1, 10))]
        return [os.path.join(self.image.delta, name) for name in names]

    def expect_said(self, where, call, acknowledged):
        """After a failed sync of the store no sync returns; a store that has stopped says so."""
        if call == "fdatasync" and acknowledged != list(range(1, len(acknowledged) + 1)):
            raise Failure(f"{where}: {acknowledged} were acknowledged")
        status = self.image.status()
        stopped = not acknowledged or acknowledged[-1] != ROUNDS
        if stopped and (not status or not status["error"]):
            raise Failure(f"{where}: {acknowledged} were acknowledged, and imgfs status says no "
                          f"more: {status}")

    # ----

    def run(self, what):
        if what == "daemon":
            self.kill_daemon_at_each_call()
        elif what == "errors":
            self.fail_each_call()
        else:
            words = {"seal": ["four"], "rollback": ["one"], "undo": ["--undo"],
                     "prune": ["--keep-last", "1"]}[what]
            self.kill_each_call("rollback" if what == "undo" else what, *words)

    def run_all(self):
        self.prepare()
        counts = []
        for what in self.options.what:
            self.tried = 0
            self.run(what)
            counts.append(f"{what} {self.tried}")
        return ", ".join(counts)


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--imgfs", required=True, help="the program")
    parser.add_argument("--image", required=True, help="an image with an ext file system")
    parser.add_argument("--delta", required=True, help="where its changes go; must not exist")
    parser.add_argument("--work", required=True, help="a folder for what is made on the way")
    parser.add_argument("--calls", nargs="*", help="only these system calls")
    parser.add_argument("--most", type=int, default=10**6, help="of each call, the first so many")
    parser.add_argument("--most-failures", type=int, default=12, help="the same, for errors")
    parser.add_argument("--what", nargs="+", help="which, in this order",
                        choices=("seal", "rollback", "undo", "prune", "daemon", "errors"),
                        default=["seal", "rollback", "undo", "prune", "daemon", "errors"])
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        began = time.monotonic()
        print(f"{Injector(options_of(sys.argv[1:])).run_all()}, {time.monotonic() - began:.0f} s")
    except Failure as failure:
        sys.exit(f"torture_inject.py: {failure}")
