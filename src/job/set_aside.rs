//! Databases that restores set aside on their servers: which there are, and when they go (`<state>/set-aside.json`). One that is not
//! noted here is never dropped, whatever it is called.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::one_line;
use super::{Site, served};
use crate::error::{Error, Kind, Result};
use crate::host::durable;
use crate::model::{BackupId, FileName, Run};
use crate::policy::set_aside::{Kept, goes};
use crate::source::Served;

const FILE: &str = "set-aside.json";
/// The longest list that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// One database that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Aside {
    /// The source whose server it is on.
    source: FileName,
    /// The database whose place was taken.
    of: String,
    /// What it is called now.
    name: String,
    since: Timestamp,
}

/// What becomes of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The source whose server it is on.
    pub source: FileName,
    /// Its name there.
    pub name: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reason: String,
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

fn read(state: &Path) -> Result<Vec<Aside>> {
    match durable::read(&path(state), FILE_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Kind::Damaged, format!("{:?} is not readable", path(state)))
                .because(cause)
                .help("remove it: what it names is then kept on the servers until you drop it")
        }),
        Err(error) if error.kind() == Kind::Missing => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write(state: &Path, all: &[Aside]) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(all)
        .map_err(|cause| Error::new(Kind::Io, format!("cannot write {:?}", path(state))).because(cause))?;
    durable::write(&path(state), &bytes, 0o600)
}

/// Notes that a restore of `of` has set `name` aside.
pub(super) fn note(site: &Site, source: &FileName, of: &str, name: &str) -> Result<()> {
    let mut all = read(&site.config.state)?;
    all.retain(|aside| aside.source != *source || aside.name != name);
    all.push(Aside { source: source.clone(), of: of.to_owned(), name: name.to_owned(), since: Timestamp::now() });
    write(&site.config.state, &all)
}

/// Judges all that are noted, and drops those whose time is over unless `dry_run`.
pub(super) fn prune(site: &Site, dry_run: bool, suspended: Option<&str>, run: &Run) -> Result<Vec<Judged>> {
    let (mut told, mut left) = (Vec::new(), Vec::new());
    let all = read(&site.config.state)?;
    for aside in &all {
        let (source, name) = (aside.source.clone(), aside.name.clone());
        let kept = Kept {
            since: aside.since,
            keep: keep_of(site, &aside.source),
            backed_up: backed_up(site, aside)?,
            suspended: suspended.map(str::to_owned),
        };
        match goes(&kept, Timestamp::now()) {
            Ok(reason) if dry_run => told.push(Judged { source, name, keep: false, reason }),
            Ok(reason) => match drop_it(site, aside, run) {
                Ok(()) => told.push(Judged { source, name, keep: false, reason }),
                Err(error) if error.kind() == Kind::Cancelled => return Err(error),
                Err(error) => {
                    left.push(aside.clone());
                    told.push(Judged { source, name, keep: true, reason: one_line(&error.report()) });
                }
            },
            Err(reason) => {
                left.push(aside.clone());
                told.push(Judged { source, name, keep: true, reason });
            }
        }
    }
    if !dry_run && left.len() < all.len() {
        write(&site.config.state, &left)?;
    }
    Ok(told)
}

fn keep_of(site: &Site, source: &FileName) -> Option<std::time::Duration> {
    site.config.sources.get(source)?.server()?.keep_replaced
}

fn drop_it(site: &Site, aside: &Aside, run: &Run) -> Result<()> {
    let served = server(site, &aside.source).ok_or_else(|| {
        Error::new(Kind::Config, format!("the configuration no longer has the source `{}` of a server", aside.source))
    })?;
    let database = served.named(&aside.name);
    // Somebody may have dropped it already.
    if database.is_there(run)? { database.drop_database(run) } else { Ok(()) }
}

fn server(site: &Site, source: &FileName) -> Option<Served> {
    site.config.sources.get(source).and_then(|config| served::server_of(&config.kind))
}

/// The newest whole backup of this box that has the database and was begun since.
fn backed_up(site: &Site, aside: &Aside) -> Result<Option<BackupId>> {
    let holds = |id: &BackupId, manifest: &crate::model::Manifest| {
        let database = |facts: &crate::model::ArtifactFacts| facts.facts.properties.get("database") == Some(&aside.of);
        (manifest.box_id == site.box_id && manifest.started > aside.since && manifest.artifacts.iter().any(database))
            .then(|| id.clone())
    };
    let found = site.primary.list()?.into_iter().find_map(|stored| {
        let manifest = stored.manifest().ok().filter(|manifest| stored.is_whole(manifest))?;
        holds(stored.id(), &manifest)
    });
    Ok(found)
}
