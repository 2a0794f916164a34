//! `[sources.<name>]`: what is backed up.

use std::path::PathBuf;
use std::time::Duration;

use super::type_of;
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, duration, path};
use crate::config::units;
use crate::model::FileName;

/// The longest wait for a lock on offer.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(600);

/// The longest locked pass on offer: longer than a till may stand still.
const LOCKED_PASS_MAX: Duration = Duration::from_secs(60);

/// The words for the types: that of this version, and those to come.
const TYPES: [(&str, Option<Type>); 4] =
    [("sqlite", Some(Type::Sqlite)), ("mariadb", None), ("postgresql", None), ("files", None)];

#[derive(Clone)]
enum Type {
    Sqlite,
}

/// One source. Its name is part of the artifact's: `<customer>_<source>.sql.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// `type` and the keys of this type.
    pub kind: SourceKind,
}

/// The types of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// `type = "sqlite"`
    Sqlite(SqliteConfig),
}

/// An SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteConfig {
    /// `path`: the database file; required.
    pub path: PathBuf,
    /// `lock_wait`: how long to wait while the till holds the database; `"5s"`, at most `"10m"`.
    pub lock_wait: Duration,
    /// `locked_pass`: in rollback-journal mode, where the till writes too often for a copy in steps: for how long its
    /// writes may be held up once; `"2s"`, at most `"1m"`, `"0s"` for never.
    pub locked_pass: Duration,
}

impl SqliteConfig {
    /// A database with the defaults for everything else.
    pub fn new(path: PathBuf) -> Self {
        Self { path, lock_wait: Duration::from_secs(5), locked_pass: Duration::from_secs(2) }
    }
}

impl SourceConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let Type::Sqlite = type_of(section, &TYPES)?;
        let path = section.required("path", path, "\"/var/lib/till/kasse.db\"");
        let default = SqliteConfig::new(path.clone().unwrap_or_default());
        let lock_wait = section.get("lock_wait", duration(Duration::ZERO, LOCK_WAIT_MAX), default.lock_wait);
        let locked_pass = section.get("locked_pass", duration(Duration::ZERO, LOCKED_PASS_MAX), default.locked_pass);
        path.map(|path| Self { kind: SourceKind::Sqlite(SqliteConfig { path, lock_wait, locked_pass }) })
    }

    pub(in crate::config) fn show(&self, name: &FileName, out: &mut Out) {
        out.named_table("sources", name);
        match &self.kind {
            SourceKind::Sqlite(sqlite) => {
                out.key("type", quoted("sqlite"));
                out.key("path", path_text(&sqlite.path));
                out.key("lock_wait", quoted(&units::format_duration(sqlite.lock_wait)));
                out.key("locked_pass", quoted(&units::format_duration(sqlite.locked_pass)));
            }
        }
    }
}
