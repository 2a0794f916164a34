//! Publishing's own FAT reader and writer. Reading any volume ends and writes nothing; publishing onto a stick that was
//! judged usable writes within the volume, and every file that is not ours stays as it was, whether it succeeds or not.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use super::{Image, probe, quiet, scratch};
use tempfile::TempDir;
use tillstick::error::Result;
use tillstick::model::Manifest;
use tillstick::policy::stick::VerdictKind;
use tillstick::stick::fs::StickFs;
use tillstick::stick::generations::{stored, verify};
use tillstick::stick::image::open_medium;
use tillstick::stick::layout;
use tillstick::stick::medium::Medium;
use tillstick::stick::publish::{Outgoing, PublishRules, publish};

/// What one input may cost: folders, names and bytes that are read.
const FOLDERS_MAX: usize = 20;
const NAMES_MAX: usize = 200;
const FILE_MAX: u64 = 64 << 10;
/// Clusters of a chain that are followed, to see who shares them.
const CHAIN_MAX: usize = 2_000;
/// Bytes that may be asked of the medium by one input: 65,536 slots in each of the folders, and the table many times.
const TRAFFIC_MAX: u64 = 512 << 20;

const ARTIFACT: &str = "104711_kasse.sql.gz";
const CONTENT: &[u8] = b"what is published";

/// One volume of an image.
struct Volume {
    image: Arc<Mutex<Image>>,
    offset: u64,
    size: u64,
    writable: bool,
    traffic: u64,
}

