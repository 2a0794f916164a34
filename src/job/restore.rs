//! The restore: an artifact becomes a database again, beside the old one or in its place.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::artifact::Checked;
use super::plumbing::text_of;
use super::provenance::{Signed, Trust};
use super::record::{Record, recorded};
use super::sealed::opened;
use super::{Site, StoreAt, pieces, quiesce};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::journal::{How, Place, RunKind};
use crate::model::{ArtifactFacts, BackupId, FileName, ManifestFile, Run, Stage};
use crate::pack::Unpacker;
use crate::policy::provenance::Lies;
use crate::source::sqlite::{self, LoadOptions, Loaded};
use crate::store::shelf::Unsealing;

/// The longest list of accounts that is shown, in bytes.
const ACCOUNTS_MAX: u64 = 64 << 20;

/// What is restored.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A backup in the primary; the source must be named when it has several.
    Backup {
        /// Its id.
        id: BackupId,
        /// Which source of it.
        source: Option<FileName>,
    },
    /// A backup in a store.
    Store {
        /// The store.
        at: StoreAt,
        /// Its id.
        id: BackupId,
        /// Which source of it.
        source: Option<FileName>,
    },
    /// Any `.sql.gz`, `.sql` or `.tar.gz` file; nothing is known of it but what it says itself.
    File(PathBuf),
}

/// What a restore came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The new database: its file, or its name on the server.
    pub database: PathBuf,
    /// Where the old one was put, when there was one.
    pub set_aside: Option<PathBuf>,
    /// Rows of all tables.
    pub rows: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// An artifact that is about to be restored.
pub struct Chosen {
    /// What the manifest says of it, when there is one.
    pub facts: Option<ArtifactFacts>,
    /// What a person should know of it beforehand.
    pub(super) warnings: Vec<String>,
    pub(super) content: Box<dyn Read + Send>,
    pub(super) name: String,
    of: Option<Of>,
}

/// The backup that an artifact belongs to.
#[derive(Clone)]
struct Of {
    id: BackupId,
    place: Place,
    label: Option<String>,
    /// Whether the artifact is all of the backup.
    is_all: bool,
}

impl Chosen {
    /// Whether it holds files and no database.
    pub fn is_files(&self) -> bool {
        let by_name = || [".tar.gz", ".tgz", ".tar"].iter().any(|ending| self.name.ends_with(ending));
        self.facts.as_ref().map_or_else(by_name, |facts| facts.name.is_tar())
    }

    /// Whether it holds a server's accounts.
    pub fn is_accounts(&self) -> bool {
        self.facts.as_ref().is_some_and(pieces::is_accounts)
    }

    /// How many bytes it unpacks to, 0 when that is not known.
    pub(super) fn text_size(&self) -> u64 {
        self.facts.as_ref().map_or(0, |facts| facts.text.size)
    }
}

/// Finds what is to be restored.
pub fn choose(site: Option<&Site>, origin: &Origin, trust: &Trust, run: &Run) -> Result<Chosen> {
    find(site, origin, trust, &|signed, lies| trust.vouch(signed, lies, run), run)
}

/// The same again, for a second reading; it is compared with what the first manifest said.
pub(super) fn again(site: &Site, origin: &Origin, trust: &Trust, run: &Run) -> Result<Chosen> {
    find(Some(site), origin, trust, &|_, _| Ok(()), run)
}

