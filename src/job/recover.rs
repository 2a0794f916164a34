//! The recovery: a box that knows nothing gets its database and its configuration back from a stick or a store alone (T13).

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::artifact::{Checked, verify};
use super::record::recorded;
use super::recover_from::{Found, From, Medium};
use super::sealed::opened;
use super::{Site, drill, pieces, recover_served, served, site, state};
use crate::config::{self, Config, SourceKind};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::journal::RunKind;
use crate::model::{ArtifactFacts, BackupId, Manifest, ManifestFile, PublicKey, Run, Stage};
use crate::pack::Unpacker;
use crate::policy::provenance::Signature;
use crate::source::files;
use crate::source::sqlite::{self, LoadOptions};
use crate::store::shelf::Unsealing;
use crate::trust::sealing::Identities;
use crate::trust::signing::Keys;

/// What a recovery would bring back, for a person to agree to.
pub struct Plan {
    medium: Medium,
    found: Found,
    identities: Identities,
    /// Where the configuration goes.
    pub config_path: PathBuf,
    /// Where each database goes.
    pub databases: Vec<(ArtifactFacts, PathBuf)>,
    /// Files, and the folder that they go into; `None` where a person puts them in place.
    pub files: Vec<(ArtifactFacts, Option<PathBuf>)>,
    /// Which of them are there already, equal to the last value: a recovery that died made them.
    pub recovered: Vec<PathBuf>,
    /// Newer backups that are not complete.
    pub passed_over: Vec<BackupId>,
    /// The box that comes back; `None` when everything goes into one folder, just to look at it.
    becomes: Option<Config>,
    /// Who signed it: to compare with what `tillstick key show` said on that box. `None` when nobody did.
    pub signed_by: Option<PublicKey>,
    /// The first half of the SHA-256 of the manifest, in groups of four: to compare with a note or a phone call.
    pub fingerprint: String,
}

/// What came back.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The backup that was used.
    pub id: BackupId,
    /// The databases.
    pub databases: Vec<PathBuf>,
    /// Databases that were loaded into their servers, by their names there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// The configuration.
    pub config: PathBuf,
    /// Rows of all tables.
    pub rows: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Reads the keys of encrypted backups from a file.
pub fn identities(path: &Path) -> Result<Identities> {
    Identities::read(path)
}

/// The content of an artifact, decrypted where that is needed.
fn content(
    medium: &mut Medium,
    found: &Found,
    identities: &Identities,
    facts: &ArtifactFacts,
) -> Result<Box<dyn Read + Send>> {
    let lies_as = found.manifest.artifacts.iter().find(|lies| lies.name.plain() == facts.name);
    let lies_as = lies_as.ok_or_else(|| Error::new(Kind::Missing, format!("there is no `{}`", facts.name)))?;
    let scratch = std::env::temp_dir();
    let unsealing = Unsealing { identities, scratch: &scratch };
    opened(medium.artifact(found, &lies_as.name, &unsealing)?, lies_as, identities)
}

impl Plan {
    /// The backup that would be used.
    pub fn manifest(&self) -> &Manifest {
        &self.found.manifest
    }

    /// Whether the artifact is loaded into a server, where that is possible.
    pub fn is_of_a_server(&self, facts: &ArtifactFacts) -> bool {
        self.becomes.is_some() && facts.facts.kind != served::SQLITE && !pieces::is_accounts(facts)
    }

    /// Its age in seconds as of `now`.
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.duration_since(self.found.manifest.started).as_secs()
    }
}

