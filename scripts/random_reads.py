#!/usr/bin/env python3
"""Reads 4 KiB at random places of a file; prints median and 99th percentile in milliseconds.

random_reads.py FILE COUNT SEED [REFERENCE]: what is read is compared with REFERENCE."""

import os
import random
import sys
import time

LENGTH = 4096

file = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
reference = os.open(sys.argv[4], os.O_RDONLY) if len(sys.argv) > 4 else None
size = os.fstat(file).st_size
places = random.Random(int(sys.argv[3]))
times = []
for _ in range(int(sys.argv[2])):
    offset = places.randrange(size - LENGTH) // LENGTH * LENGTH
    began = time.monotonic()
    found = os.pread(file, LENGTH, offset)
    times.append((time.monotonic() - began) * 1000)
    if reference is not None and found != os.pread(reference, LENGTH, offset):
        sys.exit(f"{sys.argv[1]}: wrong bytes at {offset}")
times.sort()
print(f"{times[len(times) // 2]:.2f} {times[len(times) * 99 // 100]:.2f}")
