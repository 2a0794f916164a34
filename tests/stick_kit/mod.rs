//! Sticks and backups for tests, looked at with mtools, fsck.fat and sha256sum rather than with our own code.
#![allow(dead_code, reason = "every test binary uses another part of it")]
#![allow(missing_docs, unreachable_pub, reason = "a module of test binaries")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tillstick::error::Result;
use tillstick::model::{
    ArtifactFacts, BackupId, Cancel, MANIFEST_FORMAT, Manifest, Quiet, Run, SourceFacts, TextFacts,
};
use tillstick::stick::Volume;
use tillstick::stick::folder::open_folder;
use tillstick::stick::fs::StickFs;
use tillstick::stick::image::open_volume;
use tillstick::stick::layout::NOTE;
use tillstick::stick::publish::{Outgoing, PublishRules, Published, publish};

/// Just above the least that FAT32 can be with one sector to a cluster.
pub const VOLUME_KIB: u64 = 34_000;

pub fn quiet() -> Run<'static> {
    static CANCEL: std::sync::LazyLock<Cancel> = std::sync::LazyLock::new(Cancel::default);
    Run { monitor: &Quiet, cancel: &CANCEL }
}

/// A finished backup in a folder of its own; its content depends on box, day, name and size.
pub struct Backup {
    dir: TempDir,
    pub manifest: Manifest,
    pub manifest_bytes: Vec<u8>,
    signature: Vec<u8>,
}

impl Backup {
    pub fn new(box_name: &str, day: u8, artifacts: &[(&str, usize)]) -> Self {
        let dir = scratch();
        let facts = artifacts.iter().map(|(name, size)| {
            let content = noise(&format!("{box_name} {day} {name}"), *size);
            fs::write(dir.path().join(name), &content).unwrap();
            ArtifactFacts {
                name: (*name).to_owned().try_into().unwrap(),
                source: "kasse".parse().unwrap(),
                size: content.len() as u64,
                sha256: hex(&content),
                plain: None,
                text: TextFacts { size: 1, crc32: 1, xxh3: "0".repeat(32) },
                facts: SourceFacts::default(),
            }
        });
        let id: BackupId = format!("202611{day:02}T200000Z").parse().unwrap();
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            started: id.time(),
            finished: id.time(),
            id,
            customer: "104711".parse().unwrap(),
            box_name: box_name.parse().unwrap(),
            box_id: hex(box_name.as_bytes())[..32].to_owned(),
            clock_trusted: true,
            signed_by: None,
            config: None,
            tool: "tillstick test".into(),
            artifacts: facts.collect(),
        };
        let manifest_bytes = manifest.to_bytes();
        Self { dir, manifest, manifest_bytes, signature: vec![7; 64] }
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Manifest)) {
        change(&mut self.manifest);
        self.manifest_bytes = self.manifest.to_bytes();
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }

    /// Whether `content` is what belongs under `name`: an artifact, or one of its pieces of `part_max` bytes.
    pub fn has(&self, name: &str, content: &[u8], part_max: usize) -> bool {
        let (whole, number) = match name.rsplit_once('.') {
            Some((whole, digits)) if digits.parse::<usize>().is_ok() => (whole, digits.parse::<usize>().unwrap()),
            _ => return self.content(name) == content,
        };
        self.content(whole).chunks(part_max).nth(number - 1) == Some(content)
    }

    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            dir: self.dir.path(),
            manifest: &self.manifest,
            manifest_bytes: &self.manifest_bytes,
            signature: Some(&self.signature),
        }
    }
}

