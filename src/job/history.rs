//! What the journal knows, as far as it can be read: lists and the status go on without it, from the files alone.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Site;
use super::record::one_line;
use crate::error::Result;
use crate::journal::{CopyHistory, How, Journal, PastRun, Place, Proof};
use crate::model::{BackupId, Run};

/// The history of a box.
#[derive(Debug, Default)]
pub struct History {
    /// The runs that are remembered, newest first.
    pub runs: Vec<PastRun>,
    copies: HashMap<(BackupId, Place), CopyHistory>,
}

impl History {
    /// Reads it. When that fails it is empty, and a warning tells why.
    pub fn of(site: &Site, run: &Run) -> Self {
        read(site).unwrap_or_else(|error| {
            run.warn(format!("the history cannot be read: {}", one_line(&error.report())));
            Self::default()
        })
    }

    /// All copies that are there as far as is known, in no order.
    pub fn copies(&self) -> impl Iterator<Item = &CopyHistory> {
        self.copies.values()
    }

    /// What is known of one copy.
    pub fn copy(&self, backup: &BackupId, place: &Place) -> Option<&CopyHistory> {
        self.copies.get(&(backup.clone(), place.clone()))
    }

    /// When a copy was last good, if it was not later found to be damaged. What was read back at `written` was good then.
    pub fn proof(&self, backup: &BackupId, place: &Place, written: Option<Timestamp>) -> Option<Proof> {
        let least = written.map(|at| Proof { how: How::ReadBack, at });
        match self.copy(backup, place) {
            Some(copy) if copy.bad.is_some() => None,
            Some(copy) => copy.good.or(least),
            None => least,
        }
    }

    /// What was wrong with a copy when it was last looked at.
    pub fn problem(&self, backup: &BackupId, place: &Place) -> Option<String> {
        let (proof, problem) = self.copy(backup, place)?.bad.as_ref()?;
        Some(format!("it was not good at {}: {problem}", proof.at))
    }
}

fn read(site: &Site) -> Result<History> {
    let Some(journal) = Journal::look(&site.journal())? else {
        return Ok(History::default());
    };
    let copies = journal.copies()?.into_iter().map(|copy| ((copy.backup.clone(), copy.place.clone()), copy)).collect();
    Ok(History { runs: journal.runs()?, copies })
}
