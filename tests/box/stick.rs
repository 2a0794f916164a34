//! Sticks: images made with the system's own tools, and looked at with them again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::disk::Disk;
use crate::judge::fsck_says;
use crate::medium::Medium;
use crate::nbd;

pub const MIB: u64 = 1 << 20;
/// Enough for 65,525 clusters of 512 bytes and their tables, which FAT32 must have, and for a few backups.
pub const SMALL: u64 = 48 * MIB;

/// A stick, plugged in or not.
pub struct Stick {
    pub name: String,
    pub image: PathBuf,
    pub medium: Arc<Medium>,
    /// Where its file system begins, in bytes.
    offset: u64,
}

impl Stick {
    /// The stick whose content is this image, served at `socket`.
    pub fn of(image: PathBuf, name: &str, socket: &Path) -> Self {
        let medium = Arc::new(Medium::open(&image));
        nbd::serve(&medium, socket);
        Self { name: name.to_owned(), image, medium, offset: 0 }
    }

    /// Formats it without a partition table.
    pub fn format(self, mkfs: &str, args: &[&str]) -> Self {
        tool(mkfs, &[args, &[text(&self.image)]].concat());
        self
    }

    /// One FAT32 partition at 1 MiB, as sticks are sold.
    pub fn partition(self, label: &str) -> Self {
        self.table("start=2048, type=c\n", MIB, label)
    }

    fn table(mut self, table: &str, offset: u64, label: &str) -> Self {
        let script = self.image.with_extension("sfdisk");
        fs::write(&script, table).unwrap();
        let done = command("sfdisk", &["-q", text(&self.image)]).stdin(File::open(&script).unwrap()).status();
        assert!(done.unwrap().success());
        let blocks = ((self.medium.size() - offset) / 1024).to_string();
        let (image, start) = (text(&self.image), (offset / 512).to_string());
        tool("mkfs.vfat", &["-F", "32", "-s", "1", "-n", label, "--offset", &start, image, &blocks]);
        self.offset = offset;
        self
    }

    /// The same, whose file system begins here.
    pub fn begins_at(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    /// Puts this many bytes of nothing before all that it holds.
    pub fn shift(&self, nothing: u64) {
        let bytes = fs::read(&self.image).unwrap();
        let image = File::options().write(true).open(&self.image).unwrap();
        image.set_len(0).and_then(|()| image.set_len(nothing)).unwrap();
        image.write_all_at(&bytes, nothing).unwrap();
    }

    /// Two partitions, of which the second has the FAT32 volume.
    pub fn second_partition(self, label: &str) -> Self {
        const FIRST: u64 = 8 * MIB;
        let table = format!("start=2048, size={}, type=83\ntype=c\n", FIRST / 512);
        self.table(&table, MIB + FIRST, label)
    }

    /// Puts other bytes in place of these, wherever they stand in its first MiB of names; says how often they did.
    pub fn patch(&self, from: &[u8; 11], to: &[u8; 11]) -> usize {
        let bytes = fs::read(&self.image).unwrap();
        let places: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, it)| it == from).map(|(at, _)| at).collect();
        let image = File::options().write(true).open(&self.image).unwrap();
        places.iter().for_each(|at| image.write_all_at(to, *at as u64).unwrap());
        places.len()
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        let copy = self.image.with_extension("put");
        fs::write(&copy, content).unwrap();
        tool("mcopy", &["-o", "-i", &self.at(), text(&copy), &format!("::/{path}")]);
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        let copy = self.image.with_extension("read");
        let _ = fs::remove_file(&copy);
        tool("mcopy", &["-n", "-i", &self.at(), &format!("::/{path}"), text(&copy)]);
        fs::read(copy).unwrap()
    }

    /// The paths of all files that a person sees.
    pub fn files(&self) -> Vec<String> {
        let list = tool("mdir", &["-/", "-b", "-i", &self.at(), "::/"]);
        list.lines().filter(|line| !line.ends_with('/')).map(|line| line.trim_start_matches("::/").to_owned()).collect()
    }

    /// fsck.fat has nothing to complain about.
    #[track_caller]
    pub fn is_in_order(&self) {
        let complaints = fsck_says(&self.volume());
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// What its file system holds now.
    pub fn disk(&self) -> Disk {
        Disk::load(&self.image, self.offset)
    }

    /// What a pulled stick left behind can be repaired without loss: the backup is good before and after a file system
    /// check, which stands for a Windows computer.
    #[track_caller]
    pub fn survives_a_check(&self, dump: &str, receipts: u64) {
        self.has_a_good_backup(dump, receipts);
        let volume = self.volume();
        // Kept with the logs when what follows fails.
        fs::copy(&volume, self.image.with_extension("before-check.img")).unwrap();
        let _ = command("fsck.fat", &["-a", text(&volume)]).output().unwrap();
        let image = File::options().write(true).open(&self.image).unwrap();
        image.write_all_at(&fs::read(&volume).unwrap(), self.offset).unwrap();
        self.is_in_order();
        self.has_a_good_backup(dump, receipts);
    }

    /// A till's owner can use what is on it: the sums are right, the newest dump loads in the sqlite3 of the system and
    /// has so many receipts.
    #[track_caller]
    pub fn has_a_good_backup(&self, dump: &str, receipts: u64) {
        self.sums_are_right();
        self.loads(&self.read(dump), receipts);
    }

    #[track_caller]
    pub fn sums_are_right(&self) {
        let copy = tempfile::tempdir().unwrap();
        tool("mcopy", &["-s", "-n", "-i", &self.at(), "::/*", text(copy.path())]);
        let sums = command("sha256sum", &["--strict", "--quiet", "-c", "SHA256SUMS"]).current_dir(copy.path()).output();
        let sums = sums.unwrap();
        assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
    }

    /// The dump loads in the sqlite3 of the system and has so many receipts.
    #[track_caller]
    pub fn loads(&self, dump: &[u8], receipts: u64) {
        let copy = tempfile::tempdir().unwrap();
        let (file, database) = (copy.path().join("dump.gz"), copy.path().join("till.db"));
        fs::write(&file, dump).unwrap();
        let gunzip = command("gzip", &["-dc", text(&file)]).stdout(Stdio::piped()).spawn();
        let dump = gunzip.unwrap().stdout.unwrap();
        let load = command("sqlite3", &["-bail", text(&database)]).stdin(dump).output().unwrap();
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        let count = "PRAGMA integrity_check; SELECT count(*) FROM receipts";
        assert_eq!(tool("sqlite3", &[text(&database), count]), format!("ok\n{receipts}\n"));
    }

    fn at(&self) -> String {
        format!("{}@@{}", text(&self.image), self.offset)
    }

    /// The file system in a file of its own: fsck.fat knows no offsets.
    pub fn volume(&self) -> PathBuf {
        if self.offset == 0 {
            return self.image.clone();
        }
        let volume = self.image.with_extension("volume");
        fs::write(&volume, &fs::read(&self.image).unwrap()[self.offset as usize..]).unwrap();
        volume
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a tool of the system that must succeed; gives what it printed.
#[track_caller]
pub fn tool(name: &str, args: &[&str]) -> String {
    let output = command(name, args).output();
    let output = output.unwrap_or_else(|error| panic!("{name} is needed for this test: {error}"));
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn command(name: &str, args: &[&str]) -> Command {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(name);
    command.args(args).env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}
