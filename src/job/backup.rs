//! The backup: every source is dumped into the primary and read back; then it is copied to where copies go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::artifact::verify;
use super::copy::{self, CopyDone};
use super::pieces::{self, Piece};
use super::record::{Record, one_line, recorded};
use super::{Site, StickAt, StoreAt, drill, prune, quiesce, stores};
use crate::config::{self, Spool};
use crate::error::{Context, Error, Kind, Result};
use crate::host::block;
use crate::host::lock::Lock;
use crate::journal::{Place, RunKind};
use crate::model::{ArtifactFacts, ArtifactName, BackupId, FileName, MANIFEST_FORMAT, Manifest, Run};
use crate::pack::{self, Packer, Previous};
use crate::policy::space::{self, Held};
use crate::primary::{Draft, HEADROOM, Stored};
use crate::trust::signing::BoxKey;

/// A new artifact is judged to need this share of its text's size when there is no earlier one to go by.
const FIRST_SHARE: u64 = 3;

/// What a backup came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The backup's id.
    pub id: BackupId,
    /// Its folder in the primary.
    pub dir: PathBuf,
    /// Its artifacts.
    pub artifacts: Vec<ArtifactReport>,
    /// Older local backups that went to make room, with the reason.
    pub removed: Vec<(BackupId, String)>,
    /// Databases that restores had set aside on their servers and that went, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<(String, String)>,
    /// How each copy went.
    pub copies: Vec<CopyDone>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What one artifact came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactReport {
    /// Its file name.
    pub name: ArtifactName,
    /// Its size in bytes.
    pub size: u64,
    /// The size of its text in bytes.
    pub text_size: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Compressed bytes made anew.
    pub new_bytes: u64,
    /// Compressed bytes taken over from the backup before.
    pub reused_bytes: u64,
}

impl Report {
    /// Whether every copy was made.
    pub fn all_copied(&self) -> bool {
        self.copies.iter().all(|copy| copy.error.is_none())
    }
}

/// Backs all sources up, and copies the backup to the stick when one is given, and `to_stores` when that is wanted.
///
/// The backup stays good when its copy fails; the report says which copies failed.
pub fn backup(site: &Site, stick: Option<&StickAt>, to_stores: bool, run: &Run) -> Result<Report> {
    recorded(Some(site), RunKind::Backup, run, |record, run| {
        // While another run is at work nothing begins here, not even a record of it.
        let lock = site.primary.lock("backup")?;
        record.begin();
        let mut report = make_and_copy(site, &lock, stick, record, run)?;
        // A slow line keeps nobody from making the next backup.
        drop(lock);
        if to_stores {
            stores::copy::owe(site, &report.id, run);
        }
        let stores = if to_stores { StoreAt::live(site) } else { Vec::new() };
        if !stores.is_empty() {
            let stored = site.primary.find(&report.id)?;
            report.copies.extend(stores::copy::to_all(site, &stored, &stores, record, run)?);
        }
        Ok(report)
    })
}

fn make_and_copy(site: &Site, lock: &Lock, stick: Option<&StickAt>, record: &mut Record, run: &Run) -> Result<Report> {
    let mut newest_elsewhere = None;
    if let Some(stick) = stick {
        // A wrong stick is told at once, not after a long dump.
        let judged = stick.inspect(site)?;
        let (there, newest, identity) = stick.see_as(&judged, site)?;
        record.saw(&identity, &there);
        newest_elsewhere = newest;
    }
    begin(site, lock)?;
    let (stored, mut report) = make(site, lock, newest_elsewhere.as_ref(), record, run)?;
    record.is_about(&report.id);
    if let Some(stick) = stick {
        report.copies.push(copy::to_stick(site, &stored, stick, record, run)?);
    }
    end(site, lock, &mut report, record, run);
    Ok(report)
}

/// Clears up after runs that died.
pub(super) fn begin(site: &Site, lock: &Lock) -> Result<()> {
    for line in quiesce::settle(site, true) {
        log::warn!("{line}");
    }
    site.primary.sweep(lock)?;
    drill::sweep(site.primary.dir());
    site.sweep()
}

/// What is to be done once the copies are made. The backup is made, whatever becomes of the older ones.
pub(super) fn end(site: &Site, lock: &Lock, report: &mut Report, record: &Record, run: &Run) {
    match prune::after_backup(site, lock, record, run) {
        Ok((backups, databases)) => {
            report.removed.extend(backups);
            report.dropped.extend(databases);
        }
        Err(error) => {
            let message = format!("the clean-up failed: {}", error.report().replace('\n', ""));
            run.warn(message.clone());
            report.warnings.push(message);
        }
    }
}