/// Looks at a stick or store for the newest complete backup (of `box_name`, where several boxes share it; or just `id`).
///
/// Files go where the backup's own configuration had them, or all into the folder `into`.
pub fn plan(
    from: &From,
    (box_name, id): (Option<&str>, Option<&BackupId>),
    into: Option<&Path>,
    config_path: &Path,
    identities: Identities,
    run: &Run,
) -> Result<Plan> {
    let looked = from.look(box_name, run)?;
    let wanted = |found: &Found| {
        box_name.is_none_or(|name| found.manifest.box_name.as_str() == name)
            && id.is_none_or(|id| found.manifest.id == *id)
    };
    let (mut whole, broken): (Vec<Found>, Vec<Found>) =
        looked.found.into_iter().filter(wanted).partition(|found| found.complete && is_what_was_signed(found));
    let mut boxes: Vec<&str> = whole.iter().map(|found| found.manifest.box_name.as_str()).collect();
    boxes.sort_unstable();
    boxes.dedup();
    if boxes.len() > 1 {
        return Err(Error::new(Kind::Usage, format!("{} holds backups of several boxes", from.text()))
            .help(format!("choose one with --box: {}", boxes.join(", "))));
    }
    if whole.is_empty() {
        return Err(Error::new(Kind::Missing, format!("there is no complete backup of that kind on {}", from.text()))
            .help(from.list_hint()));
    }
    let found = whole.remove(0);
    let unused = broken.into_iter().map(|broken| broken.manifest.id).chain(looked.unreadable);
    let passed_over = unused.filter(|id| *id > found.manifest.id).collect();
    let manifest = &found.manifest;
    let Some(text) = &manifest.config else {
        return Err(Error::new(Kind::Missing, format!("the backup {} carries no configuration", manifest.id))
            .help("restore the database with `tillstick restore FILE --into PATH`, and make a configuration with `tillstick init`"));
    };
    let known = config::parse_str("the configuration in the manifest", text)?;
    let mut databases = Vec::new();
    let mut files = Vec::new();
    if identities.is_empty() && found.is_encrypted {
        return Err(Error::new(Kind::Refused, format!("the backup {} is encrypted", manifest.id))
            .help("name the file with your key: --identity FILE"));
    }
    for facts in &manifest.artifacts {
        let facts = &facts.opened();
        if facts.name.is_tar() {
            files.push((facts.clone(), into.map(|dir| dir.join(facts.source.as_str()))));
            continue;
        }
        let path = match (into, known.sources.get(&facts.source).map(|source| &source.kind)) {
            // A server must be set up first: its dump is put where `tillstick load` finds it.
            (dir, _) if facts.facts.kind != served::SQLITE => {
                let aside = known.primary.dir.join("recovered");
                dir.unwrap_or(&aside).join(facts.name.as_str())
            }
            (Some(dir), _) => dir.join(format!("{}.db", facts.source)),
            (None, Some(SourceKind::Sqlite(sqlite))) => sqlite.path.clone(),
            (None, _) => {
                return Err(Error::new(
                    Kind::Damaged,
                    format!("the configuration in the backup {} does not know source `{}`", manifest.id, facts.source),
                ));
            }
        };
        databases.push((facts.clone(), path));
    }
    let config_path = into.map_or_else(|| config_path.to_owned(), |dir| dir.join("tillstick.toml"));
    if let Some(path) = files.iter().filter_map(|(_, path)| path.as_ref()).find(|path| path.exists()) {
        return Err(Error::new(Kind::Refused, format!("a recovery overwrites nothing, and {path:?} is there"))
            .help("recover into an empty folder"));
    }
    let recovered = refuse_existing(&databases, &config_path, run)?;
    let fingerprint = fingerprint(&found.bytes);
    let becomes = into.is_none().then_some(known);
    if let Some(config) = &becomes {
        state::refuse_newer(&config.state)?;
    }
    let signed_by = found.signature.as_ref().and(found.manifest.signed_by);
    Ok(Plan {
        medium: looked.medium,
        found,
        identities,
        signed_by,
        config_path,
        databases,
        files,
        recovered,
        passed_over,
        becomes,
        fingerprint,
    })
}

/// A manifest whose signature does not fit is not that of the box which it names.
fn is_what_was_signed(found: &Found) -> bool {
    Keys::default().judge(&found.manifest, &found.bytes, found.signature.as_deref()) != Signature::Wrong
}

