#!/usr/bin/env python3
"""Writes pieces of random bytes at random places of a file, with fsync.

random_writes.py FILE COUNT SYNC_EVERY SEED [LENGTH]: COUNT pieces of LENGTH (4096) bytes, fsync after each
SYNC_EVERY of them (0: at the end only)."""

import os
import random
import sys

name, count, sync_every, seed = sys.argv[1], *(int(argument) for argument in sys.argv[2:5])
length = int(sys.argv[5]) if len(sys.argv) > 5 else 4096
file = os.open(name, os.O_WRONLY)
size = os.fstat(file).st_size
places = random.Random(seed)
noise = os.urandom(16 << 20)
for number in range(1, count + 1):
    start = places.randrange(len(noise) - length)
    os.pwrite(file, noise[start : start + length], places.randrange(size // length) * length)
    if sync_every and number % sync_every == 0:
        os.fsync(file)
os.fsync(file)
