//! The few things publishing asks of a stick's file system, and what it may rely on when the stick is pulled out.
//!
//! # The contract
//! Paths are relative to the root of the stick, with `/` between names; names compare without regard to case.
//! Every call that changes something is durable when it returns: the medium has it, not a cache. When the stick is
//! pulled out in the middle of a call, what is found afterwards is one of these and nothing else:
//! - [`create_hidden`](StickFs::create_hidden): nothing, or a hidden file of the full size and any content;
//! - [`hide`](StickFs::hide), [`unhide`](StickFs::unhide): the one or the other;
//! - [`rename`](StickFs::rename): the old name, or both names for one content, or the new name; the attributes are
//!   those of the old name throughout. Rename what is hidden, and no half-done state can be seen by a person;
//! - [`remove`](StickFs::remove), [`make_dir`](StickFs::make_dir): the state before or after; room may stay lost until
//!   the next file system check.
//!
//! No call changes a byte of any other file. Where hiding cannot be expressed (a folder that is not FAT), `rename` is
//! atomic and hiding does nothing: an unfinished file is then known by its name's ending alone.

use std::io::{Read, Write};

use crate::error::Result;

/// What lies in a folder: a file or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it is written on the stick.
    pub name: String,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Whether it is kept out of sight: not published, or withdrawn.
    pub hidden: bool,
    /// Where its content begins, when the file system can tell: two entries with one start share their content.
    pub start_cluster: Option<u32>,
}

/// A stick's file system; the module says what may be relied on.
pub trait StickFs {
    /// What lies in `dir` (`""` is the root), in its own order; nothing when there is no such folder.
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>>;

    /// Reads a file.
    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>>;

    /// Reads a file from the medium itself, past every cache that we know of.
    fn reread(&mut self, path: &str) -> Result<Box<dyn Read + Send>>;

    /// Makes a hidden file of `size` bytes, with room for all of it, and gives what fills it from its beginning.
    /// `flush` makes durable what was written so far. Fails when the name is taken or the room does not suffice.
    fn create_hidden(&mut self, path: &str, size: u64) -> Result<Box<dyn Write + Send>>;

    /// Takes a file out of sight.
    fn hide(&mut self, path: &str) -> Result<()>;

    /// Brings a file into sight.
    fn unhide(&mut self, path: &str) -> Result<()>;

    /// Gives a file another name, perhaps in another folder. Fails when that name is taken.
    fn rename(&mut self, from: &str, to: &str) -> Result<()>;

    /// Removes a file or an empty folder and frees its room.
    fn remove(&mut self, path: &str) -> Result<()>;

    /// Removes a name whose content belongs to another name: nothing is freed. Only where entries have start clusters.
    fn forget(&mut self, path: &str) -> Result<()>;

    /// Makes a folder in a folder that is there; fine when it is there already.
    fn make_dir(&mut self, path: &str) -> Result<()>;

    /// Takes the clusters of our folders again that a pull left free, and takes away the folders whose clusters became another
    /// file's; tells what was done, a line each. Whoever takes up room before has it done first.
    fn mend_folders(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Keeps a note in the hidden file `path` of what each step is about to take or free, where clusters can be lost.
    /// Fine when it is kept already.
    fn begin_note(&mut self, _path: &str) -> Result<()> {
        Ok(())
    }

    /// Frees the clusters that the step noted in `path` lost when it was cut short, if they are provably nobody's, and
    /// goes on with that note. Tells how many bytes they are. Comes before any other change but that to folders.
    fn give_back(&mut self, _path: &str) -> Result<u64> {
        Ok(0)
    }

    /// Whether the end of a hidden file of ours is shown at a second place of the stick, which then wraps what is written
    /// beyond its real end. `false` where that cannot be found out.
    fn is_shown_twice(&mut self, _path: &str) -> Result<bool> {
        Ok(false)
    }

    /// Drops all that is remembered of the stick. Fails as damaged when it is not the file system any more that was opened.
    fn look_again(&mut self) -> Result<()> {
        Ok(())
    }

    /// Free room in bytes.
    fn free(&mut self) -> Result<u64>;

    /// The step in which files take up room, in bytes.
    fn unit(&self) -> u64;

    /// The largest file, in bytes.
    fn max_file(&self) -> u64;

    /// Brings everything to the medium and leaves the file system as one that was put away in good order.
    fn sync(&mut self) -> Result<()>;
}

/// How large a folder is before we call it damaged: FAT allows 65,536 entries.
pub(super) const ENTRIES_MAX: usize = 65_536;
