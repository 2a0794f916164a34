//! Restore and drill of databases that a server keeps: a new database first, then the place of the old one.

use std::io::Read;
use std::path::PathBuf;

use super::artifact::Checked;
use super::drill::ContentHash;
use super::plumbing::text_of;
use super::record::{Record, recorded};
use super::restore::{Chosen, Report, prove};
use super::{Site, artifact, pieces, quiesce, swaps};
use crate::config::{
    Databases, Definers, Drill, MariadbConfig, NoSnapshot, PostgresqlConfig, ServerConfig, SourceKind,
};
use crate::error::{Context, Error, Kind, Result};
use crate::journal::RunKind;
use crate::model::{ArtifactFacts, FileName, Quiet, Run, Stage};
use crate::pack::Unpacker;
use crate::policy::set_aside::DRILL;
use crate::source::mariadb::{self, Mariadb};
use crate::source::postgresql::Postgresql;
use crate::source::server::{Loaded, Server, name_problem, uncancelled};
use crate::source::{Served, Source, content};

/// What the kind of a source is called that no server keeps.
pub(super) const SQLITE: &str = "sqlite";

/// The server of a source, and the database that it names, if it names but one; `None` when no server keeps it.
pub(super) fn server_of(kind: &SourceKind) -> Option<Served> {
    match kind {
        SourceKind::Sqlite(_) | SourceKind::Files(_) => None,
        SourceKind::Mariadb(config) => Some(Served::Mariadb(mariadb(config))),
        SourceKind::Postgresql(config) => Some(Served::Postgresql(postgresql(config))),
    }
}

pub(super) fn mariadb(config: &MariadbConfig) -> Mariadb {
    Mariadb {
        server: server(&config.server),
        database: one_database(&config.server),
        no_snapshot: match config.no_snapshot {
            NoSnapshot::Lock => mariadb::NoSnapshot::Lock,
            NoSnapshot::Refuse => mariadb::NoSnapshot::Refuse,
        },
        definers: match config.definers {
            Definers::Keep => mariadb::Definers::Keep,
            Definers::Existing => mariadb::Definers::Existing,
            Definers::Own => mariadb::Definers::Own,
        },
    }
}

pub(super) fn postgresql(config: &PostgresqlConfig) -> Postgresql {
    Postgresql { server: server(&config.server), database: one_database(&config.server) }
}

fn one_database(config: &ServerConfig) -> String {
    match &config.databases {
        Databases::One(name) => name.clone(),
        Databases::Several(_) | Databases::All { .. } => String::new(),
    }
}

fn server(config: &ServerConfig) -> Server {
    Server {
        user: config.user.clone(),
        socket: config.socket.clone(),
        host: config.host.clone(),
        port: config.port,
        password_file: config.password_file.clone(),
        programs: config.programs.clone(),
    }
}

/// Where an artifact of a served database goes, for a person to agree to.
#[derive(Debug)]
pub struct Target {
    served: Served,
    source: FileName,
    /// The database of the source's configuration.
    pub database: String,
}

/// The server's database that `chosen` belongs to, or that `source` names; `None` when it is of no server.
pub fn target(site: Option<&Site>, chosen: &Chosen, source: Option<&FileName>) -> Result<Option<Target>> {
    let kind = chosen.facts.as_ref().map(|facts| facts.facts.kind.as_str());
    let name = chosen.facts.as_ref().map(|facts| &facts.source).or(source);
    let home = site.zip(name).and_then(|(site, name)| pieces::home(site, chosen.facts.as_ref(), name));
    match (kind, home) {
        (Some(SQLITE), _) | (None, None) => Ok(None),
        (kind, Some((source, served))) if kind.is_none_or(|kind| kind == served.kind()) => {
            let database = served.name().to_owned();
            Ok(Some(Target { served, source, database }))
        }
        (kind, _) => {
            let (kind, name) = (kind.unwrap_or_default(), name.map(ToString::to_string).unwrap_or_default());
            Err(Error::new(Kind::Config, format!("the configuration has no {kind} source `{name}` to restore to"))
                .help(format!(
                    "name the server in [sources.{name}], or use `tillstick load FILE {kind}://USER@HOST/NEWNAME`"
                )))
        }
    }
}

