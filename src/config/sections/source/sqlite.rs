//! `type = "sqlite"`: an SQLite database.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, duration, path};
use crate::config::units;

/// The longest wait for a lock on offer.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(600);

/// The longest locked pass on offer: longer than a till may stand still.
const LOCKED_PASS_MAX: Duration = Duration::from_secs(60);

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

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let path = section.required("path", path, "\"/var/lib/till/kasse.db\"");
        let default = Self::new(path.clone().unwrap_or_default());
        let lock_wait = section.get("lock_wait", duration(Duration::ZERO, LOCK_WAIT_MAX), default.lock_wait);
        let locked_pass = section.get("locked_pass", duration(Duration::ZERO, LOCKED_PASS_MAX), default.locked_pass);
        path.map(|path| Self { path, lock_wait, locked_pass })
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.key("path", path_text(&self.path));
        out.key("lock_wait", quoted(&units::format_duration(self.lock_wait)));
        out.key("locked_pass", quoted(&units::format_duration(self.locked_pass)));
    }
}
