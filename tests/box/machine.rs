//! The box of a shop: a booted machine with the program, a configuration and a till, into which sticks are plugged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;

use crate::beep::Beep;
use crate::folder::Folder;
use crate::guest::{Guest, Job, Ran};
use crate::qemu::Qemu;
use crate::signals::Change;
use crate::snapshot::{PAYLOAD, Snapshot};
use crate::stick::{SMALL, Stick, tool};
use crate::till::{Till, make};
use crate::{PATIENCE, beep, signals};

/// The dump of the till as it is called on a stick.
pub const DUMP: &str = "104711_kasse.sql.gz";

/// How many receipts the till has, and how many after [`LARGE_TILL`].
pub const RECEIPTS: u64 = 83;
pub const LARGE_RECEIPTS: u64 = 5728;
/// Puts another, larger till in place of the first, so that the next backup is another one.
pub const LARGE_TILL: &str = "mv /srv/till/large.db /srv/till/kasse.db";

/// The ports of the USB controller.
const PORTS: usize = 12;

/// Puts a tiny till in place of the first, for scenarios of hundreds of backups.
pub const TINY_TILL: &str = "mv /srv/till/tiny.db /srv/till/kasse.db";
pub const TINY_RECEIPTS: u64 = 200;

const CONFIG: &str = r#"customer = "104711"
box = "kasse-1"
lang = "en"
time_zone = "Europe/Berlin"
state = "/var/lib/tillstick"
[primary]
dir = "/var/backups"
min_free = "1MB"
[sources.kasse]
type = "sqlite"
path = "/srv/till/kasse.db"
"#;

/// What is unpacked into every machine: the program, its configuration and a till.
pub struct Payload {
    _dir: TempDir,
    pub disk: PathBuf,
}

impl Payload {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for folder in ["bin", "etc/tillstick", "srv/till", "var/lib", "var/backups"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        let program = tree.join("bin/tillstick");
        tool("strip", &["-o", program.to_str().unwrap(), env!("CARGO_BIN_EXE_tillstick")]);
        let this = std::env::current_exe().unwrap();
        tool("strip", &["-o", tree.join("bin/inside").to_str().unwrap(), this.to_str().unwrap()]);
        fs::write(tree.join("etc/tillstick/tillstick.toml"), CONFIG).unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("udev-rules/70-tillstick.rules");
        fs::copy(rules, tree.join("srv/70-tillstick.rules")).unwrap();
        make(&tree.join("srv/till/kasse.db"), Till { lines: 300, wal: true }).unwrap();
        make(&tree.join("srv/till/large.db"), Till { lines: 20_000, wal: true }).unwrap();
        tiny_till(&tree.join("srv/till/tiny.db"));
        let disk = dir.path().join("payload.tar");
        tool("tar", &["-C", tree.to_str().unwrap(), "-cf", disk.to_str().unwrap(), "."]);
        let file = fs::File::options().write(true).open(&disk).unwrap();
        assert!(file.metadata().unwrap().len() <= PAYLOAD, "the program does not fit onto its disk");
        file.set_len(PAYLOAD).unwrap();
        Self { _dir: dir, disk }
    }
}

/// A few receipts whose dump has a hundred clusters.
fn tiny_till(path: &Path) {
    let till = rusqlite::Connection::open(path).unwrap();
    let receipts = "PRAGMA journal_mode = WAL; CREATE TABLE receipts(id INTEGER PRIMARY KEY, till INTEGER, clerk TEXT, \
        at TEXT, total_cents INTEGER, payment TEXT, signature BLOB DEFAULT (randomblob(250)))";
    till.execute_batch(receipts).unwrap();
    let book = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
        INSERT INTO receipts(till, total_cents) SELECT 1, i FROM n";
    till.execute(book, [TINY_RECEIPTS as i64]).unwrap();
}

/// One booted machine. It serves many scenarios, one after the other: what is translated for the emulator once stays so.
pub struct Machine {
    qemu: Qemu,
    folder: Folder,
    /// What is plugged into the ports of the USB controller, which count from 1.
    ports: Vec<Option<String>>,
    /// What is plugged in elsewhere.
    others: Vec<String>,
    /// When something was last plugged in, in seconds since 1970.
    plugged_at: f64,
    /// When the scenario began, in seconds since 1970.
    begun: f64,
}

