#!/usr/bin/env python3
"""What the box writes to its own flash: while the agent has nothing to do, and for a backup. Needs root and a loop device.

    benches/flash.py [--lines N] [--idle SECONDS]

State and backups lie on an ext4 of their own, made for this; what the kernel wrote to it is what its block device counts. The database lies elsewhere.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--lines", type=int, default=400_000)
parser.add_argument("--idle", type=int, default=600, help="seconds to look on")
args = parser.parse_args()
BUILD = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
TOOL = os.environ.get("TILLSTICK", str(BUILD / "release/tillstick"))
TILL = BUILD / "debug/examples/till"
SECTOR = 512


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def written(device):
    """Bytes and requests written to the device so far, once the kernel has nothing left to write."""
    run("sync", "-f", mount)
    counts = pathlib.Path(f"/sys/block/{pathlib.Path(device).name}/stat").read_text().split()
    return int(counts[6]) * SECTOR, int(counts[4])


def told(what, before, after):
    print(f"{what}: {after[0] - before[0]} bytes in {after[1] - before[1]} requests", flush=True)


with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    image, mount, database = scratch / "flash", scratch / "state", scratch / "till.db"
    run(TILL, "make", database, str(args.lines))
    with open(image, "wb") as file:
        file.truncate(4 << 30)
    # Tables that are finished later would be writes of the file system's own.
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    mount.mkdir()
    device = run("losetup", "--find", "--show", image)
    try:
        run("mount", "-o", "noatime", device, mount)
        config = scratch / "tillstick.toml"
        config.write_text(
            f'customer = "104711"\nbox = "kasse-1"\ntime_zone = "Europe/Berlin"\nmode = "X"\nstate = "{mount}/state"\n'
            f'[primary]\ndir = "{mount}/backups"\nmin_free = "1MB"\n[agent]\nsocket = "{scratch}/sock"\n[schedule]\nenabled = false\n'
            f'[sources.kasse]\ntype = "sqlite"\npath = "{database}"\n'
        )
        tillstick = [TOOL, "--config", config, "-q"]
        for round in ("the first backup", "one of the same database", "a third one"):
            before = written(device)
            run(*tillstick, "backup")
            told(round, before, written(device))
        sizes = sorted(path.stat().st_size for path in mount.glob("backups/*/*.gz"))
        print(f"an artifact has {sizes[-1]} bytes", flush=True)
        agent = subprocess.Popen([TOOL, "--config", config, "agent"], stderr=subprocess.DEVNULL)
        try:
            time.sleep(10)
            before = written(device)
            time.sleep(args.idle)
            told(f"the agent in {args.idle} s with nothing to do (with one request that is this look itself)", before, written(device))
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait()
    finally:
        subprocess.run(["umount", mount], check=False)
        subprocess.run(["losetup", "--detach", device], check=False)
