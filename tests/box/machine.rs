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
        fs::write(tree.join("etc/tillstick/tillstick.toml"), CONFIG).unwrap();
        make(&tree.join("srv/till/kasse.db"), Till { lines: 300, wal: true }).unwrap();
        make(&tree.join("srv/till/large.db"), Till { lines: 20_000, wal: true }).unwrap();
        let disk = dir.path().join("payload.tar");
        tool("tar", &["-C", tree.to_str().unwrap(), "-cf", disk.to_str().unwrap(), "."]);
        let file = fs::File::options().write(true).open(&disk).unwrap();
        assert!(file.metadata().unwrap().len() <= PAYLOAD, "the program does not fit onto its disk");
        file.set_len(PAYLOAD).unwrap();
        Self { _dir: dir, disk }
    }
}

/// One booted machine.
pub struct Machine<'a> {
    qemu: Qemu,
    folder: &'a Folder,
    /// What is plugged into the ports of the USB controller, which count from 1.
    ports: Vec<Option<String>>,
}

impl<'a> Machine<'a> {
    pub fn start(snapshot: &Snapshot, payload: &Path, folder: &'a Folder) -> Self {
        let mut qemu = snapshot.start(folder, payload);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        qemu.guest.must(&format!("date -u -s @{now} && dd if=/dev/vda bs=1M iflag=direct | tar xf - -C /"));
        Self { qemu, folder, ports: vec![None; 4] }
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
        let path = format!("/dev/disk/by-path/pci-0000:00:10.0-usb-0:{port}:1.0-scsi-0:0:0:0");
        self.guest().must(&format!("udevadm wait --settle --timeout={} {path}", PATIENCE.as_secs()));
        self.guest().must(&format!("readlink -f {path}")).trim().to_owned()
    }

    /// Plugs a stick in; gives the number of its port.
    #[track_caller]
    pub fn attach(&mut self, stick: &Stick) -> usize {
        let free = self.ports.iter().position(Option::is_none).expect("a free port");
        let (name, qmp) = (&stick.name, &self.qemu.qmp);
        let socket = format!("{name}.nbd");
        qmp.run(
            "blockdev-add",
            json!({ "driver": "nbd", "node-name": name, "export": "", "server": { "type": "unix", "path": socket } }),
        );
        qmp.run(
            "device_add",
            json!({ "driver": "usb-storage", "id": format!("usb-{name}"), "drive": name, "bus": "usb.0",
                "port": (free + 1).to_string(), "serial": format!("SERIAL-{name}"), "removable": true,
                "werror": "report", "rerror": "report" }),
        );
        self.ports[free] = Some(name.clone());
        free + 1
    }

    /// Pulls a stick out, whatever is going on.
    #[track_caller]
    pub fn pull(&mut self, stick: &Stick) {
        let (name, qmp) = (&stick.name, &self.qemu.qmp);
        let id = format!("usb-{name}");
        qmp.run("device_del", json!({ "id": id }));
        qmp.wait_for("DEVICE_DELETED", |data| data["device"] == id);
        qmp.run("blockdev-del", json!({ "node-name": name }));
        let port = self.ports.iter_mut().find(|port| port.as_ref() == Some(name));
        *port.expect("the stick is plugged in") = None;
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

    /// What the lights did since the machine was there.
    pub fn lights(&self) -> Vec<Change> {
        signals::lights(&self.folder.file("signals.log"))
    }

    /// What was heard since the machine was there.
    pub fn beeps(&self) -> Vec<Beep> {
        beep::beeps(&self.folder.file("signals.log"), &self.folder.file("beep.wav"))
    }
}
