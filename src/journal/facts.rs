//! What the journal knows of: runs, places, copies, proofs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::BackupId;

/// The store of every backup's first copy: the primary.
pub const PRIMARY: &str = "primary";
/// The store that is any stick.
pub const STICK: &str = "stick";

/// What a run was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// A backup, with its copies.
    Backup,
    /// Backups were read through.
    Check,
    /// Backups were read through, restored into a scratch database and compared.
    Drill,
    /// A database was made of a backup.
    Restore,
    /// A box that knew nothing got everything back.
    Recover,
    /// Backups that no rule keeps were removed.
    Prune,
    /// Backups were copied to stores.
    Copy,
    /// All that a store had of a customer was removed.
    Purge,
}

impl RunKind {
    /// Its name in the journal. Newer programs may know more kinds, so that readers take it as a text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Check => "check",
            Self::Drill => "drill",
            Self::Restore => "restore",
            Self::Recover => "recover",
            Self::Prune => "prune",
            Self::Copy => "copy",
            Self::Purge => "purge",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// The backup was made, and some of its copies failed; or some of what was to be looked into is encrypted.
    Partly,
    /// It failed, or found something that is damaged.
    Failed,
    /// Somebody stopped it.
    Stopped,
    /// It ended without a word: a power cut, or somebody killed it.
    Died,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Done, Self::Partly, Self::Failed, Self::Stopped, Self::Died];

    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Died => "died",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What was done to show that a copy is good, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was read back when it was written.
    ReadBack,
    /// It was read through: sizes, hashes, the gzip stream, the dump's end.
    Checked,
    /// It was restored, and the new database passed its checks.
    Restored,
    /// It was restored into a scratch database, and every value compared.
    Drilled,
}

impl How {
    const ALL: [Self; 4] = [Self::ReadBack, Self::Checked, Self::Restored, Self::Drilled];

    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadBack => "read-back",
            Self::Checked => "checked",
            Self::Restored => "restored",
            Self::Drilled => "drilled",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.name() == name)
    }
}

/// Where a copy is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// [`PRIMARY`], [`STICK`] or the name of a store.
    pub store: String,
    /// Which medium of that store: a stick's file system id, a folder; empty for the primary.
    pub medium: String,
}

impl Place {
    /// The primary.
    pub fn primary() -> Self {
        Self { store: PRIMARY.into(), medium: String::new() }
    }

    /// The stick with this file system id, or the folder that stands for one.
    pub fn stick(medium: impl Into<String>) -> Self {
        Self { store: STICK.into(), medium: medium.into() }
    }
}

/// That a copy was good at some moment, and how that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How it was shown.
    pub how: How,
    /// When, by the box's clock of then.
    pub at: Timestamp,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A place was looked at: these backups are there, each with the time when it was made, and no others.
    Seen {
        /// The place.
        place: Place,
        /// What people call the medium.
        label: Option<String>,
        /// What is there.
        backups: Vec<(BackupId, Option<Timestamp>)>,
    },
    /// A copy was written.
    Written {
        /// Of which backup.
        backup: BackupId,
        /// Where to.
        place: Place,
        /// When.
        at: Timestamp,
    },
    /// A copy was removed.
    Removed {
        /// Of which backup.
        backup: BackupId,
        /// Where from.
        place: Place,
    },
    /// A copy was looked at.
    Proven {
        /// Of which backup.
        backup: BackupId,
        /// Where.
        place: Place,
        /// What was done, and when.
        proof: Proof,
        /// What is wrong with it, in one line; `None` when it is good.
        problem: Option<String>,
    },
}

/// A backup that was made before there was this journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeBefore {
    /// It.
    pub backup: BackupId,
    /// When its run began.
    pub started: Timestamp,
    /// When its run ended.
    pub ended: Timestamp,
}

/// A run that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// What for.
    pub kind: RunKind,
    /// The process, as [`crate::host::process::mark`] calls it.
    pub process: String,
    /// When, by the box's clock.
    pub started: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When, by the box's clock.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// The backup that it made or was about.
    pub backup: Option<BackupId>,
    /// Why it was not all done, in one line.
    pub error: Option<String>,
}

/// A run, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// [`RunKind::name`], or a kind that this program does not know.
    pub kind: String,
    /// When it began, by the box's clock of then.
    pub started: Timestamp,
    /// When it ended; `None` when nobody saw it.
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<Outcome>,
    /// The backup that it made or was about.
    pub backup: Option<BackupId>,
    /// Why it was not all done, in one line.
    pub error: Option<String>,
}

/// A copy that is there as far as is known, with what was last shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyHistory {
    /// Of which backup.
    pub backup: BackupId,
    /// Where.
    pub place: Place,
    /// What people call the medium.
    pub label: Option<String>,
    /// When it was written, if that is known.
    pub written: Option<Timestamp>,
    /// The last time that it was good.
    pub good: Option<Proof>,
    /// The last drill that it passed.
    pub drilled: Option<Timestamp>,
    /// When it was last looked at and was not good: what was done, and what was wrong. `None` once it was good again.
    pub bad: Option<(Proof, String)>,
}
