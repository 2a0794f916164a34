#!/usr/bin/env python3
"""A first backup, by default of 1 GB, and one of it again, beside restic, borg and rclone from Debian: seconds, memory, bytes written, size of the programs.

    benches/beside.py [--lines N]

Each gets the same database: `tillstick backup` its file, the others the text of `sqlite3 .dump`, as their users do it; rclone, which
does not keep versions, that text through gzip. Encryption is off where that can be chosen. Needs the release build and the example `till`.
"""
import argparse
import os
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
BIN = BUILD / "release/tillstick"
TILL = BUILD / "debug/examples/till"
DUMP = "sqlite3 till.db .dump"
CONFIG = """
customer = "104711"
box = "kasse-1"
time_zone = "Europe/Berlin"
mode = "X"
state = "{0}/state"
[primary]
dir = "{0}/backups"
min_free = "1MB"
[sources.kasse]
type = "sqlite"
path = "{0}/till.db"
"""
PROGRAMS = {
    "tillstick": ("true", f"{BIN} --config tillstick.toml -q backup"),
    "restic": ("restic -q -r r init", f"{DUMP} | restic -q -r r backup --stdin --stdin-filename till.sql"),
    "borg": ("borg init -e none b", f"{DUMP} | borg create b::{{utcnow}} -"),
    "rclone": ("true", f"{DUMP} | gzip | rclone -q rcat $PWD/c/till.sql.gz"),
}


def measured(command, cwd):
    """Wall seconds, MiB of the largest process, and MB that reached the disk's queue, each counted by the kernel."""
    env = dict(os.environ, RESTIC_PASSWORD="x", HOME=str(cwd))
    begun = time.monotonic()
    child = subprocess.Popen(["bash", "-o", "pipefail", "-c", f"{command}; sync -f ."], cwd=cwd, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {command}")
    return time.monotonic() - begun, usage.ru_maxrss / 1024, usage.ru_oublock * 512 / 1e6


def installed(program):
    """MB on the disk: of our program, and of the package of the others and what Debian must add for it."""
    if program == "tillstick":
        return BIN.stat().st_size / 1e6
    package = {"borg": "borgbackup"}.get(program, program)
    text = subprocess.run(["dpkg-query", "-W", "-f", "${Installed-Size}", package], check=True, capture_output=True, text=True).stdout
    return int(text) * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=8_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        scratch = pathlib.Path(scratch)
        subprocess.run([TILL, "make", "till.db", str(args.lines)], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (scratch / "tillstick.toml").write_text(CONFIG.format(scratch))
        print(f"a till of {(scratch / 'till.db').stat().st_size / 1e6:.0f} MB, {os.cpu_count()} processors\n")
        print("| | first | memory | written | again | memory | written | installed |")
        print("|---|---|---|---|---|---|---|---|")
        for name, (prepare, command) in PROGRAMS.items():
            measured(prepare, scratch)
            cells = [f"{took:.1f} s | {memory:.0f} MiB | {written:.0f} MB" for took, memory, written in (measured(command, scratch) for _ in range(2))]
            print(f"| {name} | {' | '.join(cells)} | {installed(name):.1f} MB |", flush=True)


if __name__ == "__main__":
    main()