/// Restores into a new database of the server.
pub fn into(site: &Site, chosen: &mut Chosen, target: &Target, name: &str, run: &Run) -> Result<Report> {
    if let Some(why) = name_problem(name) {
        return Err(Error::new(Kind::Usage, format!("cannot restore into {name:?}: {why}")));
    }
    let loaded = recorded(Some(site), RunKind::Restore, run, |record, run| {
        record.begin();
        let database = target.served.named(name);
        // One that is there is not ours to take away; an empty one may be filled.
        let making = match database.is_there(run)? {
            true => None,
            false => Some(swaps::Restoring::begin(site, &target.source, &target.served, name)?),
        };
        let loaded = load_and_prove(chosen, &database, record, run);
        match (making, &loaded) {
            (Some(making), Ok(_)) => making.over()?,
            (Some(making), Err(_)) => making.failed()?,
            (None, _) => {}
        }
        loaded
    })?;
    Ok(Report { database: PathBuf::from(name), set_aside: None, rows: loaded.rows, warnings: loaded.warnings })
}

/// Restores into the place of the source's database. The new one is complete before anything of the old one is touched; the
/// old one stays on the server as `<name>_before_<label>`.
pub fn in_place(
    site: &Site,
    chosen: &mut Chosen,
    target: &Target,
    label: &str,
    drop_old: bool,
    run: &Run,
) -> Result<Report> {
    let served = &target.served;
    let new = format!("{}_new_{label}", target.database);
    let before = format!("{}_before_{label}", target.database);
    if let Some(why) = name_problem(&before) {
        return Err(Error::new(Kind::Refused, format!("the old database would be kept as {before:?}, and {why}"))
            .help("restore it with --into, and give the names by hand"));
    }
    let (loaded, before) = recorded(Some(site), RunKind::Restore, run, |record, run| {
        let _lock = site.primary.lock("restore")?;
        record.begin();
        swaps::refuse_if_owed(site, &target.source, served)?;
        let all = quiesce::hold(site, None, "restore", run)?;
        let own = quiesce::hold(site, Some(&target.source), "restore", run)?;
        let scratch = served.named(&new);
        let before = free_name(served, &before, run)?;
        if scratch.is_there(run)? {
            // A restore of this backup died before it was through; nobody else makes a database of this name.
            scratch.drop_database(run)?;
        }
        let mut restoring = swaps::Restoring::begin(site, &target.source, served, &new)?;
        let loaded = load_and_prove(chosen, &scratch, record, run);
        let mut loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                restoring.failed()?;
                return Err(error);
            }
        };
        let before = restoring.put_in_place(site, &before, &mut loaded.warnings, run)?;
        if let Some(old) = before.as_ref().filter(|_| drop_old) {
            served.named(old).drop_database(run)?;
        }
        let held = [own, all].map(|mut hold| [std::mem::take(&mut hold.warnings), hold.release()].concat()).concat();
        loaded.warnings.extend(held);
        Ok((loaded, before.filter(|_| !drop_old)))
    })?;
    Ok(Report {
        database: PathBuf::from(&target.database),
        set_aside: before.map(PathBuf::from),
        rows: loaded.rows,
        warnings: loaded.warnings,
    })
}

/// A name that no database has yet: this backup may have been restored before.
fn free_name(served: &Served, name: &str, run: &Run) -> Result<String> {
    let others = (2..100).map(|number| format!("{name}_{number}"));
    for candidate in std::iter::once(name.to_owned()).chain(others) {
        if !served.named(&candidate).is_there(run)? {
            return Ok(candidate);
        }
    }
    Err(Error::new(Kind::Refused, format!("there are a hundred databases like {name:?}"))
        .help("drop those that you no longer need"))
}

/// A backup that was restored is a good one; one whose content is not what its manifest says is not.
fn load_and_prove(chosen: &mut Chosen, served: &Served, record: &mut Record, run: &Run) -> Result<Loaded> {
    let loaded = load(chosen, served, run);
    prove(record, chosen, loaded)
}

/// Refuses what cannot have room: a database takes at least about as much as its text. Not to know it is no failure.
fn refuse_without_room(chosen: &Chosen, served: &Served, run: &Run) -> Result<()> {
    let need = chosen.text_size();
    match served.free(run) {
        Some(free) if free < need => Err(Error::new(
            Kind::NoSpace,
            format!("the restored database needs about {need} bytes where the server keeps its data, and {free} are free there"),
        )
        .help("free some space; what earlier restores set aside may be dropped")),
        _ => Ok(()),
    }
}