fn find(
    site: Option<&Site>,
    origin: &Origin,
    trust: &Trust,
    vouch: &dyn Fn(Signed<'_>, Lies) -> Result<()>,
    run: &Run,
) -> Result<Chosen> {
    match (origin, site) {
        (Origin::File(path), _) => {
            let file = File::open(path).context(|| format!("cannot open {path:?}"))?;
            let name = path.display().to_string();
            let (content, name): (Box<dyn Read + Send>, String) = match name.strip_suffix(".age") {
                Some(name) => (
                    trust.identities.open(Box::new(file)).context(|| format!("cannot open {path:?}"))?,
                    name.to_owned(),
                ),
                None => (Box::new(file), name),
            };
            Ok(Chosen { facts: None, warnings: Vec::new(), content, name, of: None })
        }
        (Origin::Backup { id, source }, Some(site)) => {
            let stored = site.primary.find(id)?;
            let found = stored.manifest_file()?;
            vouch((&found.manifest, &found.bytes, found.signature.as_deref()), Lies::Here)?;
            let warnings = if found.sealed { Vec::new() } else { vec![ManifestFile::unsealed(id)] };
            let artifacts = found.manifest.artifacts;
            let is_all = artifacts.len() == 1;
            let facts = one_artifact(artifacts, source.as_ref(), id)?;
            let content = opened(Box::new(stored.open(&facts.name)?), &facts, &trust.identities)?;
            let facts = facts.opened();
            let of = Some(Of { id: id.clone(), place: Place::primary(), label: None, is_all });
            Ok(Chosen { name: facts.name.to_string(), facts: Some(facts), warnings, content, of })
        }
        (Origin::Store { at, id, source }, Some(site)) => {
            let mut store = at.open(site, run)?;
            let unsealing = Unsealing { identities: &trust.identities, scratch: site.primary.dir() };
            let found = store.find(id)?;
            vouch((&found.manifest, &found.bytes, found.signature.as_deref()), Lies::Elsewhere)?;
            let warnings = if found.sealed { Vec::new() } else { vec![ManifestFile::unsealed(id)] };
            let artifacts = found.manifest.artifacts;
            let is_all = artifacts.len() == 1;
            let facts = one_artifact(artifacts, source.as_ref(), id)?;
            let content = opened(store.artifact(id, &facts.name, &unsealing)?, &facts, &trust.identities)?;
            let facts = facts.opened();
            let of = Some(Of { id: id.clone(), place: store.place.clone(), label: store.label(), is_all });
            Ok(Chosen { name: facts.name.to_string(), facts: Some(facts), warnings, content, of })
        }
        (Origin::Backup { id, .. } | Origin::Store { id, .. }, None) => Err(Error::new(
            Kind::Usage,
            format!("{id} is the id of a backup, and without a configuration it is not known where"),
        )
        .help("name the configuration with --config, or give the file itself")),
    }
}

fn one_artifact(mut artifacts: Vec<ArtifactFacts>, source: Option<&FileName>, id: &BackupId) -> Result<ArtifactFacts> {
    let names: Vec<String> = artifacts.iter().map(|artifact| artifact.source.to_string()).collect();
    artifacts.retain(|artifact| source.is_none_or(|source| pieces::is_meant(artifact, source)));
    match (artifacts.pop(), artifacts.is_empty()) {
        (Some(artifact), true) => Ok(artifact),
        (None, _) => Err(Error::new(Kind::Missing, format!("{id} holds no artifact of that source"))
            .help(format!("it has: {}", names.join(", ")))),
        (Some(_), false) => Err(Error::new(Kind::Usage, format!("{id} holds several artifacts"))
            .help(format!("choose one with --source: {}", names.join(", ")))),
    }
}

/// The text of an artifact that holds a server's accounts: to be looked at, and put back by hand.
pub fn accounts(chosen: &mut Chosen) -> Result<String> {
    let Some(facts) = &chosen.facts else { return Err(Error::new(Kind::Usage, "it is not known what the file holds")) };
    let mut text = String::new();
    let mut reader = Unpacker::new(Checked::new(&mut chosen.content, facts)).take(ACCOUNTS_MAX);
    reader.read_to_string(&mut text).context(|| format!("cannot read {:?}", chosen.name))?;
    Ok(text)
}

/// Writes them into the new file `target`, for its owner alone.
pub fn accounts_into(chosen: &mut Chosen, target: &Path) -> Result<()> {
    let text = accounts(chosen)?;
    match durable::write_new(target, text.as_bytes(), 0o600)? {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, format!("{target:?} is there: nothing is overwritten"))),
    }
}

