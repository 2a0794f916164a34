//! What every story of one box works with: its configuration, its primary, its identity.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{served, state};
use crate::config::{Config, FilesConfig, SourceKind, StoreKind, Unreadable};
use crate::error::{Context, Error, Kind, Result};
use crate::host::lock::Lock;
use crate::host::{durable, entropy};
use crate::journal::JOURNAL;
use crate::model::FileName;
use crate::primary::Primary;
use crate::source::Source;
use crate::source::files::Files;
use crate::source::sqlite::Sqlite;
use crate::trust::STICK_KEY;
use crate::trust::signing::BOX_KEY;

const BOX_ID: &str = "box-id";
const ID_LOCK: &str = ".box-id.lock";
/// How long another program may take to give the box its id, and how often it is asked whether it has.
const ID_MAX: Duration = Duration::from_secs(10);
const ID_EVERY: Duration = Duration::from_millis(5);

/// One configured box.
pub struct Site {
    /// What its configuration says.
    pub config: Config,
    /// Where its backups are made.
    pub primary: Primary,
    /// The random id it gave itself at its first start: 32 hex digits.
    pub box_id: String,
}

impl Site {
    /// Opens the primary and learns, or at the first start makes, the box's id. State of a newer program is refused.
    pub fn open(config: Config) -> Result<Self> {
        state::bring_forward(&config.state)?;
        let primary = Primary::open(&config.primary.dir)?;
        let box_id = box_id(&config.state)?;
        Ok(Self { config, primary, box_id })
    }

    /// Where its journal is.
    pub(super) fn journal(&self) -> PathBuf {
        self.config.state.join(JOURNAL)
    }

    /// The source `name`; temporary copies of it go to `spool`.
    pub fn source(&self, name: &FileName, spool: &Path) -> Result<Box<dyn Source>> {
        let Some(source) = self.config.sources.get(name) else {
            let known: Vec<&str> = self.config.sources.keys().map(FileName::as_str).collect();
            return Err(Error::new(Kind::Usage, format!("no source {:?} is configured", name.as_str()))
                .help(format!("the sources are: {}", known.join(", "))));
        };
        Ok(match &source.kind {
            SourceKind::Sqlite(sqlite) => Box::new(Sqlite {
                path: sqlite.path.clone(),
                spool: spool.to_owned(),
                lock_wait: sqlite.lock_wait,
                locked_pass: sqlite.locked_pass,
            }),
            SourceKind::Files(files) => Box::new(self.files(files)),
            SourceKind::Mariadb(config) => Box::new(served::mariadb(config)),
            SourceKind::Postgresql(config) => Box::new(served::postgresql(config)),
        })
    }

    /// The files that a source means, without the backups themselves and without databases that have their own source:
    /// copies of those, taken while they are written, would be worth nothing.
    pub fn files(&self, files: &FilesConfig) -> Files {
        // A copy of what this box proves itself by would prove anybody to be it.
        let secrets = [BOX_KEY, STICK_KEY].map(|name| self.config.state.join(name));
        let mut skip = vec![self.primary.dir().to_owned(), self.journal()];
        skip.extend(secrets);
        for store in self.config.stores.values() {
            if let StoreKind::Directory(directory) = &store.kind {
                skip.push(directory.path.clone());
            }
            // Nor of what opens a store.
            skip.extend(store.kind.secret_file().map(Path::to_owned));
        }
        for source in self.config.sources.values() {
            if let SourceKind::Sqlite(sqlite) = &source.kind {
                for ending in ["", "-wal", "-shm", "-journal"] {
                    let mut path = sqlite.path.clone().into_os_string();
                    path.push(ending);
                    skip.push(path.into());
                }
            }
        }
        Files {
            paths: files.paths.clone(),
            optional: files.preset_paths(),
            exclude: files.exclude.clone(),
            skip,
            one_file_system: files.one_file_system,
            all_or_nothing: files.unreadable == Unreadable::Fail,
        }
    }

    /// Removes what a start that died while it wrote the box's id has left.
    pub(super) fn sweep(&self) -> Result<()> {
        let path = box_id_path(&self.config.state);
        if !durable::is_there(&durable::part_of(&path))? {
            return Ok(());
        }
        let _alone = alone(&self.config.state)?;
        durable::remove_part(&path)
    }
}

/// Where a box keeps its id.
pub(super) fn box_id_path(state: &Path) -> PathBuf {
    state.join(BOX_ID)
}

/// Gives a box that has no id yet this one; tells whether it has it now.
pub(super) fn take_box_id(state: &Path, id: &str) -> Result<bool> {
    let path = box_id_path(state);
    let _alone = alone(state)?;
    Ok(durable::write_new(&path, format!("{id}\n").as_bytes(), 0o600)? || read_box_id(&path)? == id)
}

/// Makes the folder, and waits until no other program gives the box an id: an agent that is being started, and whoever asks
/// it something at once, both find none.
fn alone(state: &Path) -> Result<Lock> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state);
    made.context(|| format!("cannot make the folder {state:?}"))?;
    let until = Instant::now() + ID_MAX;
    loop {
        match Lock::take(&state.join(ID_LOCK), "giving the box its id") {
            Err(error) if error.kind() == Kind::Busy && Instant::now() < until => thread::sleep(ID_EVERY),
            other => return other,
        }
    }
}

fn box_id(state: &Path) -> Result<String> {
    let path = box_id_path(state);
    match read_box_id(&path) {
        Err(error) if error.kind() == Kind::Missing => {
            let _alone = alone(state)?;
            let id: String = entropy::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
            // One that is there after all stays: with another id the box would be a stranger to its own sticks.
            match durable::write_new(&path, format!("{id}\n").as_bytes(), 0o600)? {
                true => Ok(id),
                false => read_box_id(&path),
            }
        }
        known => known,
    }
}

fn read_box_id(path: &Path) -> Result<String> {
    let bytes = durable::read(path, 100)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::new(Kind::Damaged, format!("{path:?} does not hold the 32 hex digits of this box's id")).help(
        "put the id back from a manifest on a stick of this box (`box_id`), or remove the file to become a new box",
    ))
}