fn load(chosen: &mut Chosen, served: &Served, run: &Run) -> Result<Loaded> {
    refuse_without_room(chosen, served, run)?;
    let expected = chosen.facts.as_ref().map_or(0, |facts| facts.text.size);
    run.begin(Stage::Load, chosen.name.clone(), expected);
    let file = &mut chosen.content;
    let loaded = match &chosen.facts {
        Some(facts) => served.load(Unpacker::new(Checked::new(file, facts)), Some(&facts.facts), run),
        None => text_of(file).and_then(|text| served.load(text, None, run)),
    };
    let mut loaded = loaded.context(|| format!("cannot restore {:?}", chosen.name))?;
    if let Some(facts) = &chosen.facts {
        let was = facts.facts.tables.iter().map(|table| table.rows).sum::<u64>();
        if was != loaded.rows {
            loaded.warnings.push(format!("{was} rows were backed up, and {} are there now", loaded.rows));
        }
    }
    loaded.warnings.splice(0..0, chosen.warnings.drain(..));
    run.end(Stage::Load);
    Ok(loaded)
}

/// Loads the artifact that `reader` gives into a scratch database of its source's server, and dumps that again: the same
/// rows in the same tables, or it is not restorable.
pub(super) fn drill(reader: impl Read + Send, facts: &ArtifactFacts, site: Option<&Site>, run: &Run) -> Result<()> {
    let home = site.and_then(|site| pieces::home(site, Some(facts), &facts.source));
    let Some((source, served)) = home.filter(|(_, served)| served.kind() == facts.facts.kind) else {
        let (source, kind) = (&facts.source, &facts.facts.kind);
        return Err(Error::new(
            Kind::Config,
            format!("no {kind} server is configured for source `{source}` to drill on"),
        )
        .help("drill where the configuration names the server"));
    };
    let wants_private = site.and_then(|site| site.config.sources.get(&source)?.server());
    let private = match wants_private.map(|config| config.drill) {
        Some(Drill::Private) => Some(served.private(&facts.facts, run)?),
        _ => None,
    };
    let scratch =
        private.as_ref().map_or(&served, |private| &private.served).named(&format!("{DRILL}{}", std::process::id()));
    // A drill that was killed may have left one of the same number.
    let _ = scratch.drop_database(&uncancelled());
    run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
    let text = Unpacker::new(Checked::new(reader, facts));
    scratch.load(text, Some(&facts.facts), run).context(|| format!("`{}` cannot be restored", facts.name))?;
    run.end(Stage::Load);
    let compared = compare(&scratch, facts, run);
    if private.is_some() {
        return compared;
    }
    let dropped = scratch.drop_database(&uncancelled());
    compared.and(dropped)
}

fn compare(scratch: &Served, facts: &ArtifactFacts, run: &Run) -> Result<()> {
    run.begin(Stage::Compare, facts.name.as_str(), facts.text.size);
    let mut hash = ContentHash::default();
    let found = scratch.dump(&mut hash, &Run { monitor: &Quiet, cancel: run.cancel })?;
    let differs = |what: String| {
        Error::new(Kind::Damaged, format!("`{}` does not restore to what was backed up: {what}", facts.name))
    };
    let pairs = || facts.facts.tables.iter().zip(&found.tables);
    if let Some((was, is)) = pairs().find(|(was, is)| was != is) {
        let (name, other) = (&was.name, &is.name);
        return Err(differs(format!("table {name:?} had {} rows and {other:?} comes back with {}", was.rows, is.rows)));
    }
    if facts.facts.tables.len() != found.tables.len() {
        return Err(differs(format!("{} tables come back of {}", found.tables.len(), facts.facts.tables.len())));
    }
    if content(&facts.facts) != content(&found) {
        return Err(differs("the rows are others".into()));
    }
    if artifact::same_text(&hash.facts(), facts).is_err() {
        // A newer server may write its definitions in another way.
        run.warn(format!(
            "`{}`: every row comes back, and the server tells the definitions in another way",
            facts.name
        ));
    }
    run.end(Stage::Compare);
    Ok(())
}
