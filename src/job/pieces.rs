//! Which artifacts a backup has: one for each source, or one for each database of a server.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Site, served};
use crate::config::{Accounts, Databases, SourceConfig, accounts_name};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, ArtifactName, FileName, Manifest, Run};
use crate::policy::set_aside;
use crate::source::{self, Served, Source};

/// The property under which the source of the configuration stands, where the artifact is not called after it.
const OF: &str = "source";

/// One artifact of a backup that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The source in the configuration.
    pub(super) source: FileName,
    /// What the artifact is called after: the source, the database, or the source's accounts.
    pub(super) name: FileName,
    /// Its file.
    pub(super) artifact: ArtifactName,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Source,
    Database(String),
    Accounts { passwords: bool },
}

/// What is to be backed up, in the order of the sources; asks the servers that are to tell their databases.
pub(super) fn pieces(site: &Site, run: &Run) -> Result<Vec<Piece>> {
    let mut all = Vec::new();
    for (source, config) in &site.config.sources {
        all.extend(of_source(site, source, config, run).context(|| format!("cannot back up source `{source}`"))?);
    }
    let mut taken: BTreeMap<String, &Piece> = BTreeMap::new();
    for piece in &all {
        if let Some(other) = taken.insert(piece.artifact.as_str().to_lowercase(), piece) {
            let (name, one, two) = (&piece.artifact, &other.source, &piece.source);
            return Err(Error::new(
                Kind::Config,
                format!("two files would be called `{name}`, of the sources `{one}` and `{two}`"),
            )
            .help("leave one database out with `except`, or give it a source of its own with `database`"));
        }
    }
    Ok(all)
}

fn of_source(site: &Site, source: &FileName, config: &SourceConfig, run: &Run) -> Result<Vec<Piece>> {
    let piece =
        |name: FileName, artifact: ArtifactName, what: What| Piece { source: source.clone(), name, artifact, what };
    let sql = |name: &FileName| ArtifactName::sql(&site.config.customer, name);
    let Some(server) = config.server() else {
        let names = config.artifact_names(&site.config.customer, source);
        return Ok(names.into_iter().map(|(name, artifact)| piece(name, artifact, What::Source)).collect());
    };
    let names = match &server.databases {
        Databases::One(_) => Vec::new(),
        Databases::Several(names) => names.clone(),
        Databases::All { except } => {
            let there = served::server_of(&config.kind).map_or(Ok(Vec::new()), |served| served.databases(run))?;
            there.into_iter().filter(|name| !except.contains(name) && set_aside::ours(name).is_none()).collect()
        }
    };
    let mut all = Vec::new();
    match &server.databases {
        Databases::One(_) => all.push(piece(source.clone(), sql(source), What::Source)),
        _ if names.is_empty() => {
            return Err(Error::new(Kind::Missing, "the server has no database").help("name one with `database`"));
        }
        _ => {}
    }
    for database in names {
        let name: FileName = database.parse().map_err(|error: Error| {
            error.help("its file would be called after it: leave it out with `except`, and give it a source of its own")
        })?;
        all.push(piece(name.clone(), sql(&name), What::Database(database)));
    }
    if let (true, Some(name)) = (server.accounts != Accounts::None, accounts_name(source)) {
        let passwords = server.accounts == Accounts::Passwords;
        all.push(piece(name.clone(), sql(&name), What::Accounts { passwords }));
    }
    Ok(all)
}

impl Piece {
    /// Opens what it is made from; temporary copies go to `spool`.
    pub(super) fn open(&self, site: &Site, spool: &Path) -> Result<Box<dyn Source>> {
        let server = || site.config.sources.get(&self.source).and_then(|config| served::server_of(&config.kind));
        match (&self.what, server()) {
            (What::Database(name), Some(served)) => Ok(Box::new(served.named(name))),
            (What::Accounts { passwords }, Some(served)) => {
                Ok(Box::new(source::Accounts { served, passwords: *passwords }))
            }
            _ => site.source(&self.source, spool),
        }
    }