impl Volume {
    fn at(&mut self, pos: u64, len: usize) -> io::Result<u64> {
        self.traffic += len as u64;
        assert!(self.traffic <= TRAFFIC_MAX, "it reads without an end");
        match pos.checked_add(len as u64).filter(|end| *end <= self.size) {
            Some(_) => Ok(self.offset + pos),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Medium for Volume {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        let at = self.at(pos, buf.len())?;
        self.image.lock().unwrap().read(at, buf);
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(self.writable, "a stick that is read is written to");
        assert!(pos.is_multiple_of(512) && bytes.len().is_multiple_of(512), "a disk writes whole sectors");
        let at = self.at(pos, bytes.len());
        let at = at.unwrap_or_else(|_| panic!("{} bytes go to {pos}, outside of the volume", bytes.len()));
        self.image.lock().unwrap().write(at, bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A volume of the image that is being worked on.
#[derive(Clone)]
struct Place {
    image: Arc<Mutex<Image>>,
    offset: u64,
    size: u64,
}

impl Place {
    fn open(&self, writable: bool) -> Result<Box<dyn StickFs>> {
        let Self { image, offset, size } = self.clone();
        open_medium(Box::new(Volume { image, offset, size, writable, traffic: 0 }), size, writable)
    }
}

pub(super) fn run(data: &[u8]) {
    let image = Image::decode(data);
    let (facts, verdict) = probe::look(&image);
    let usable = match verdict.kind {
        VerdictKind::Usable { volume } => Some(&facts.volumes[volume]),
        VerdictKind::Refused(_) => None,
    };
    let (offset, size) = usable.map_or((0, image.size), |volume| (volume.offset, volume.size));
    let place = Place { image: Arc::new(Mutex::new(image)), offset, size };
    let Ok(mut seen) = place.open(false).map(|mut fs| read_all(&mut *fs)) else { return };
    if let Some(volume) = usable
        && let Some(names) = &seen.root
    {
        let mut probed: Vec<String> = volume.root.iter().map(|entry| entry.name.clone()).collect();
        // Publishing takes these for no names at all.
        probed.retain(|name| name != "." && name != ".." && !name.contains('/'));
        let mut names = names.clone();
        (probed.sort(), names.sort());
        assert!(probed == names, "the two readers disagree: {probed:?} and {names:?}");
        seen.drop_disputed(&place);
        write(&place, &seen);
    }
}

/// What lies on a volume, as far as it can be read.
#[derive(Default)]
struct Seen {
    root: Option<Vec<String>>,
    /// The files that are not ours, with the beginning of their content.
    foreign: BTreeMap<String, Option<Vec<u8>>>,
    /// Where every file and folder begins.
    starts: Vec<(String, u32)>,
}

impl Seen {
    /// Forgets files that share clusters with others, or lie in clusters that count as free: no system would spare them.
    fn drop_disputed(&mut self, place: &Place) {
        let image = place.image.lock().unwrap();
        let at = |at: usize, len: usize| {
            let mut bytes = [0; 4];
            image.read(place.offset + at as u64, &mut bytes[..len]);
            u64::from(u32::from_le_bytes(bytes))
        };
        let (sector, flags) = (at(11, 2), at(40, 2));
        let live = if flags & 0x80 == 0 { 0 } else { flags & 15 };
        let table = at(14, 2) * sector + live * at(36, 4) * sector;
        let link = |cluster: u32| at((table + u64::from(cluster) * 4) as usize, 4) as u32 & 0x0fff_ffff;
        let mut owners: HashMap<u32, &str> = HashMap::new();
        let mut disputed = Vec::new();
        for (path, start) in &self.starts {
            let mut cluster = *start;
            for _ in 0..CHAIN_MAX {
                if !(2..0x0fff_fff7).contains(&cluster) {
                    break;
                }
                if let Some(other) = owners.insert(cluster, path) {
                    disputed.extend([path.clone(), other.to_owned()]);
                }
                cluster = link(cluster);
                if cluster == 0 {
                    disputed.push(path.clone());
                }
            }
        }
        self.foreign.retain(|path, _| !disputed.contains(path));
    }
}

fn read_all(fs: &mut dyn StickFs) -> Seen {
    let (mut dirs, mut folders, mut seen) = (vec![String::new()], 0, Seen::default());
    while let Some(dir) = dirs.pop() {
        folders += 1;
        let Ok(entries) = fs.list(&dir) else { continue };
        if dir.is_empty() {
            seen.root = Some(entries.iter().map(|entry| entry.name.clone()).collect());
        }
        for entry in entries.into_iter().take(NAMES_MAX) {
            assert!(!entry.name.contains('/') && entry.name != "." && entry.name != "..", "{:?}", entry.name);
            let path = layout::join(&dir, &entry.name);
            seen.starts.extend(entry.start_cluster.map(|start| (path.clone(), start)));
            if entry.is_dir {
                if folders + dirs.len() < FOLDERS_MAX {
                    dirs.push(path);
                }
            } else if is_foreign(&path) {
                let content = content(fs, &path);
                seen.foreign.insert(path, content);
            }
        }
    }
    let _ = fs.free();
    for stored in stored(fs).unwrap_or_default().iter().take(4) {
        let _ = verify(fs, stored, &quiet());
    }
    seen
}

fn content(fs: &mut dyn StickFs, path: &str) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs.read(path).ok()?.take(FILE_MAX).read_to_end(&mut content).ok()?;
    Some(content)
}

/// Whether publishing must leave it alone, by its name.
fn is_foreign(path: &str) -> bool {
    let ours = ["tillstick/", "104711_", "sha256sums", "readme.txt"];
    !ours.iter().any(|ours| path.to_lowercase().starts_with(ours))
}

fn write(place: &Place, before: &Seen) {
    DESK.with(|desk| {
        let Ok(mut fs) = place.open(true) else { return };
        let outgoing =
            Outgoing { dir: desk.dir.path(), manifest: &desk.manifest, manifest_bytes: &desk.bytes, signature: None };
        let published = publish(&mut *fs, &outgoing, &PublishRules::default(), &quiet());
        drop(fs);
        let mut fs = place.open(false).expect("it was opened a moment ago");
        let after = read_all(&mut *fs);
        for (path, content) in &before.foreign {
            let now = after.foreign.get(path);
            let shown = |content: &[u8]| String::from_utf8_lossy(&content[..content.len().min(200)]).into_owned();
            assert!(
                now == Some(content),
                "{path:?} changed from {:?} to {:?} among {:?}: {published:?}",
                content.as_deref().map(shown),
                now.map(|now| now.as_deref().map(shown)),
                after.foreign.keys()
            );
        }
        if published.is_ok() {
            let held = stored(&mut *fs).unwrap_or_default();
            let ours = held.iter().find(|held| held.manifest == desk.manifest);
            let proven = ours.is_some_and(|held| held.complete && verify(&mut *fs, held, &quiet()).is_ok());
            assert!(proven, "it is not there: {published:?}");
        }
    });
}

/// What is published: one small backup.
struct Desk {
    dir: TempDir,
    manifest: Manifest,
    bytes: Vec<u8>,
}

thread_local! {
    static DESK: Desk = Desk::new();
}

impl Desk {
    fn new() -> Self {
        let dir = scratch();
        std::fs::write(dir.path().join(ARTIFACT), CONTENT).unwrap();
        let bytes = include_bytes!("published.json").to_vec();
        let manifest = Manifest::parse(&bytes).unwrap();
        Self { dir, manifest, bytes }
    }
}