/// A box that has something does not know nothing: nothing is ever overwritten by a recovery. Gives the databases that
/// an earlier recovery of this very backup brought back before it died.
fn refuse_existing(databases: &[(ArtifactFacts, PathBuf)], config: &Path, run: &Run) -> Result<Vec<PathBuf>> {
    let (mut recovered, mut there) = (Vec::new(), Vec::new());
    for (facts, path) in databases {
        if durable::is_there(path)? {
            if facts.facts.kind == served::SQLITE && drill::holds(path, facts, run)? {
                recovered.push(path.clone());
            } else {
                there.push(format!("{path:?}"));
            }
        }
    }
    if durable::is_there(config)? {
        there.push(format!("{config:?}"));
    }
    if there.is_empty() {
        return Ok(recovered);
    }
    Err(Error::new(Kind::Refused, format!("a recovery overwrites nothing, and these are there: {}", there.join(", ")))
        .help("recover into an empty folder with --into, or use `tillstick restore` on a box that is set up"))
}

fn fingerprint(manifest: &[u8]) -> String {
    let digest = Sha256::digest(manifest);
    let groups: Vec<String> = digest[..16].chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
    groups.join(" ")
}

/// Does what was planned: every artifact is verified first, then loaded, and the configuration comes last. When it fails,
/// what it made is taken away again, so that a second try finds what the first one found; when it dies, the next one goes
/// on from there.
pub fn carry_out(mut plan: Plan, run: &Run) -> Result<Report> {
    let started = Timestamp::now();
    let mut report = Report {
        id: plan.found.manifest.id.clone(),
        databases: plan.databases.iter().map(|(_, path)| path.clone()).collect(),
        servers: Vec::new(),
        config: plan.config_path.clone(),
        rows: plan.found.manifest.rows(),
        warnings: if plan.found.sealed { Vec::new() } else { vec![ManifestFile::unsealed(&plan.found.manifest.id)] },
    };
    let mut made = Vec::new();
    let done = load_all(&mut plan, &mut report, &mut made, run)
        .and_then(|()| set_up(&plan, &mut report, &mut made))
        .and_then(|()| unpack_files(&mut plan, &mut report, run));
    if let Err(error) = done {
        for path in made {
            // The first error counts; the next try will name what is still in its way.
            let _ = std::fs::remove_file(path);
        }
        return Err(error);
    }
    if let Some(config) = &plan.becomes {
        believe(&config.state, &plan, &mut report);
    }
    if let Some(config) = plan.becomes.clone()
        && let Err(error) = remember(config, &mut plan, started, run)
    {
        report.warnings.push(format!("this recovery is not in the history: {error}"));
    }
    load_served(&plan, &mut report, run);
    Ok(report)
}

fn load_all(plan: &mut Plan, report: &mut Report, made: &mut Vec<PathBuf>, run: &Run) -> Result<()> {
    let missing = |path: &PathBuf| !plan.recovered.contains(path);
    let missing: Vec<_> = plan.databases.iter().filter(|(_, path)| missing(path)).collect();
    for (facts, _) in &missing {
        verify(content(&mut plan.medium, &plan.found, &plan.identities, facts)?, facts, run)?;
    }
    for (facts, path) in missing {
        make_parent(path)?;
        run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
        let reader = content(&mut plan.medium, &plan.found, &plan.identities, facts)?;
        if facts.facts.kind != served::SQLITE {
            made.push(path.clone());
            recover_served::put_aside(reader, facts, path)?;
            run.end(Stage::Load);
            continue;
        }
        let wal = facts.facts.properties.get("journal_mode").is_some_and(|mode| mode == "wal");
        let options = LoadOptions { journal_mode_wal: wal, ..LoadOptions::default() };
        let loaded = sqlite::load(&mut Unpacker::new(Checked::new(reader, facts)), path, &options, run)
            .context(|| format!("cannot recover {path:?}"))?;
        run.end(Stage::Load);
        report.warnings.extend(loaded.warnings);
        made.push(path.clone());
    }
    Ok(())
}