/// Makes the backup in the primary, proven readable. Its id comes after `newest_elsewhere` too: a box that lost its primary
/// must not begin anew behind its own backups.
pub(super) fn make(
    site: &Site,
    lock: &Lock,
    newest_elsewhere: Option<&BackupId>,
    record: &Record,
    run: &Run,
) -> Result<(Stored, Report)> {
    let known = site.primary.list()?;
    let readable: Vec<(&Stored, Manifest)> =
        known.iter().filter_map(|stored| Some((stored, stored.manifest().ok()?))).collect();
    let newest = readable.first();
    let own = || readable.iter().filter(|(_, manifest)| manifest.box_id == site.box_id);
    let past: Vec<&Manifest> = own().map(|(_, manifest)| manifest).collect();
    let started = Timestamp::now();
    let clock = prune::judge_clock(started, &past);
    let id = BackupId::next(started, known.first().map(Stored::id).max(newest_elsewhere));
    let mut warnings = Vec::new();
    if !clock.is_trusted() {
        warnings.push(format!("{}; the backup is made and nothing is pruned by it", clock.reason()));
    }

    let pieces = pieces::pieces(site, run)?;
    let removed = make_room(site, lock, &known, &pieces, newest.map(|(_, manifest)| manifest), record)?;
    let draft = site.primary.begin(lock, id.clone(), site.config.primary.min_free)?;
    let mut artifacts = Vec::new();
    let mut facts = Vec::new();
    let mut hold = quiesce::hold(site, None, "backup", run)?;
    warnings.append(&mut hold.warnings);
    for of_source in pieces.chunk_by(|one, other| one.source == other.source) {
        // What is read in parts stands still until the last of them.
        let mut held = match of_source {
            [_] => None,
            _ => Some(quiesce::hold(site, of_source.first().map(|piece| &piece.source), "backup", run)?),
        };
        for piece in of_source {
            let (made, artifact) = dump(site, &draft, piece, held.is_none(), newest.map(|(stored, _)| *stored), run)
                .context(|| format!("cannot back up {}", piece.told()))?;
            warnings.extend(artifact.facts.warnings.iter().map(|warning| format!("{}: {warning}", piece.told())));
            artifacts.push(made);
            facts.push(artifact);
        }
        if let Some(mut held) = held.take() {
            warnings.append(&mut held.warnings);
            warnings.extend(held.release());
        }
    }
    warnings.extend(newest.map(|(_, before)| pieces::compare(site, &pieces, before)).unwrap_or_default());
    warnings.extend(hold.release());
    let key = key(site, &mut warnings);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        id: id.clone(),
        customer: site.config.customer.clone(),
        box_name: site.config.box_name.clone(),
        box_id: site.box_id.clone(),
        started,
        finished: Timestamp::now(),
        clock_trusted: clock.is_trusted(),
        tool: concat!("tillstick ", env!("CARGO_PKG_VERSION")).into(),
        artifacts: facts,
        signed_by: key.as_ref().map(BoxKey::public),
        config: Some(config::show(&site.config)),
    };
    let whole = own().filter(|(stored, manifest)| stored.is_whole(manifest)).map(|(_, manifest)| manifest);
    let whole: Vec<&Manifest> = std::iter::once(&manifest).chain(whole).collect();
    warnings.extend(prune::fell(started, clock, &whole).map(|fell| fell.to_string()));
    let stored = draft.finish(&manifest, |bytes| key.map(|key| key.sign(bytes)))?;
    for warning in &warnings {
        run.warn(warning.clone());
    }
    let dir = stored.dir().to_owned();
    Ok((stored, Report { id, dir, artifacts, removed, dropped: Vec::new(), copies: Vec::new(), warnings }))
}

/// What the backup is signed with. One without a signature is better than none.
fn key(site: &Site, warnings: &mut Vec<String>) -> Option<BoxKey> {
    let key = BoxKey::read_or_make(&site.config.state);
    key.inspect_err(|error| {
        warnings.push(format!("the backup is not signed: {}", one_line(&error.report())));
    })
    .ok()
}

/// Dumps one source into the draft and reads the artifact back from the disk.
fn dump(
    site: &Site,
    draft: &Draft,
    piece: &Piece,
    hold: bool,
    previous: Option<&Stored>,
    run: &Run,
) -> Result<(ArtifactReport, ArtifactFacts)> {
    let artifact = piece.artifact.clone();
    let previous = match previous.map(|stored| stored.path(&artifact)).filter(|path| path.exists()) {
        Some(path) => Previous::open(&path, &pack_options(site), run)?,
        None => None,
    };
    let (report, facts) = pack_source(site, draft, piece, hold, previous, run)?;
    match read_back(draft, &facts, run) {
        // Parts of the backup before that are not what its index says would spoil each backup from now on.
        Err(error) if error.kind() == Kind::Damaged && report.reused_bytes > 0 => {
            log::warn!("{}", error.report());
            let path = draft.path(&artifact);
            draft.discard(&path)?;
            draft.discard(&pack::index_path(&path))?;
            let (report, mut facts) = pack_source(site, draft, piece, hold, None, run)?;
            read_back(draft, &facts, run)?;
            facts
                .facts
                .warnings
                .push("parts of the backup before this one were not what they seemed; all was packed anew".into());
            Ok((report, facts))
        }
        result => result.map(|()| (report, facts)),
    }
}