/// Nothing of the scenario before is left: no process (the jobs of [`TELL`]), no mount, no file, no gadget, no light.
const CLEAN: [&str; 6] = [
    "kill -9 $old 2>/dev/null; killall -q -9 tillstick; for job in $old; do wait $job; done; exec 4<&-",
    "g=/sys/kernel/config/usb_gadget/port; if [ -d $g ]; then echo > $g/UDC; rm -f $g/configs/c.1/mass_storage.0; \
     rmdir $g/configs/c.1 $g/functions/mass_storage.0 $g/strings/0x409 $g; fi",
    "for at in $(awk '$1 ~ /^.dev.sd/ { print $2 }' /proc/mounts); do umount -l $at; done; losetup -d /dev/loop0 2>/dev/null",
    "while ls /sys/block | grep -q ^sd; do sleep 0.1; done",
    "rm -rf /etc/udev /tmp/* /var/lib/tillstick /var/backups /srv /etc/tillstick /run/tillstick /media/* /mnt/*",
    "for light in /sys/class/leds/*; do echo none > $light/trigger; echo 0 > $light/brightness; done",
];
/// What was delivered is there again.
const DELIVER: &str = "cp -a /payload/. / && udevadm settle";

/// Of a machine that cannot be cleaned the kernel tells what its processes wait for, before the patience with it ends.
const TELL: &str = "old=$(jobs -p); (sleep 100; echo 9 >/proc/sys/kernel/printk; echo w >/proc/sysrq-trigger; ps >/dev/console) & tell=$!";

impl Machine {
    pub fn start(snapshot: &Snapshot, payload: &Path, folder: Folder) -> Self {
        let mut qemu = snapshot.start(&folder, payload);
        // What was read of the disk before the snapshot was taken was another one.
        let unpack = "blockdev --flushbufs /dev/vda && tar xf /dev/vda -C /payload && mv /payload/bin/* /bin/";
        qemu.guest.must(unpack);
        Self { qemu, folder, ports: vec![None; PORTS], others: Vec::new(), plugged_at: 0.0, begun: 0.0 }
    }

    /// Makes it a box that was just delivered.
    pub fn reset(&mut self) {
        let others: Vec<String> = self.others.iter().rev().cloned().collect();
        for name in self.ports.clone().into_iter().flatten().chain(others) {
            self.unplug(&name);
        }
        let guest = self.guest();
        guest.must(TELL);
        CLEAN.iter().for_each(|step| drop(guest.run(step)));
        guest.must(DELIVER);
        guest.must("kill $tell");
        self.folder.remove_images();
        self.begun = now();
        self.guest().must(&format!("date -u -s @{:.0}", now()));
    }

    /// Ends it.
    pub fn end(self) {
        let Self { qemu, folder, .. } = self;
        drop(qemu);
        folder.remove();
    }

    /// Ends it, and keeps its logs and images there.
    pub fn leave(self, at: &Path) {
        let Self { qemu, folder, .. } = self;
        drop(qemu);
        folder.keep_at(at);
    }

    pub fn guest(&mut self) -> &mut Guest {
        &mut self.qemu.guest
    }

    /// An empty stick of this size that is not plugged in yet.
    pub fn stick(&self, name: &str, size: u64) -> Stick {
        let image = self.folder.file(&format!("{name}.img"));
        fs::File::create(&image).unwrap().set_len(size).unwrap();
        self.stick_of(image, name)
    }

    /// The stick whose content is this image.
    pub fn stick_of(&self, image: PathBuf, name: &str) -> Stick {
        // One of this name may have been served to the scenario before.
        let _ = fs::remove_file(self.folder.file(&format!("{name}.nbd")));
        Stick::of(image, name, &self.folder.socket(&format!("{name}.nbd")))
    }

    /// A small stick as they are sold.
    pub fn sold_stick(&self, name: &str) -> Stick {
        self.stick(name, SMALL).partition("KASSE")
    }

    /// Plugs a stick in and waits until udev knows it; gives its node, such as `/dev/sda`.
    #[track_caller]
    pub fn plug(&mut self, stick: &Stick) -> String {
        let port = self.attach(stick);
        self.node_at(&port.to_string())
    }

    /// The node of what is plugged into this port, when udev knows it.
    #[track_caller]
    pub fn node_at(&mut self, port: &str) -> String {
        let path = format!("/dev/disk/by-path/pci-0000:00:10.0-usb-0:{port}:1.0-scsi-0:0:0:0");
        self.guest().must(&format!("udevadm wait --settle --timeout={} {path}", PATIENCE.as_secs()));
        self.guest().must(&format!("readlink -f {path}")).trim().to_owned()
    }

    /// Plugs a stick in; gives the number of its port.
    #[track_caller]
    pub fn attach(&mut self, stick: &Stick) -> usize {
        self.attach_with_serial(stick, &format!("SERIAL-{}", stick.name))
    }

    /// Plugs a stick in that claims to have this serial number.
    #[track_caller]
    pub fn attach_with_serial(&mut self, stick: &Stick, serial: &str) -> usize {
        let free = self.ports.iter().position(Option::is_none).expect("a free port");
        self.ports[free] = Some(stick.name.clone());
        self.attach_at(stick, &(free + 1).to_string(), serial);
        free + 1
    }

