#!/usr/bin/env python3
"""What the agent takes of the memory of the demo box: at rest, and after a stick was plugged in and got its backup.

    benches/posbox.py [FOLDER]       the folder that `make image` filled

The box's own kernel counts, in the emulated ARM machine of `make test-image`: a service that is put into a copy of the image tells it on the console.
"""
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
ROOT_AT = 65 << 20  # where packaging/image/build.sh puts the root
LOOKS_EVERY = 20
SERVICE = f"""[Unit]
After=tillstick.service
[Service]
ExecStart=/bin/sh -c 'while sleep {LOOKS_EVERY}; do sed -n "s/^\\\\(VmHWM\\\\|VmRSS\\\\|RssAnon\\\\|RssFile\\\\):/memory \\\\1/p" /proc/$$(systemctl show -P MainPID tillstick)/status; done'
"""

spec = importlib.util.spec_from_file_location("image", ROOT / "tests/image/run.py")
image = importlib.util.module_from_spec(spec)
spec.loader.exec_module(image)


def add_service(disk, scratch):
    unit = scratch / "memory.service"
    unit.write_text(SERVICE)
    units = "/etc/systemd/system"
    commands = scratch / "commands"
    commands.write_text(f"write {unit} {units}/memory.service\nsymlink {units}/multi-user.target.wants/memory.service ../memory.service\n")
    subprocess.run(["/usr/sbin/debugfs", "-w", "-f", commands, f"{disk}?offset={ROOT_AT}"], check=True, capture_output=True)


def looks(machine):
    """Each look in kB, by what the kernel calls it; none while it is not whole."""
    text = machine.console.read_text(errors="replace")
    values = re.findall(r"memory (VmHWM|VmRSS|RssAnon|RssFile)\s+(\d+) kB", text)
    return [dict(values[at:at + 4]) for at in range(0, len(values) - 3, 4)]


def tell(machine, what):
    seen = len(looks(machine))
    machine.until(lambda: len(looks(machine)) >= seen + 2, image.BACKUP_SECONDS, "the kernel's figures")
    print(what + ": " + ", ".join(f"{name} {int(size) / 1024:.1f} MiB" for name, size in looks(machine)[-1].items()), flush=True)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else BUILD / "image").resolve()
    disk, stick = folder / "running.img", folder / "stick.img"
    shutil.copyfile(folder / "disk.img", disk)
    with tempfile.TemporaryDirectory() as scratch:
        add_service(disk, pathlib.Path(scratch))
    image.make_stick(stick)
    machine = image.Machine(folder)
    try:
        machine.until(lambda: machine.says(r"Started .*tillstick\.service"), image.BOOT_SECONDS, "the agent")
        tell(machine, "at rest, before its first backup")
        machine.plug(stick)
        machine.until(lambda: machine.says(r"tillstick\[\d+\]: .* was read back"), image.BACKUP_SECONDS, "the backup")
        tell(machine, "after the backup")
    finally:
        machine.process.terminate()
        machine.process.wait()
    disk.unlink()


if __name__ == "__main__":
    main()
