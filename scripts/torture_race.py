#!/usr/bin/env python3
"""Two writers at once on one delta, again and again; torture_race.py --help.

Both seal a recovery point of their own, or one mounts the image and writes while the other seals.
Each either does it or says that the delta is in use (status 4), at least one does it; whatever was
acknowledged is there, and the delta is sound."""

import argparse
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True
from torture_image import Failure, Image  # noqa: E402

IN_USE = 4


class Race:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.image = Image(options.imgfs, options.image, options.delta, options.work)
        self.points = set()
        self.refused = 0

    def start(self, *words):
        return subprocess.Popen(self.image.command(*words), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def change(self, number):
        path = os.path.join(self.image.mountpoint, "round")
        with open(path, "w", encoding="ascii") as file:
            file.write(str(number))
            os.fsync(file.fileno())

    def round(self, number):
        seals = [f"{number}-{racer}" for racer in range(2)]
        rivals = self.random.choice(([("seal", seals[0]), ("seal", seals[1])],
                                     [("mount", self.image.mountpoint, "--read-write"),
                                      ("seal", seals[1])]))
        racers = [(rival, self.start(*rival)) for rival in rivals]
        outcomes = [(rival, racer.communicate()[1], racer.returncode) for rival, racer in racers]
        for rival, said, status in outcomes:
            if status not in (0, IN_USE):
                raise Failure(f"imgfs {rival[0]}: status {status}: {said}")
            if rival[0] == "seal" and status == 0:
                self.points.add(rival[1])
            self.refused += status == IN_USE
        if all(status != 0 for _, _, status in outcomes):
            raise Failure(f"nobody won: {outcomes}")
        if self.image.is_mounted():
            self.change(number)
            self.image.umount()
        else:
            self.image.mount()
            self.change(number)
            self.image.umount()

    def judge(self):
        missing = self.points - set(self.image.points())
        if missing:
            raise Failure(f"points are missing: {missing}")
        self.image.must("verify")
        self.image.restore()
        self.image.expect_no_leftovers()
        self.image.must("prune", "--keep-last", "1")
        self.points = set(self.image.points())

    def run(self):
        self.image.mount()
        self.change(0)
        self.image.umount()
        for number in range(1, self.options.races + 1):
            try:
                self.round(number)
                if number % 20 == 0 or number == self.options.races:
                    self.judge()
            except Failure as failure:
                raise Failure(f"race {number}: {failure}") from failure
        return f"{self.options.races} races, {self.refused} refused as in use"


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--imgfs", required=True, help="the program")
    parser.add_argument("--image", required=True, help="an image with an ext file system")
    parser.add_argument("--delta", required=True, help="where its changes go; must not exist")
    parser.add_argument("--work", required=True, help="a folder for what is made on the way")
    parser.add_argument("--races", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        print(Race(options_of(sys.argv[1:])).run())
    except Failure as failure:
        sys.exit(f"torture_race.py: {failure}")