    #[track_caller]
    fn attach_at(&mut self, stick: &Stick, port: &str, serial: &str) {
        self.serve(stick);
        self.plugged_at = now();
        let name = &stick.name;
        self.qemu.qmp.run(
            "device_add",
            json!({ "driver": "usb-storage", "id": format!("usb-{name}"), "drive": name, "bus": "usb.0", "port": port,
                "serial": serial, "removable": true, "werror": "report", "rerror": "report" }),
        );
    }

    fn serve(&self, stick: &Stick) {
        let (name, socket) = (&stick.name, format!("{}.nbd", stick.name));
        let server = json!({ "type": "unix", "path": socket });
        let node = json!({ "driver": "nbd", "node-name": name, "export": "", "server": server });
        self.qemu.qmp.run("blockdev-add", node);
    }

    /// Plugs a hub in, and a stick into the hub.
    #[track_caller]
    pub fn attach_through_a_hub(&mut self, stick: &Stick) {
        let port = PORTS.to_string();
        self.qemu.qmp.run("device_add", json!({ "driver": "usb-hub", "id": "usb-hub", "bus": "usb.0", "port": port }));
        self.others.push("hub".to_owned());
        self.attach_at(stick, &format!("{port}.2"), "SERIAL-hub");
        self.others.push(stick.name.clone());
    }

    /// Builds a disk in, which cannot be pulled by a person; gives its node.
    #[track_caller]
    pub fn build_in(&mut self, disk: &Stick) -> String {
        self.serve(disk);
        let name = &disk.name;
        let id = format!("usb-{name}");
        let device = json!({ "driver": "scsi-hd", "id": id, "drive": name, "bus": "scsi.0", "serial": name });
        self.qemu.qmp.run("device_add", device);
        self.others.push(name.clone());
        let path = format!("/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{name}");
        self.guest().must(&format!("udevadm wait --settle --timeout={} {path}", PATIENCE.as_secs()));
        self.guest().must(&format!("readlink -f {path}")).trim().to_owned()
    }

    /// Pulls a stick out, whatever is going on.
    #[track_caller]
    pub fn pull(&mut self, stick: &Stick) {
        self.unplug(&stick.name);
    }

    #[track_caller]
    fn unplug(&mut self, name: &str) {
        let qmp = &self.qemu.qmp;
        let id = format!("usb-{name}");
        qmp.run("device_del", json!({ "id": id }));
        qmp.wait_for("DEVICE_DELETED", |data| data["device"] == id);
        if name != "hub" {
            qmp.run("blockdev-del", json!({ "node-name": name }));
        }
        self.others.retain(|other| other != name);
        self.ports.iter_mut().filter(|port| port.as_deref() == Some(name)).for_each(|port| *port = None);
    }

    /// Presses a key of the keyboard, by qemu's name of it.
    pub fn press(&mut self, key: &str) {
        self.qemu.qmp.run("send-key", json!({ "keys": [{ "type": "qcode", "data": key }] }));
    }

    /// Runs the program as a person on the box would.
    #[track_caller]
    pub fn tillstick(&mut self, args: &str) -> Ran {
        self.guest().run(&format!("tillstick {args}"))
    }

    /// Starts the program and lets it run.
    #[track_caller]
    pub fn start_tillstick(&mut self, args: &str) -> Job {
        self.guest().start(&format!("exec tillstick {args}"))
    }

    /// Mounts a node as a till computer's automounter does.
    #[track_caller]
    pub fn mount(&mut self, node: &str, at: &str) {
        self.guest().must(&format!("mkdir -p {at} && mount -t vfat -o nosuid,nodev,noexec,utf8 {node} {at}"));
    }

    /// For how long the light has not changed, in seconds.
    pub fn light_is_steady_for(&self) -> f64 {
        let last = self.lights().last().map_or(self.begun, |change| change.at);
        now() - last
    }

    /// How long after the last plug the light first changed, in seconds.
    pub fn seconds_to_the_first_signal(&self) -> Option<f64> {
        let lights = self.lights();
        Some(lights.iter().find(|change| change.at >= self.plugged_at)?.at - self.plugged_at)
    }

    /// How long after the last plug the last beep began: the second of those that say "safe".
    pub fn seconds_to_the_last_beep(&self) -> f64 {
        self.beeps().last().unwrap().at - self.plugged_at
    }

    /// What the lights did since the scenario began.
    pub fn lights(&self) -> Vec<Change> {
        let all = signals::lights(&self.folder.file("signals.log"));
        all.into_iter().filter(|change| change.at >= self.begun).collect()
    }

    /// What was heard since the scenario began.
    pub fn beeps(&self) -> Vec<Beep> {
        let all = beep::beeps(&self.folder.file("signals.log"), &self.folder.file("beep.wav"));
        all.into_iter().filter(|beep| beep.at >= self.begun).collect()
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
