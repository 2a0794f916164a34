#!/usr/bin/env python3
"""Dump and load side by side with what one would use instead: paired runs, medians, ratios.

    benches/dump.py [--lines N] [--runs N] [--big LINES] [--dir DIR]

Each pair runs A, B, A, B, ... so that a machine whose speed drifts does both alike. Prints a table in Markdown.
Needs the release binary and the example `till`, sqlite3, gzip, pigz and restic.
"""
import argparse
import filecmp
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
BIN = RELEASE / "tillstick"
TILL = RELEASE / "examples/till"


class Cost:
    """Wall and CPU seconds and the largest process in MiB, as the kernel counted them."""

    def __init__(self, command, cwd):
        begun = time.monotonic()
        child = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], cwd=cwd, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        self.wall = time.monotonic() - begun
        if status != 0:
            raise SystemExit(f"failed: {command}")
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss / 1024


def pair(ours, theirs, cwd, runs):
    """Medians of the ratios ours/theirs of wall and CPU time, and our peak memory and wall time."""
    Cost(ours, cwd), Cost(theirs, cwd)
    costs = [(Cost(ours, cwd), Cost(theirs, cwd)) for _ in range(runs)]
    return (
        statistics.median(a.wall / b.wall for a, b in costs),
        statistics.median(a.cpu / b.cpu for a, b in costs),
        max(a.rss for a, _ in costs),
        statistics.median(a.wall for a, _ in costs),
    )


def row(name, result, goal="", extra=""):
    wall, cpu, rss, seconds = result
    print(f"| {name} | {wall:.3f} | {cpu:.3f} | {seconds:.2f} s | {rss:.1f} MiB | {goal} | {extra} |", flush=True)


def size(path):
    return os.stat(path).st_size


def new_bytes(before, after, database, cwd):
    """The share of the new artifact that is not in the one before."""
    text = subprocess.run([BIN, "--json", "dump", f"sqlite:{database}", "-o", after, "--reuse", before, "--level", "6"],
                          cwd=cwd, check=True, capture_output=True, text=True).stdout
    report = json.loads(text)
    return report["new_bytes"] / report["size"]


def measure(args, cwd):
    subprocess.run([TILL, "make", "till.db", str(args.lines)], cwd=cwd, check=True)
    print(f"database {size(cwd / 'till.db') / 1e6:.0f} MB (WAL), {os.cpu_count()} processors, {args.runs} pairs\n")
    print("| ours against theirs | wall | CPU | our time | our peak memory | goal | |")
    print("|---|---|---|---|---|---|---|")
    base = "sqlite3 till.db .dump | gzip -6 > base.gz"
    first = f"{BIN} -q dump sqlite:till.db -o first.sql.gz --level 6"
    row("first dump at level 6 / `.dump \\| gzip -6`", pair(first, base, cwd, args.runs), "0.32 / 0.40")
    usual = f"{BIN} -q dump sqlite:till.db -o usual.sql.gz"
    row("first dump at the default level / `.dump \\| gzip -6`", pair(usual, base, cwd, args.runs))
    print(f"| size at the default level / gzip -6 | {size(cwd / 'usual.sql.gz') / size(cwd / 'base.gz'):.3f} | | | | | |")
    row("first dump / `.dump \\| pigz -6`", pair(first, "sqlite3 till.db .dump | pigz -6 > pigz.gz", cwd, args.runs), "0.5")
    env = "RESTIC_PASSWORD=x restic -q -r repo"
    subprocess.run(["bash", "-c", f"{env} init"], cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    fresh = f"rm -rf repo && {env} init && sqlite3 till.db .dump | {env} backup --stdin --stdin-filename till.sql"
    row("first dump / `.dump \\| restic backup --stdin`", pair(first, fresh, cwd, 3), "1")
    print(f"| size / gzip -6 | {size(cwd / 'first.sql.gz') / size(cwd / 'base.gz'):.3f} | | | | 1.01 | |")
    repeat = f"{BIN} -q dump sqlite:till.db -o again.sql.gz --level 6 --reuse first.sql.gz"
    result = pair(repeat, base, cwd, args.runs)
    same = "byte-identical" if filecmp.cmp(cwd / "again.sql.gz", cwd / "first.sql.gz", shallow=False) else "DIFFERENT"
    row("repeat, nothing changed", result, "0.11", same)
    for name, per_mille, updates, goal in [("1 % appended", 10, 0, "0.13; 1.5 % new"), ("1 % appended, 1,700 updates", 10, 1700, "0.15; 5 % new")]:
        subprocess.run(["cp", "till.db", "day.db"], cwd=cwd, check=True)
        subprocess.run([TILL, "day", "day.db", str(per_mille), str(updates)], cwd=cwd, check=True)
        ours = f"{BIN} -q dump sqlite:day.db -o day.sql.gz --level 6 --reuse first.sql.gz"
        share = new_bytes("first.sql.gz", "day.sql.gz", "day.db", cwd)
        row(f"repeat, {name}", pair(ours, "sqlite3 day.db .dump | gzip -6 > base.gz", cwd, args.runs), goal, f"{share:.1%} new")
    load = f"rm -f loaded.db; {BIN} -q load first.sql.gz sqlite:loaded.db"
    row("load / `zcat \\| sqlite3`", pair(load, "rm -f shell.db; zcat first.sql.gz | sqlite3 shell.db", cwd, args.runs), "0.25")
    if args.big:
        subprocess.run([TILL, "make", "big.db", str(args.big)], cwd=cwd, check=True)
        dump, load = Cost(f"{BIN} -q dump sqlite:big.db -o big.sql.gz", cwd), Cost(f"{BIN} -q load big.sql.gz sqlite:big2.db", cwd)
        print(f"\na database of {size(cwd / 'big.db') / 1e9:.2f} GB: dump {dump.wall:.1f} s, {dump.rss:.1f} MiB; load {load.wall:.1f} s, {load.rss:.1f} MiB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_150_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--big", type=int, default=0)
    parser.add_argument("--dir")
    args = parser.parse_args()
    cwd = pathlib.Path(tempfile.mkdtemp(dir=args.dir))
    try:
        measure(args, cwd)
    finally:
        shutil.rmtree(cwd)


if __name__ == "__main__":
    main()
