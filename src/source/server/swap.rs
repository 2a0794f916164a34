//! The plan by which a restored database takes the place of the old one. Written down before anything of the old one is
//! touched, it is enough for another process to undo or to finish what one that died had begun.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Who changes places with whom. The lists and scripts are MariaDB's alone: other servers rename a whole database at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The name that the new database takes.
    pub(in crate::source) database: String,
    /// What it is called until then.
    pub(in crate::source) new: String,
    /// What the old one will be called; `None` when there is none.
    pub(in crate::source) before: Option<String>,
    /// What the old one consists of.
    #[serde(default)]
    pub(in crate::source) old: Parts,
    /// What the new one consists of.
    #[serde(default)]
    pub(in crate::source) fresh: Parts,
    /// What makes the old one's triggers.
    #[serde(default)]
    pub(in crate::source) old_triggers: String,
    /// What makes the old one's views, triggers, routines and events.
    #[serde(default)]
    pub(in crate::source) old_programs: String,
    /// The same of the new one.
    #[serde(default)]
    pub(in crate::source) new_programs: String,
}

/// What a database consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Parts {
    pub(in crate::source) tables: Vec<String>,
    pub(in crate::source) triggers: Vec<String>,
    /// Views, routines and events with the word that drops them.
    pub(in crate::source) others: Vec<(String, String)>,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Swapped {
    /// The new database is in its place.
    InPlace {
        /// What a person should know.
        warnings: Vec<String>,
    },
    /// Everything is as it was before.
    Undone(Error),
    /// It stopped in between: to be settled later.
    Unfinished(Error),
}

/// What became of an attempt that somebody else had begun.
#[derive(Debug)]
pub enum Settled {
    /// The new database is in its place.
    Finished(Vec<String>),
    /// Everything is as it was before.
    Undone,
}

impl Swap {
    /// What the old database is called once it is over.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }
}
