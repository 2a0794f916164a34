//! A machine that has booted, kept in a file: a scenario begins with it in less than a second.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::PATIENCE;
use crate::folder::Folder;
use crate::qemu::{Accelerator, PROGRAM, Qemu};
use crate::qmp::Qmp;

/// How long a boot may take with the processor's own virtualisation before it counts as unusable; it takes one or two
/// seconds where it works.
const KVM_BOOT: Duration = Duration::from_secs(30);
/// The size of the disk on which the program comes. It is part of the machine, so it never changes.
pub const PAYLOAD: u64 = 128 << 20;

/// A booted machine, and what it was booted from.
pub struct Snapshot {
    accelerator: Accelerator,
    /// The folder with kernel and initramfs, as prepare.sh makes it.
    cache: PathBuf,
    state: PathBuf,
}

impl Snapshot {
    /// The one that fits to kernel, initramfs and machine; boots one if there is none yet.
    pub fn get(cache: &Path) -> Self {
        let accelerators = accelerators();
        let of = |accelerator: Accelerator| {
            let state = cache.join(format!("booted-{}-{}", accelerator.name(), key(cache, accelerator)));
            Self { accelerator, cache: cache.to_owned(), state }
        };
        if let Some(ready) = accelerators.iter().copied().map(of).find(|snapshot| snapshot.state.exists()) {
            return ready;
        }
        for snapshot in accelerators.into_iter().map(of) {
            if snapshot.boot() {
                return snapshot;
            }
        }
        panic!("the machine did not boot; its logs are in {:?}", cache.join("boot"));
    }

    /// A machine that goes on from here, with this payload on its disk.
    pub fn start(&self, folder: &Folder, payload: &Path) -> Qemu {
        self.give_files(folder, payload);
        symlink(&self.state, folder.file("state")).unwrap();
        let qemu =
            Qemu::start(self.accelerator, folder, &["-incoming", "defer"]).unwrap_or_else(|error| panic!("{error}"));
        migrate(&qemu.qmp, "migrate-incoming", "exec:cat state");
        qemu.qmp.run("cont", json!({}));
        qemu
    }

    /// Boots and keeps the state; whether it worked.
    fn boot(&self) -> bool {
        let begun = Instant::now();
        let folder = Folder::new(self.cache.join("boot"));
        let payload = folder.file("no-payload");
        File::create(&payload).unwrap().set_len(PAYLOAD).unwrap();
        self.give_files(&folder, &payload);
        let within = match self.accelerator {
            Accelerator::Kvm => KVM_BOOT,
            Accelerator::Tcg => PATIENCE,
        };
        let booted = Qemu::start(self.accelerator, &folder, &[]).and_then(|mut qemu| {
            let late = || format!("it did not boot within {} s", within.as_secs());
            qemu.guest.is_ready(within).then_some(qemu).ok_or_else(late)
        });
        let qemu = match booted {
            Ok(qemu) => qemu,
            Err(error) => {
                println!("no machine with {}: {}", self.accelerator.name(), error.trim());
                return false;
            }
        };
        println!("booted with {} in {:.1} s", self.accelerator.name(), begun.elapsed().as_secs_f32());
        qemu.qmp.run("stop", json!({}));
        migrate(&qemu.qmp, "migrate", "exec:cat > state");
        drop(qemu);
        for old in fs::read_dir(&self.cache).unwrap().map(|entry| entry.unwrap().path()) {
            if old.file_name().is_some_and(|name| name.to_string_lossy().starts_with("booted-")) {
                fs::remove_file(old).unwrap();
            }
        }
        fs::rename(folder.file("state"), &self.state).unwrap();
        folder.remove();
        true
    }

    /// The names that the command line of qemu expects in its folder.
    fn give_files(&self, folder: &Folder, payload: &Path) {
        for (name, file) in [
            ("kernel", &*self.cache.join("kernel")),
            ("initramfs", &self.cache.join("initramfs")),
            ("payload", payload),
        ] {
            symlink(file, folder.file(name)).unwrap();
        }
    }
}

/// The ways to run a machine, the best first; `BOX_ACCEL=tcg` or `BOX_ACCEL=kvm` leaves only one.
fn accelerators() -> Vec<Accelerator> {
    let can_kvm = File::options().read(true).write(true).open("/dev/kvm").is_ok();
    match std::env::var("BOX_ACCEL").as_deref() {
        Ok("kvm") => vec![Accelerator::Kvm],
        Ok("tcg") => vec![Accelerator::Tcg],
        Ok(other) => panic!("BOX_ACCEL is \"kvm\" or \"tcg\", not {other:?}"),
        Err(_) if can_kvm => vec![Accelerator::Kvm, Accelerator::Tcg],
        Err(_) => vec![Accelerator::Tcg],
    }
}

/// Moves the state of the machine out or in; a machine that has been stopped stays so.
fn migrate(qmp: &Qmp, direction: &str, uri: &str) {
    qmp.run("migrate-set-capabilities", json!({ "capabilities": [{ "capability": "events", "state": true }] }));
    qmp.run(direction, json!({ "uri": uri }));
    qmp.wait_for("MIGRATION", |data| data["status"] == "completed");
}

/// Another one for any other kernel, initramfs, qemu or machine.
fn key(cache: &Path, accelerator: Accelerator) -> String {
    let version = Command::new(PROGRAM).arg("--version").output();
    let version = version.unwrap_or_else(|error| panic!("{PROGRAM} is needed: {error}"));
    let mut hash = Sha256::new().chain_update(version.stdout).chain_update(accelerator.command_line().join(" "));
    for name in ["kernel", "initramfs"] {
        let bytes = fs::read(cache.join(name));
        hash.update(
            bytes.unwrap_or_else(|error| panic!("{name} is not in {cache:?}, which prepare.sh fills: {error}")),
        );
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