/// Restores into a new database at `target`, which must not exist; [`served`](super::served) does it where a server keeps the database.
pub fn into(site: Option<&Site>, chosen: &mut Chosen, target: &Path, run: &Run) -> Result<Report> {
    let loaded = recorded(site, RunKind::Restore, run, |record, run| {
        record.begin();
        load_and_prove(chosen, target, record, run)
    })?;
    Ok(Report { database: target.to_owned(), set_aside: None, rows: rows(&loaded, chosen), warnings: loaded.warnings })
}

/// Restores into the place of `database`: the new one is complete and checked before the old one is set aside, and the
/// old one stays where it is, whole and working, when anything fails.
pub fn in_place(
    site: &Site,
    chosen: &mut Chosen,
    source: &FileName,
    database: &Path,
    label: &str,
    run: &Run,
) -> Result<Report> {
    let (loaded, swapped) = recorded(Some(site), RunKind::Restore, run, |record, run| {
        let _lock = site.primary.lock("restore")?;
        record.begin();
        let all = quiesce::hold(site, None, "restore", run)?;
        let own = quiesce::hold(site, Some(source), "restore", run)?;
        let place = sqlite::Place::of(database)?;
        place.refuse_if_in_use()?;
        let loaded = load_and_prove(chosen, place.new_path(), record, run)?;
        let swapped = place.swap(label)?;
        let held = [own, all].map(|mut hold| [std::mem::take(&mut hold.warnings), hold.release()].concat()).concat();
        held.into_iter().for_each(|line| run.warn(line));
        Ok((loaded, swapped))
    })?;
    let rows = rows(&loaded, chosen);
    let warnings = [loaded.warnings, swapped.warnings].concat();
    Ok(Report { database: database.to_owned(), set_aside: swapped.aside, rows, warnings })
}

/// The rows of the tables that were backed up: a search index over one of them is counted with it, not again.
fn rows(loaded: &Loaded, chosen: &Chosen) -> u64 {
    let was_backed_up = |name: &str| {
        chosen.facts.as_ref().is_none_or(|facts| facts.facts.tables.iter().any(|table| table.name == name))
    };
    loaded.tables.iter().filter(|table| was_backed_up(&table.name)).map(|table| table.rows).sum()
}

fn load_and_prove(chosen: &mut Chosen, target: &Path, record: &mut Record, run: &Run) -> Result<Loaded> {
    let loaded = load(chosen, target, run);
    prove(record, chosen, loaded)
}

/// A backup that was restored is a good one; one whose content is not what its manifest says is not.
pub(super) fn prove<T>(record: &mut Record, chosen: &Chosen, done: Result<T>) -> Result<T> {
    let Some(Of { id, place, label, is_all }) = chosen.of.clone() else { return done };
    record.is_about(&id);
    let problem = match &done {
        Ok(_) if is_all => None,
        Err(error) if error.kind() == Kind::Damaged => Some(error.report()),
        _ => return done,
    };
    match place == Place::primary() {
        true => record.proved(&id, place, How::Restored, problem.as_deref()),
        false => record.proved_in(place, label, &id, How::Restored, problem.as_deref()),
    }
    done
}

fn load(chosen: &mut Chosen, target: &Path, run: &Run) -> Result<Loaded> {
    let wal = chosen
        .facts
        .as_ref()
        .and_then(|facts| facts.facts.properties.get("journal_mode"))
        .is_some_and(|mode| mode == "wal");
    let options = LoadOptions { journal_mode_wal: wal, ..LoadOptions::default() };
    run.begin(Stage::Load, chosen.name.clone(), chosen.text_size());
    let file = &mut chosen.content;
    let loaded = match &chosen.facts {
        Some(facts) => sqlite::load(&mut Unpacker::new(Checked::new(file, facts)), target, &options, run),
        None => text_of(file).and_then(|mut text| sqlite::load(text.as_mut(), target, &options, run)),
    };
    let mut loaded = loaded.context(|| format!("cannot restore {:?}", chosen.name))?;
    loaded.warnings.splice(0..0, chosen.warnings.drain(..));
    run.end(Stage::Load);
    Ok(loaded)
}
