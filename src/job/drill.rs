//! The drill: an artifact is only proven restorable by restoring it. It is loaded into a scratch database, which is
//! dumped again: the same text means the same tables, rows and values.

use std::fs;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::artifact::{Checked, same_text};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, Quiet, Run, Sink, Stage, TextFacts};
use crate::pack::Unpacker;
use crate::source::sqlite::{LoadOptions, Sqlite, load};
use crate::source::{Source, files};

/// How much text is gathered before it is hashed, in bytes.
const GATHER: usize = 64 << 10;

/// A scratch folder is called this and the id of its process.
const DRILL: &str = ".drill-";

/// Removes the scratch folders in `parent` whose process has died.
pub(super) fn sweep(parent: &Path) {
    let own = std::process::id();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(DRILL)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| pid == own || !Path::new("/proc").join(pid.to_string()).exists()) {
            // What cannot be removed is somebody else's, and no drill fails because of it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Loads the artifact that `reader` gives into a database under `scratch`, and compares it with its manifest.
pub(super) fn drill(reader: impl Read + Send, facts: &ArtifactFacts, scratch: &Path, run: &Run) -> Result<()> {
    let scratch = Scratch::new(scratch)?;
    let database = Sqlite {
        path: scratch.0.join("drill.db"),
        spool: scratch.0.clone(),
        lock_wait: Duration::ZERO,
        locked_pass: Duration::MAX,
    };
    run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
    let mut text = Unpacker::new(Checked::new(reader, facts));
    load(&mut text, &database.path, &LoadOptions::default(), run)
        .context(|| format!("`{}` cannot be restored", facts.name))?;
    run.end(Stage::Load);

    compare(&database, facts, run)
}

/// Unpacks the archive that `open` opens into a folder under `scratch`, and compares what lies there with the archive.
pub(super) fn drill_files<'r>(
    open: &mut dyn FnMut() -> Result<Box<dyn Read + Send + 'r>>,
    facts: &ArtifactFacts,
    scratch: &Path,
    run: &Run,
) -> Result<()> {
    let scratch = Scratch::new(scratch)?;
    let target = scratch.0.join("files");
    run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
    let unpacked = files::into_new(Unpacker::new(Checked::new(open()?, facts)), &target, run)
        .context(|| format!("`{}` cannot be restored", facts.name))?;
    run.end(Stage::Load);
    log::info!("drill of {}: {} entries, {:?}", facts.name, unpacked.entries, unpacked.warnings);
    run.begin(Stage::Compare, facts.name.as_str(), facts.text.size);
    files::equal(Unpacker::new(Checked::new(open()?, facts)), &target, run)
        .context(|| format!("`{}` does not restore to what was backed up", facts.name))?;
    run.end(Stage::Compare);
    Ok(())
}

/// Whether the database at `path` is what the artifact holds, to the last value. Temporary copies go beside it.
pub(super) fn holds(path: &Path, facts: &ArtifactFacts, run: &Run) -> Result<bool> {
    let spool = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let database = Sqlite {
        path: path.to_owned(),
        spool: spool.to_owned(),
        lock_wait: Duration::ZERO,
        locked_pass: Duration::MAX,
    };
    match compare(&database, facts, run) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::Cancelled => Err(error),
        // It may be another database, one that is in use, or none at all.
        Err(_) => Ok(false),
    }
}

fn compare(database: &Sqlite, facts: &ArtifactFacts, run: &Run) -> Result<()> {
    run.begin(Stage::Compare, facts.name.as_str(), facts.text.size);
    let mut content = ContentHash::default();
    let found = database.dump(&mut content, &Run { monitor: &Quiet, cancel: run.cancel })?;
    if let Some((was, is)) = facts.facts.tables.iter().zip(&found.tables).find(|(was, is)| was != is) {
        let what = format!("table {:?} had {} rows and {:?} comes back with {}", was.name, was.rows, is.name, is.rows);
        return Err(Error::new(
            Kind::Damaged,
            format!("`{}` does not restore to what was backed up: {what}", facts.name),
        ));
    }
    same_text(&content.facts(), facts)?;
    run.end(Stage::Compare);
    Ok(())
}

/// A folder that is gone when the drill is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> Result<Self> {
        sweep(parent);
        let path = parent.join(format!("{DRILL}{}", std::process::id()));
        // It will hold a whole shop's data, perhaps in a folder of everybody's.
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.context(|| format!("cannot make the scratch folder {path:?}"))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A sink that keeps nothing but what the manifest says of a text.
#[derive(Default)]
pub(super) struct ContentHash {
    text: Vec<u8>,
    size: u64,
    crc32: crc32fast::Hasher,
    xxh3: Xxh3,
}

impl ContentHash {
    pub(super) fn facts(mut self) -> TextFacts {
        self.take();
        TextFacts { size: self.size, crc32: self.crc32.finalize(), xxh3: format!("{:032x}", self.xxh3.digest128()) }
    }

    fn take(&mut self) {
        self.size += self.text.len() as u64;
        self.crc32.update(&self.text);
        self.xxh3.update(&self.text);
        self.text.clear();
    }
}

impl Sink for ContentHash {
    fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    fn boundary(&mut self, _key: u64) -> bool {
        self.text.len() >= GATHER
    }

    fn cut(&mut self) -> Result<()> {
        self.take();
        Ok(())
    }
}
