#!/usr/bin/env python3
"""Boots the firmware image in an emulated ARM machine, plugs a stick in, and looks at the light, the stick and the root.

    tests/image/run.py FOLDER        the folder that packaging/image/build.sh filled

What must be so: the init system starts the agent; the light blinks after the plug and then stays on; the backup on the stick holds
the till's database; not one byte of the root partition was changed. The console stays in FOLDER/console.log.

The beeper is a fake: an input device of the kernel behind which a program says what it is asked to sound (packaging/image/beeper.pl), for Debian's
kernel has no driver for one that qemu's machine could have. `make test-box` hears a real one.
"""
import hashlib
import json
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

# The emulated processor is slow, and many times slower where others work. So what is given up is a machine that has stopped: one that
# says nothing on its console for so long. A boot takes a minute on two processors of one's own.
SILENCE_SECONDS = 300
BOOT_SECONDS = 1500
BACKUP_SECONDS = 300
MIB = 1 << 20
CPUS = 2
LIGHT_PIN = 5


def root_hash(disk):
    """Of the second partition, which the image's script puts at 65 MiB."""
    with open(disk, "rb") as file:
        file.seek(65 * MIB)
        digest = hashlib.sha256()
        for _ in range(512):
            digest.update(file.read(MIB))
    return digest.hexdigest()


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.console = folder / "console.log"
        self.gpio = folder / "gpio.log"
        qmp = folder / "qmp"
        for old in (self.console, self.gpio, qmp):
            old.unlink(missing_ok=True)
        self.process = subprocess.Popen([
            "qemu-system-arm", "-machine", "virt,highmem=off", "-cpu", "cortex-a15", "-smp", str(CPUS), "-m", "512M",
            "-display", "none", "-no-reboot",
            "-dtb", "box.dtb", "-bios", "/usr/lib/u-boot/qemu_arm/u-boot.bin",
            "-drive", "file=running.img,if=none,format=raw,id=disk", "-device", "virtio-blk-pci,drive=disk",
            "-device", "qemu-xhci,id=xhci", "-serial", f"file:{self.console}",
            "-trace", "pl061_set_output", "-D", str(self.gpio), "-qmp", f"unix:{qmp},server=on,wait=off",
        ], cwd=folder)
        self.socket = socket.socket(socket.AF_UNIX)
        self.until(lambda: qmp.exists() and self.socket.connect_ex(str(qmp)) == 0, 30, "the emulator to start")
        self.answers = self.socket.makefile("r")
        self.answers.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.answers.readline())
            if "error" in answer:
                raise SystemExit(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def event(self, name):
        while json.loads(self.answers.readline()).get("event") != name:
            pass

    def plug(self, stick):
        self.ask("blockdev-add", **{"driver": "raw", "node-name": "stick", "file": {"driver": "file", "filename": str(stick)}})
        self.ask("device_add", driver="usb-storage", id="plugged", drive="stick", serial="4711", removable=True, bus="xhci.0")

    def until(self, holds, seconds, what):
        begun = heard = time.monotonic()
        said = 0
        while not holds():
            now = time.monotonic()
            size = self.console.stat().st_size if self.console.exists() else 0
            if size != said:
                said, heard = size, now
            if trouble := self.says(r"tillstick\[\d+\]: \[ERROR.*"):
                raise SystemExit(f"while waiting for {what}: {trouble}")
            if now - begun > seconds:
                raise SystemExit(f"waited {seconds} s in vain for {what}; see {self.console}")
            if now - heard > SILENCE_SECONDS:
                raise SystemExit(f"the machine said nothing for {SILENCE_SECONDS} s while waiting for {what}; see {self.console}")
            if self.process.poll() is not None:
                raise SystemExit(f"the machine ended while waiting for {what}; see {self.console}")
            time.sleep(0.5)
        return time.monotonic() - begun

    def says(self, pattern):
        """What the console says that is so; none when it does not."""
        found = re.search(pattern, self.console.read_text(errors="replace")) if self.console.exists() else None
        return found and found.group()

    def tones(self):
        """What the beeper was asked to sound, in Hz, in order; 0 ends it."""
        text = self.console.read_text(errors="replace")
        return [int(hz) for hz in re.findall(r"beeper\[\d+\]: sounds at (\d+) Hz", text)]

    def light(self):
        """Every level that the light's pin was set to, in order."""
        text = self.gpio.read_text(errors="replace")
        return [int(level) for level in re.findall(rf"setting output {LIGHT_PIN} to (\d)", text)]


def make_stick(path):
    path.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", "64M", path], check=True)
    subprocess.run(["/usr/sbin/mkfs.vfat", "-F", "32", "-s", "1", path], check=True, stdout=subprocess.DEVNULL)


def must(holds, what):
    if not holds:
        raise SystemExit(f"not so: {what}")
    print(f"  {what}")


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    shutil.copyfile(folder / "disk.img", folder / "running.img")
    before = root_hash(folder / "running.img")
    stick = folder / "stick.img"
    make_stick(stick)
    machine = Machine(folder)
    try:
        took = machine.until(lambda: machine.says(r"Started .*tillstick\.service"), BOOT_SECONDS, "the agent")
        print(f"  the agent was started by the init system {took:.0f} s after power on")
        dark = len(machine.light())
        machine.plug(stick)
        machine.until(lambda: machine.says(r"tillstick\[\d+\]: .* was read back"), BACKUP_SECONDS, "the backup")
        machine.until(lambda: machine.light()[-1:] == [1], 30, "the light to stay on")
        blinks = machine.light()[dark:]
        machine.until(lambda: machine.tones()[-1:] == [0], 30, "the beeper to end")
        tones = machine.tones()
        must(any(tones) and tones[-1] == 0, f"the beeper sounded, and ended ({', '.join(map(str, tones))} Hz)")
        must(blinks.count(1) >= 2 and 0 in blinks, f"the light blinked, and then stayed on ({len(blinks)} changes)")
        machine.ask("device_del", id="plugged")
        machine.event("DEVICE_DELETED")
    finally:
        machine.process.terminate()
        machine.process.wait()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        subprocess.run(["mcopy", "-i", stick, "::/104711_kasse.sql.gz", scratch], check=True)
        sql = subprocess.run(["zcat", scratch / "104711_kasse.sql.gz"], check=True, capture_output=True).stdout
        subprocess.run(["sqlite3", scratch / "back.db"], input=sql, check=True)
        rows = sqlite3.connect(scratch / "back.db").execute("SELECT count(*) FROM receipt_lines").fetchone()[0]
        expected = sqlite3.connect(folder / "till.db").execute("SELECT count(*) FROM receipt_lines").fetchone()[0]
        must(rows == expected > 0, f"the stick holds the till's {rows} lines of receipts, by gunzip and sqlite3 alone")
    must(root_hash(folder / "running.img") == before, "the root was not written to")
    (folder / "running.img").unlink()
    print("the image is sound")


if __name__ == "__main__":
    main()
