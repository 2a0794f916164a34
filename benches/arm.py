#!/usr/bin/env python3
"""What the program takes of an ARM box's memory, under qemu-user: at rest, and at the peak of a backup of 1 GB.

    benches/arm.py [--lines N] [TARGET...]

The emulator's own memory is in every figure of it, so the same program that only tells its version is measured beside it, and what is
beyond that is what the box sees. Needs what `make test-packages` builds with PROFILE=release.
"""
import argparse
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
TILL = BUILD / "debug/examples/till"
TARGETS = ["armv7-unknown-linux-gnueabihf", "aarch64-unknown-linux-gnu"]
CACHE = pathlib.Path(os.environ.get("CROSS_CACHE", pathlib.Path.home() / ".cache/tillstick-cross"))
REST_SECONDS = 10


def runner(target):
    text = subprocess.run([ROOT / "packaging/cross/sysroot.sh", target, CACHE], check=True, capture_output=True, text=True).stdout
    name = f"CARGO_TARGET_{target.upper().replace('-', '_')}_RUNNER"
    return shlex.split(next(line for line in text.splitlines() if name in line).split("=", 1)[1].strip("'"))


def peak(command):
    """MiB at the peak, and seconds."""
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {command}")
    return usage.ru_maxrss / 1024, time.monotonic() - begun


def at_rest(command, socket):
    """MiB of an agent that has started and has nothing to do."""
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if socket.exists():
                break
            if child.poll() is not None:
                raise SystemExit("the agent ended")
            time.sleep(0.1)
        time.sleep(REST_SECONDS)
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=8_000_000)
    parser.add_argument("targets", nargs="*", default=TARGETS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        scratch = pathlib.Path(scratch)
        subprocess.run([TILL, "make", scratch / "till.db", str(args.lines)], check=True, stdout=subprocess.DEVNULL)
        print(f"a till of {(scratch / 'till.db').stat().st_size / 1e6:.0f} MB")
        for target in args.targets:
            state = scratch / target
            state.mkdir()
            (state / "tillstick.toml").write_text(
                f'customer = "104711"\nbox = "kasse-1"\ntime_zone = "Europe/Berlin"\nmode = "X"\nstate = "{state}/state"\n'
                f'[primary]\ndir = "{state}/backups"\nmin_free = "1MB"\n[agent]\nsocket = "{state}/sock"\n[schedule]\nenabled = false\n'
                f'[sources.kasse]\ntype = "sqlite"\npath = "{scratch}/till.db"\n'
            )
            tillstick = [*runner(target), str(BUILD / target / "release/tillstick")]
            config = ["--config", str(state / "tillstick.toml")]
            bare, _ = peak([*tillstick, "--version"])
            top, took = peak([*tillstick, *config, "-q", "backup"])
            rest = at_rest([*tillstick, *config, "agent"], state / "sock")
            print(
                f"{target}: bare {bare:.1f} MiB; a backup {top:.1f} MiB (+{top - bare:.1f}), {took:.0f} s; "
                f"the agent at rest {rest:.1f} MiB (+{rest - bare:.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
