//! Why a backup stays or goes, each in one line.

use std::fmt;
use std::time::Duration;

use super::period::{Period, Span};
use super::rules::ALL;
use crate::model::BackupId;

/// Why a backup stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Nothing is pruned now, for this reason.
    Suspended(String),
    /// Its manifest cannot be read: it may be anything.
    Unreadable,
    /// Another box made it.
    Foreign,
    /// The newest of all.
    Newest,
    /// The newest of which every file is there.
    NewestWhole,
    /// The newest of which a verified copy is elsewhere.
    NewestCopied,
    /// One of so many of the newest.
    Last(u32),
    /// No older than this.
    Within(Duration),
    /// The newest of its period.
    Of {
        /// The kind of period.
        period: Period,
        /// Which one.
        span: Span,
        /// How many of them were counted up to this one.
        nth: u32,
        /// How many are kept.
        of: u32,
    },
}

/// Why a backup goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// A newer one of the same period stays.
    Surpassed {
        /// The longest period of which one is kept.
        span: Span,
        /// The newer one.
        by: BackupId,
    },
    /// It is older than every rule reaches.
    Beyond,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended(why) => write!(f, "nothing is pruned: {why}"),
            Self::Unreadable => f.write_str("its manifest cannot be read, so nothing is known about it"),
            Self::Foreign => f.write_str("another box made it"),
            Self::Newest => f.write_str("the newest"),
            Self::NewestWhole => f.write_str("the newest that is whole"),
            Self::NewestCopied => f.write_str("the newest that is known to be elsewhere too"),
            Self::Last(1) => f.write_str("the newest is kept"),
            Self::Last(of) => write!(f, "one of the newest {of}"),
            Self::Within(age) => write!(f, "no older than {}", hours(*age)),
            Self::Of { period, span, nth, of: ALL } => write!(f, "the newest of {span} ({period} {nth}, all are kept)"),
            Self::Of { period, span, nth, of } => write!(f, "the newest of {span} ({period} {nth} of {of})"),
        }
    }
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surpassed { span, by } => write!(f, "{by} stays for {span}"),
            Self::Beyond => f.write_str("older than every rule reaches"),
        }
    }
}

fn hours(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{} hours", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}