fn pack_source(
    site: &Site,
    draft: &Draft,
    piece: &Piece,
    hold: bool,
    previous: Option<Previous>,
    run: &Run,
) -> Result<(ArtifactReport, ArtifactFacts)> {
    let artifact = piece.artifact.clone();
    let source = piece.open(site, draft.dir())?;
    let mut packer = Packer::new(draft.artifact(&artifact)?, previous, pack_options(site), *run)?;
    let held = hold.then(|| quiesce::hold(site, Some(&piece.source), "backup", run)).transpose()?;
    let mut facts = source.dump(&mut packer, run)?;
    if let Some(mut held) = held {
        facts.warnings.append(&mut held.warnings);
        facts.warnings.extend(held.release());
    }
    piece.note(&mut facts);
    let (file, packed) = packer.finish()?;
    let (size, sha256) = file.finish()?;
    draft.index(&pack::index_path(&draft.path(&artifact)), &packed.index.to_bytes())?;
    let report = ArtifactReport {
        name: artifact.clone(),
        size,
        text_size: packed.text.size,
        rows: facts.tables.iter().map(|table| table.rows).sum(),
        new_bytes: packed.new_bytes,
        reused_bytes: packed.reused_bytes,
    };
    Ok((
        report,
        ArtifactFacts {
            name: artifact,
            source: piece.name.clone(),
            size,
            sha256,
            plain: None,
            text: packed.text,
            facts,
        },
    ))
}

fn read_back(draft: &Draft, facts: &ArtifactFacts, run: &Run) -> Result<()> {
    let path = draft.path(&facts.name);
    let file = std::fs::File::open(&path).context(|| format!("cannot open {path:?}"))?;
    block::drop_cache(&file)?;
    verify(file, facts, run)
}

fn pack_options(site: &Site) -> pack::Options {
    let default = pack::Options::default();
    pack::Options {
        level: u8::try_from(site.config.dump.level).unwrap_or(default.level),
        threads: site.config.dump.threads.map_or(default.threads, |threads| threads.get() as usize),
        ..default
    }
}

/// Sees to it that the new backup has room, and removes what policy lets go for it.
fn make_room(
    site: &Site,
    lock: &Lock,
    known: &[Stored],
    pieces: &[Piece],
    newest: Option<&Manifest>,
    record: &Record,
) -> Result<Vec<(BackupId, String)>> {
    let mut need = HEADROOM;
    let before: BTreeMap<&FileName, u64> = newest
        .iter()
        .flat_map(|manifest| &manifest.artifacts)
        .map(|artifact| (&artifact.source, artifact.size))
        .collect();
    for piece in pieces {
        // Every source is asked, so that nothing goes for a backup that cannot be made.
        let estimated = piece.open(site, site.primary.dir())?.estimate();
        let text = estimated.context(|| format!("cannot back up {}", piece.told()))?;
        need += before.get(&piece.name).map_or(text / FIRST_SHARE, |size| size + size / 10);
    }
    let held: Vec<Held> = known.iter().filter_map(|stored| held(stored, site, record)).collect();
    let need_free = need.saturating_add(site.config.primary.min_free);
    let gone = space::make_room(&held, need_free, site.primary.free()?).map_err(|room| {
        let dir = site.primary.dir();
        let keep = site.config.primary.min_free;
        Error::new(
            Kind::NoSpace,
            format!("this backup needs about {need} bytes in {dir:?}, where {room} are to be had and {keep} stay free"),
        )
        .help("free some space, put primary.dir on a larger disk, or set primary.spool = \"one\"")
    })?;
    for (id, _) in &gone {
        site.primary.remove(lock, id)?;
    }
    Ok(gone)
}

/// Only backups of this box that can be read are weighed against room, and one that a check found damaged is not the good
/// one that must stay.
fn held(stored: &Stored, site: &Site, record: &Record) -> Option<Held> {
    let manifest = stored.manifest().ok().filter(|manifest| manifest.box_id == site.box_id)?;
    let spare = site.config.primary.spool == Spool::One && !stored.copies().is_empty();
    let complete = !record.is_damaged(&manifest.id, &Place::primary());
    Some(Held { id: manifest.id.clone(), size: manifest.size(), complete, spare })
}