/// A folder in memory where there is one: thousands of flushes would wear a disk and wait for it.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Bytes that do not repeat and depend on the seed alone.
pub fn noise(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    let mut block = 0u64;
    while bytes.len() < len {
        bytes.extend(Sha256::new().chain_update(seed).chain_update(block.to_le_bytes()).finalize());
        block += 1;
    }
    bytes.truncate(len);
    bytes
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stick: an image, perhaps with a partition table, or a folder.
pub struct Stick {
    dir: TempDir,
    volume: Option<Volume>,
}

impl Stick {
    pub fn superfloppy() -> Self {
        Self::image(0)
    }

    pub fn partitioned() -> Self {
        Self::image(1 << 20)
    }

    pub fn folder() -> Self {
        Self { dir: scratch(), volume: None }
    }

    /// A stick whose free clusters hold what was there before it was formatted.
    pub fn used() -> Self {
        let dir = scratch();
        fs::write(dir.path().join("stick.img"), noise("old data", 1 << 20).repeat(VOLUME_KIB as usize / 1024)).unwrap();
        Self::format(dir, 0)
    }

    fn image(offset: u64) -> Self {
        Self::format(scratch(), offset)
    }

    fn format(dir: TempDir, offset: u64) -> Self {
        let path = dir.path().join("stick.img");
        let size = VOLUME_KIB * 1024;
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap();
        file.set_len(offset + size).unwrap();
        let (sectors, blocks) = ((offset / 512).to_string(), VOLUME_KIB.to_string());
        let path_text = path.to_str().unwrap();
        let fat = ["-F", "32", "-s", "1", "-n", "KASSE", "--offset", &sectors, path_text, &blocks];
        output(Command::new("mkfs.vfat").args(fat));
        let stick = Self { dir, volume: Some(Volume { path, offset, size }) };
        stick.put("Urlaub.jpg", &noise("picture", 40_000));
        stick
    }

    pub fn volume(&self) -> Option<&Volume> {
        self.volume.as_ref()
    }

    pub fn open(&self) -> Box<dyn StickFs> {
        match &self.volume {
            Some(volume) => open_volume(volume, true).unwrap(),
            None => open_folder(self.dir.path()).unwrap(),
        }
    }

    pub fn publish(&self, backup: &Backup, rules: &PublishRules) -> Result<Published> {
        publish(&mut *self.open(), &backup.outgoing(), rules, &quiet())
    }

    /// Everything on the image.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.volume.as_ref().unwrap().path).unwrap()
    }

    fn mtools(&self, tool: &str) -> Command {
        let volume = self.volume.as_ref().unwrap();
        let mut command = Command::new(tool);
        command.env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8");
        command.arg("-i").arg(format!("{}@@{}", volume.path.display(), volume.offset));
        command
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        if self.volume.is_none() {
            return fs::write(self.dir.path().join(path), content).unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        output(self.mtools("mcopy").arg(file.path()).arg(format!("::/{path}")));
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        if self.volume.is_none() {
            return fs::read(self.dir.path().join(path)).unwrap();
        }
        output(self.mtools("mtype").arg(format!("::/{path}")))
    }

    /// Changes one byte of a file.
    pub fn spoil(&self, path: &str) {
        let mut content = self.get(path);
        content[100] ^= 1;
        fs::write(self.dir.path().join(path), content).unwrap();
    }

    pub fn delete(&self, path: &str) {
        match &self.volume {
            None => fs::remove_file(self.dir.path().join(path)).unwrap(),
            Some(_) => drop(output(self.mtools("mdel").arg(format!("::/{path}")))),
        }
    }

    pub fn holds(&self, path: &str, content: &[u8]) {
        assert!(self.get(path) == content, "{path} has another content");
    }

    /// Leaves so many bytes free.
    pub fn fill_up_to(&self, left: u64) {
        let mut fs = self.open();
        let size = fs.free().unwrap() - left;
        drop(fs.create_hidden("filler.bin", size).unwrap());
        fs.unhide("filler.bin").unwrap();
        fs.sync().unwrap();
    }

    /// All files that a person sees, but for the one that was there before us.
    pub fn in_sight(&self) -> Vec<String> {
        self.files(&[])
    }

    /// All hidden files but the note, which always is.
    pub fn hidden(&self) -> Vec<String> {
        let seen = self.in_sight();
        let mut all = self.files(&["-a"]);
        all.retain(|path| !seen.contains(path) && path != NOTE);
        if self.volume.is_none() {
            all = seen.into_iter().filter(|path| path.ends_with(".part")).collect();
        }
        all
    }

    fn files(&self, options: &[&str]) -> Vec<String> {
        let mut files = Vec::new();
        match &self.volume {
            None => walk(self.dir.path(), self.dir.path(), &mut files),
            Some(_) => {
                let listing = output(self.mtools("mdir").args(options).args(["-b", "-/", "::"]));
                let listing = String::from_utf8(listing).unwrap();
                let paths = listing.lines().map(|line| line.trim_start_matches("::/").to_owned());
                files.extend(paths.filter(|path| !path.ends_with('/') && path != "Urlaub.jpg"));
            }
        }
        files.sort();
        files
    }

    /// `sha256sum -c` accepts the list, which has so many lines; and the picture is as it was.
    pub fn sums_are_right(&self, lines: usize) {
        let copy = tempfile::tempdir().unwrap();
        let root = match &self.volume {
            None => self.dir.path(),
            Some(_) => {
                output(self.mtools("mcopy").args(["-s", "-n", "::/*"]).arg(copy.path()));
                assert!(fs::read(copy.path().join("Urlaub.jpg")).unwrap() == noise("picture", 40_000));
                copy.path()
            }
        };
        let checked = output(Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(root));
        assert_eq!(String::from_utf8(checked).unwrap().matches(": OK\n").count(), lines);
    }

    /// `fsck.fat` finds nothing to say.
    pub fn is_clean(&self) {
        if self.volume.is_some() {
            let said = fsck(&self.partition(), "-n");
            assert!(said.0, "{}", said.1);
        }
    }

    /// `fsck.fat` finds nothing but the mark that the stick was pulled out once, which is not ours to take away.
    pub fn is_sound(&self) {
        if self.volume.is_some() {
            let image = self.partition();
            let (_, said) = fsck(&image, "-n");
            let known =
                ["boot sector and its backup", "mostly harmless", "65:01/00", "Not automatically", "Dirty bit is set"];
            let known = |line: &&str| known.iter().any(|known| line.contains(known));
            let said: Vec<&str> = said.lines().skip(1).filter(|line| !known(line)).collect();
            let rest = [" Automatically removing dirty bit.", "", "Leaving filesystem unchanged."];
            assert!(said.iter().all(|line| rest.contains(line) || line.contains(" files, ")), "{said:#?}");
        }
    }

    /// The volume in a file of its own: `fsck.fat` knows no offsets.
    pub fn partition(&self) -> PathBuf {
        let volume = self.volume.as_ref().unwrap();
        let path = self.dir.path().join("partition.img");
        fs::write(&path, &self.bytes()[volume.offset as usize..]).unwrap();
        path
    }
}

/// Whether `fsck.fat` was content, and what it said.
pub fn fsck(path: &Path, option: &str) -> (bool, String) {
    let said = Command::new("fsck.fat").arg(option).arg(path).stdin(Stdio::null()).output().unwrap();
    (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
