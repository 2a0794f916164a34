//! The journal: what runs there were, where copies were written, and when each copy was last proven.
//!
//! It is history and nothing else. What decides anything lies in files of its own: backups and their `copies.json` in the
//! primary, the box's id beside the journal. So losing the journal loses history only; what the files still know is
//! taken up into a new one. One database file, changed in one transaction when a run begins and one when it ends.

mod facts;
mod open;
mod read;
mod schema;
mod write;

use std::path::PathBuf;

use rusqlite::Connection;

pub use facts::{
    CopyHistory, Ended, Fact, How, MadeBefore, NewRun, Outcome, PRIMARY, PastRun, Place, Proof, RunKind, STICK,
};
pub use open::Opened;

/// The file's name in the folder of the box's state.
pub const JOURNAL: &str = "journal.db";

/// An open journal. Nobody else can write to it during a transaction; between two of them anybody may.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
    /// Of the file that was opened: another process may have set it aside meanwhile.
    inode: Option<u64>,
}
