#!/usr/bin/env python3
"""What it costs that a strange stick is read by a process of its own: all of that process, from its start to its end, on a
fresh FAT32 stick, and beside it a process of the same program that only says its version. In pairs; medians."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/tillstick"
PAIRS = 200
SIZE = 64 << 20
PROBE = [PROGRAM, "confined-probe", str(SIZE), "2000", str(4 << 20), "2500"]


def run(command, stick):
    with open(stick, "rb") as medium:
        begun = time.monotonic()
        child = subprocess.Popen(command, stdin=medium, stdout=subprocess.PIPE, env={})
        said = child.stdout.read()
        _, status = os.waitpid(child.pid, 0)
        took = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0 or not said:
        sys.exit(f"{command} ended with {child.returncode}")
    return took * 1000, said


def main():
    with tempfile.TemporaryDirectory() as folder:
        stick = os.path.join(folder, "stick.img")
        with open(stick, "wb") as image:
            image.truncate(SIZE)
        subprocess.run(["mkfs.vfat", "-F", "32", "-s", "1", stick], check=True, stdout=subprocess.DEVNULL)
        probes, starts = [], []
        for _ in range(PAIRS):
            probes.append(run(PROBE, stick))
            starts.append(run([PROGRAM, "--version"], stick))
    print(f"confined by: {probes[0][1].decode().split('found')[0]}")
    for name, runs in [("reads a stick", probes), ("says its version", starts)]:
        times = sorted(took for took, _ in runs)
        print(f"{name}: median {statistics.median(times):.2f} ms, 95 of 100 within {times[int(PAIRS * 0.95)]:.2f} ms")


main()
