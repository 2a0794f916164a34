//! Makes images with the system's own tools and judges them.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tillstick::policy::stick::{Reason, StickFacts, StickRules, Verdict, VerdictKind, VolumeFacts, judge};
use tillstick::policy::tse::TseRules;
use tillstick::stick::identify::inspect;
use tillstick::stick::probe::Limits;

pub(crate) const MIB: u64 = 1 << 20;
/// Enough for 65,525 clusters of 512 bytes and their tables.
pub(crate) const FAT32_SIZE: u64 = 40 * MIB;

/// An image file in a folder of its own, both gone after the test.
pub(crate) struct Image {
    _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

/// Runs a tool; the tests need dosfstools, mtools, exfatprogs, ntfs-3g, e2fsprogs and fdisk.
pub(crate) fn run(tool: &str, args: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new(tool)
        .args(args)
        .env("PATH", path)
        .env("MTOOLS_SKIP_CHECK", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} is needed for this test: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl Image {
    pub(crate) fn empty(size: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stick.img");
        File::create(&path).unwrap().set_len(size).unwrap();
        Self { _dir: dir, path }
    }

    /// An image that `tool` formatted.
    pub(crate) fn made(size: u64, tool: &str, args: &[&str]) -> Self {
        let image = Self::empty(size);
        run(tool, &[args, &[image.text()]].concat(), "");
        image
    }

    /// A FAT32 volume from the first byte on.
    pub(crate) fn fat32() -> Self {
        Self::made(FAT32_SIZE, "mkfs.vfat", &["-F", "32", "-s", "1", "-i", "ABCD1234", "-n", "KASSE"])
    }

    /// A table written by sfdisk, and FAT32 volumes of `FAT32_SIZE` at the given MiB.
    pub(crate) fn divided(size: u64, script: &str, volumes: &[u64]) -> Self {
        let image = Self::empty(size);
        run("sfdisk", &["-q", image.text()], script);
        for at in volumes {
            image.put_image(&Self::fat32(), at * MIB);
        }
        image
    }

    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn patch(&self, offset: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, offset).unwrap();
    }

    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    pub(crate) fn cut(&self, size: u64) {
        OpenOptions::new().write(true).open(&self.path).unwrap().set_len(size).unwrap();
    }

    /// Copies another image's content to `offset`.
    pub(crate) fn put_image(&self, other: &Image, offset: u64) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        for (index, chunk) in fs::read(&other.path).unwrap().chunks(64 << 10).enumerate() {
            if chunk.iter().any(|byte| *byte != 0) {
                file.write_all_at(chunk, offset + ((index as u64) << 16)).unwrap();
            }
        }
    }

    /// Puts a file into the volume at `offset`; `to` is `NAME` or `FOLDER/NAME`.
    pub(crate) fn put(&self, offset: u64, to: &str, content: &[u8]) {
        let from = self.path.with_file_name("content");
        fs::write(&from, content).unwrap();
        let volume = format!("{}@@{offset}", self.text());
        run("mcopy", &["-o", "-i", &volume, from.to_str().unwrap(), &format!("::{to}")], "");
    }

    pub(crate) fn mkdir(&self, offset: u64, name: &str) {
        run("mmd", &["-i", &format!("{}@@{offset}", self.text()), &format!("::{name}")], "");
    }

    /// What is found out; the image must be the same afterwards.
    pub(crate) fn facts(&self) -> StickFacts {
        let (sum, time) = self.state();
        let facts = inspect(&self.path, &TseRules::default(), &Limits::default()).unwrap().facts;
        assert_eq!(self.state(), (sum, time), "probing changed the image");
        facts
    }

    fn state(&self) -> (u64, std::time::SystemTime) {
        let bytes = fs::read(&self.path).unwrap();
        (xxhash_rust::xxh3::xxh3_64(&bytes), fs::metadata(&self.path).unwrap().modified().unwrap())
    }

    pub(crate) fn verdict(&self) -> Verdict {
        judge(&self.facts(), &StickRules::default())
    }

    /// Why it is refused.
    pub(crate) fn refusal(&self) -> Reason {
        match self.verdict().kind {
            VerdictKind::Refused(reason) => reason,
            usable => panic!("not refused: {usable:?}\n{:#?}", self.facts()),
        }
    }

    /// The volume that is used.
    pub(crate) fn volume(&self) -> VolumeFacts {
        let facts = self.facts();
        match judge(&facts, &StickRules::default()).kind {
            VerdictKind::Usable { volume } => facts.volumes[volume].clone(),
            refused => panic!("{refused:?}\n{facts:#?}"),
        }
    }
}

/// A FAT32 volume's geometry, read by the tests on their own.
pub(crate) struct Geometry {
    pub(crate) fat: u64,
    pub(crate) fat_len: u64,
    pub(crate) data: u64,
    pub(crate) cluster: u64,
}

pub(crate) fn geometry(image: &Image) -> Geometry {
    let boot = image.bytes(0, 512);
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let sector = u16_at(11);
    let fat_len = u64::from(u32::from_le_bytes(boot[36..40].try_into().unwrap())) * sector;
    let fat = u16_at(14) * sector;
    Geometry { fat, fat_len, data: fat + u64::from(boot[16]) * fat_len, cluster: u64::from(boot[13]) * sector }
}

impl Geometry {
    /// Sets a table entry in both tables.
    pub(crate) fn link(&self, image: &Image, cluster: u32, value: u32) {
        for table in [self.fat, self.fat + self.fat_len] {
            image.patch(table + u64::from(cluster) * 4, &value.to_le_bytes());
        }
    }

    pub(crate) fn at(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster
    }
}

/// The byte offset and start cluster of the short entry with this raw name, in the first cluster of a folder.
pub(crate) fn entry(image: &Image, folder_at: u64, name: &[u8; 11]) -> (u64, u32) {
    let folder = image.bytes(folder_at, 512);
    let index = folder.chunks(32).position(|entry| entry[..11] == *name).expect("the entry is there");
    let entry = &folder[index * 32..][..32];
    let low = u32::from(u16::from_le_bytes([entry[26], entry[27]]));
    let high = u32::from(u16::from_le_bytes([entry[20], entry[21]]));
    (folder_at + index as u64 * 32, high << 16 | low)
}

/// Whether the test may use loop devices.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/dev/loop-control").exists()
}
