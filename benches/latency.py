#!/usr/bin/env python3
"""What a backup to a slow target costs the till: the latency of its commits, and how far its -wal grows.

    benches/latency.py [--journal wal|delete] [--lines N] [--rate BYTES] [--dir DIR]

A till books a receipt every 5 ms, synced, while a backup of it runs to a target that takes RATE bytes a second (1 MB by
default): ours, and what one would use instead. Its database has a write-ahead log, and then, in a second table, a
rollback journal. Prints tables in Markdown. Needs the release binary, the example
`till`, sqlite3, gzip, gcc and mkfs.vfat.
"""
import argparse
import contextlib
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / os.environ.get("PROFILE", "release")
BIN = RELEASE / "tillstick"
TILL = RELEASE / "examples/till"
PACE = 0.005
# Seconds after which a backup is given up: some begin anew at each sale.
PATIENCE = 120

SLOW_READER = """
import sys, time
rate, total, begun = float(sys.argv[1]), 0, time.monotonic()
while piece := sys.stdin.buffer.read1(65536):
    total += len(piece)
    time.sleep(max(0, begun + total / rate - time.monotonic()))
"""


class Clerk:
    """Books receipts until told to stop; knows how long each commit took."""

    def __init__(self, path):
        self.wal = pathlib.Path(f"{path}-wal")
        self.db = sqlite3.connect(path, isolation_level=None, timeout=60)
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("PRAGMA wal_autocheckpoint=1000")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def book(self, until):
        took, largest, next_at = [], 0, time.monotonic()
        while not until():
            begun = time.perf_counter()
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute(
                "INSERT INTO receipts(till, clerk, at, total_cents, payment)"
                " VALUES(1, 'Anna', datetime(), 1999, 'cash')"
            )
            self.db.execute("UPDATE products SET stock = stock - 1 WHERE id = 1 + abs(random() % 6000)")
            self.db.execute("COMMIT")
            took.append(time.perf_counter() - begun)
            # With a rollback journal there is none.
            largest = max(largest, self.wal.stat().st_size if self.wal.exists() else 0)
            next_at = max(next_at + PACE, time.monotonic() - PACE)
            time.sleep(max(0, next_at - time.monotonic()))
        return took, largest


def at(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] * 1000


def row(name, took, largest, seconds):
    took = sorted(took)
    times = f"{at(took, 0.5):.2f} | {at(took, 0.999):.1f} | {took[-1] * 1000:.1f}"
    print(f"| {name} | {seconds} | {len(took)} | {times} | {largest / 1e6:.1f} MB |", flush=True)


def measure(name, path, command, cwd, env=None):
    """Books while `command` runs; without one for ten seconds."""
    clerk = Clerk(path)
    with contextlib.closing(clerk.db):
        beside(name, clerk, command, cwd, env)


def beside(name, clerk, command, cwd, env):
    begun = time.monotonic()
    taken = lambda: time.monotonic() - begun
    if command is None:
        row(name, *clerk.book(lambda: taken() > 10), f"{10:.1f} s")
        return
    command = ["bash", "-o", "pipefail", "-c", command]
    env = {**os.environ, **(env or {})}
    child = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    took, largest = clerk.book(lambda: child.poll() is not None or taken() > PATIENCE)
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        row(name, took, largest, f"not done after {PATIENCE} s")
    else:
        row(name, took, largest, f"{'failed after ' if child.returncode else ''}{taken():.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", choices=["wal", "delete"], help="only this one")
    parser.add_argument("--lines", type=int, default=150_000)
    parser.add_argument("--rate", type=int, default=1_000_000)
    parser.add_argument("--dir", help="where the databases are made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as work:
        work = pathlib.Path(work)
        till, stick, shim = work / "till.db", work / "stick.img", work / "slow.so"
        subprocess.run([TILL, "make", till, str(args.lines)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, ROOT / "benches/slow.c", "-ldl"], check=True)
        with open(stick, "wb") as image:
            image.truncate(300 << 20)
        subprocess.run(["/usr/sbin/mkfs.vfat", "-F", "32", stick], check=True, stdout=subprocess.DEVNULL)
        (work / "slow.py").write_text(SLOW_READER)
        config = work / "tillstick.toml"
        config.write_text(
            f'customer = "1"\nbox = "kasse-1"\ntime_zone = "Europe/Berlin"\nstate = "{work}/state"\n'
            f'[primary]\ndir = "{work}/backups"\n[sources.kasse]\ntype = "sqlite"\npath = "{till}"\n'
        )
        slow = f"python3 {work}/slow.py {args.rate}"
        # With a rollback journal it would give up at once.
        shell = f"sqlite3 -cmd '.timeout 60000' {till}"
        to = lambda file: {"LD_PRELOAD": str(shim), "SLOW_FILE": str(file), "SLOW_RATE": str(args.rate)}
        backup = f"{BIN} --config {config} backup --stick {stick}"
        for journal in [args.journal] if args.journal else ["wal", "delete"]:
            subprocess.run(["sqlite3", till, f"PRAGMA journal_mode={journal}"], check=True, stdout=subprocess.DEVNULL)
            size = till.stat().st_size / 1e6
            print(f"\nA till of {size:.0f} MB (journal_mode={journal}), a target of {args.rate / 1e6:g} MB/s.\n")
            print("| | took | commits | median ms | p99.9 ms | max ms | -wal |\n|---|---|---|---|---|---|---|")
            measure("nothing runs beside it", till, None, work)
            measure("`tillstick backup --stick` to a slow stick", till, backup, work, to(stick))
            measure("`tillstick dump -o -` into a slow pipe", till, f"{BIN} dump sqlite:{till} -o - | {slow}", work)
            measure("`sqlite3 .dump \\| gzip` into a slow pipe", till, f"{shell} .dump | gzip | {slow}", work)
            copy = work / "copy.db"
            copy.unlink(missing_ok=True)
            copy.touch()
            measure("`sqlite3 .backup` to a slow stick", till, f"{shell} '.backup {copy}'", work, to(copy))


main()
