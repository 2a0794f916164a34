//! `[primary]`: the local folder in which every backup is made first.

use std::path::PathBuf;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, one_of, path, size};
use crate::config::units;

/// The words for what stays in the primary.
const SPOOLS: [(&str, Spool); 2] = [("all", Spool::All), ("one", Spool::One)];

/// The local folder of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryConfig {
    /// `dir`: the folder; made when it is not there; `"/var/lib/tillstick/backups"`.
    pub dir: PathBuf,
    /// `min_free`: a backup that would leave less room than this on the disk is refused; in bytes; `"200MB"`.
    pub min_free: u64,
    /// `spool`: which backups stay here; `"all"`.
    pub spool: Spool,
}

/// Which backups stay in the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spool {
    /// `"all"`: those that `[retention]` keeps.
    All,
    /// `"one"`: the newest alone, for a box with a small disk.
    One,
}

impl Default for PrimaryConfig {
    fn default() -> Self {
        Self { dir: "/var/lib/tillstick/backups".into(), min_free: 200_000_000, spool: Spool::All }
    }
}

impl PrimaryConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            dir: section.get("dir", path, default.dir),
            min_free: section.get("min_free", size, default.min_free),
            spool: section.get("spool", one_of(&SPOOLS), default.spool),
        }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("primary");
        out.key("dir", path_text(&self.dir));
        out.key("min_free", quoted(&units::format_size(self.min_free)));
        out.word("spool", &SPOOLS, &self.spool);
    }
}