    /// Notes in the facts of its artifact which source it is of.
    pub(super) fn note(&self, facts: &mut crate::model::SourceFacts) {
        if self.name != self.source {
            facts.properties.insert(OF.into(), self.source.to_string());
        }
    }

    /// How it is named to a person.
    pub(super) fn told(&self) -> String {
        match &self.what {
            What::Source => format!("source `{}`", self.source),
            What::Database(name) => format!("database `{name}` of source `{}`", self.source),
            What::Accounts { .. } => format!("accounts of source `{}`", self.source),
        }
    }
}

/// Databases that came or went since the backup before, of sources that mean all that are there.
pub(super) fn compare(site: &Site, pieces: &[Piece], before: &Manifest) -> Vec<String> {
    let mut told = Vec::new();
    let all =
        site.config.sources.iter().filter(|(_, config)| {
            config.server().is_some_and(|server| matches!(server.databases, Databases::All { .. }))
        });
    for (source, config) in all {
        let excepted = match config.server().map(|server| &server.databases) {
            Some(Databases::All { except }) => except.as_slice(),
            _ => &[],
        };
        let of_source = |facts: &&ArtifactFacts| of(facts).is_some_and(|name| name == source.as_str());
        let had: Vec<&ArtifactFacts> =
            before.artifacts.iter().filter(of_source).filter(|facts| !is_accounts(facts)).collect();
        let has: Vec<&Piece> =
            pieces.iter().filter(|piece| piece.source == *source && matches!(piece.what, What::Database(_))).collect();
        if had.is_empty() {
            continue;
        }
        for piece in has.iter().filter(|piece| !had.iter().any(|facts| facts.source == piece.name)) {
            told.push(format!("source `{source}`: the database `{}` is new, and is backed up from now on", piece.name));
        }
        let gone = had.iter().filter(|facts| !has.iter().any(|piece| piece.name == facts.source));
        for facts in gone.filter(|facts| !excepted.iter().any(|name| name == facts.source.as_str())) {
            let (name, id) = (&facts.source, &before.id);
            told.push(format!(
                "source `{source}`: the database `{name}` is gone from the server; it was last backed up in {id}"
            ));
        }
    }
    told
}

/// Whether the artifact holds accounts and no database.
pub(super) fn is_accounts(facts: &ArtifactFacts) -> bool {
    facts.facts.kind.ends_with(source::Accounts::KIND)
}

/// The source that an artifact is of, where it is not called after it.
fn of(facts: &ArtifactFacts) -> Option<&str> {
    facts.facts.properties.get(OF).map(String::as_str)
}

/// Whether `name` means this artifact: what it is called after, or its source.
pub(super) fn is_meant(facts: &ArtifactFacts, name: &FileName) -> bool {
    facts.source == *name || of(facts) == Some(name.as_str())
}

/// The source of the configuration, and the database on its server, that an artifact belongs to; or that `name` means.
pub(super) fn home(site: &Site, facts: Option<&ArtifactFacts>, name: &FileName) -> Option<(FileName, Served)> {
    let sources = &site.config.sources;
    let served = |key: &FileName| sources.get(key).and_then(|config| served::server_of(&config.kind));
    if let Some(key) = facts.and_then(of).and_then(|key| key.parse::<FileName>().ok()) {
        return served(&key).map(|served| (key, served.named(name.as_str())));
    }
    let is_one =
        |config: &SourceConfig| config.server().is_some_and(|server| matches!(server.databases, Databases::One(_)));
    if sources.get(name).is_some_and(is_one) {
        return served(name).map(|served| (name.clone(), served));
    }
    // A file that is restored by the name of its database.
    let means = |config: &&SourceConfig| match config.server().map(|server| &server.databases) {
        Some(Databases::Several(names)) => names.iter().any(|other| other == name.as_str()),
        Some(Databases::All { except }) => !except.iter().any(|other| other == name.as_str()),
        _ => false,
    };
    let mut homes = sources.iter().filter(|(key, config)| *key != name && means(config));
    let (key, _) = homes.next()?;
    let served = served(key)?;
    homes.next().is_none().then(|| (key.clone(), served.named(name.as_str())))
}