/// Files go where a person can look at them; to put them in place of what a fresh system brought is that person's decision.
fn unpack_files(plan: &mut Plan, report: &mut Report, run: &Run) -> Result<()> {
    for (facts, target) in &plan.files {
        let Some(target) = target else {
            report.warnings.push(format!(
                "the files of `{source}` were not put in place: `tillstick restore {name} --source {source} --in-place`, \
                 with the {name} of the stick, shows what would change and does it",
                source = facts.source,
                name = facts.name,
            ));
            continue;
        };
        run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
        let reader = content(&mut plan.medium, &plan.found, &plan.identities, facts)?;
        let unpacked = files::into_new(Unpacker::new(Checked::new(reader, facts)), target, run)
            .context(|| format!("cannot recover {target:?}"))?;
        run.end(Stage::Load);
        report.warnings.extend(unpacked.warnings);
    }
    Ok(())
}

/// Loads what belongs to servers, and says what is left to do.
fn load_served(plan: &Plan, report: &mut Report, run: &Run) {
    let aside = plan.databases.iter().filter(|(facts, _)| facts.facts.kind != served::SQLITE);
    let site = plan.becomes.clone().map(Site::open);
    for (facts, path) in aside {
        let loaded = match &site {
            Some(Ok(site)) if !pieces::is_accounts(facts) => recover_served::load(site, facts, path, run).map_err(Some),
            _ => Err(None),
        };
        match loaded {
            Ok(name) => {
                report.databases.retain(|other| other != path);
                report.servers.push(name);
            }
            Err(why) => report.warnings.push(recover_served::next_step(facts, path, why.as_ref())),
        }
    }
}

/// The configuration comes last: a box that has it is recovered.
fn set_up(plan: &Plan, report: &mut Report, made: &mut Vec<PathBuf>) -> Result<()> {
    if let Some(config) = &plan.becomes {
        become_the_box(&config.state, &plan.found.manifest, report, made)?;
    }
    make_parent(&plan.config_path)?;
    made.push(plan.config_path.clone());
    let text = plan.found.manifest.config.as_deref().unwrap_or_default();
    durable::write(&plan.config_path, text.as_bytes(), 0o640)
}

/// The recovered box goes on as the one that was lost, so that its sticks go on being its own.
fn become_the_box(state: &Path, manifest: &Manifest, report: &mut Report, made: &mut Vec<PathBuf>) -> Result<()> {
    let path = site::box_id_path(state);
    if !durable::is_there(&path)? {
        made.push(path.clone());
    }
    if !site::take_box_id(state, &manifest.box_id)? {
        let (name, id) = (&manifest.box_name, &manifest.box_id);
        report
            .warnings
            .push(format!("this box had an id of its own before; to go on as box {name} put {id} into {path:?}"));
    }
    Ok(())
}

/// Who agreed to the recovery has agreed to whoever signed the backup: its other backups count, too.
fn believe(state: &Path, plan: &Plan, report: &mut Report) {
    let Some(key) = plan.signed_by else { return };
    let trusted = Keys::read(state).and_then(|mut keys| keys.trust(state, key, &plan.found.manifest.box_name));
    if let Err(error) = trusted {
        report.warnings.push(format!("the key of the box that made the backup was not noted: {error}"));
    }
}

/// The history of the box begins anew with what its stick tells. A recovery that failed has left nothing, no history either.
fn remember(config: Config, plan: &mut Plan, started: Timestamp, run: &Run) -> Result<()> {
    let site = Site::open(config)?;
    recorded(Some(&site), RunKind::Recover, run, |record, run| {
        record.began(started);
        record.is_about(&plan.found.manifest.id);
        plan.medium.note(&site, &plan.found, record, run)
    })
}

fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => {
            std::fs::create_dir_all(dir).context(|| format!("cannot make the folder {dir:?}"))
        }
        _ => Ok(()),
    }
}
