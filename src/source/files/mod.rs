//! Files as a source: folders, files and the system's configuration as one tar archive.
//!
//! [`walk`] finds what is meant, [`dump`] reads it and writes the archive ([`format`], [`acl`], [`owners`]) into the sink,
//! [`notes`] keeps what a person should know. The way back: [`read`] takes an archive apart, [`unpack`] makes files of it
//! below one folder, [`compare`] tells what differs from what is there, [`place`] puts files in place of those in use.

mod acl;
mod compare;
mod cutter;
mod dump;
mod format;
mod notes;
mod owners;
mod place;
mod read;
mod unpack;
mod walk;

use std::io::Read;
use std::path::PathBuf;

pub use compare::{Change, Changes, Compared, against, equal};
pub use place::{InPlace, Replaced};
pub use unpack::{Unpacked, into_new};

use super::Source;
use crate::error::Result;
use crate::model::{Run, Sink, SourceFacts, Stage};
use crate::policy::select::Pattern;

/// Files that are read where they are.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// What is backed up; what stands here as a path must be there.
    pub paths: Vec<Pattern>,
    /// What is backed up where it is there: the parts of presets.
    pub optional: Vec<Pattern>,
    /// What is left out of it.
    pub exclude: Vec<Pattern>,
    /// Paths that are left out always: backups, and databases that have a source of their own.
    pub skip: Vec<PathBuf>,
    /// Other file systems that are mounted below are left out.
    pub one_file_system: bool,
    /// What cannot be read fails the run, instead of being told.
    pub all_or_nothing: bool,
}

impl Source for Files {
    /// Looks at every file, and reads none.
    fn estimate(&self) -> Result<u64> {
        walk::total(self)
    }

    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        run.begin(Stage::Dump, self.name(), self.estimate()?);
        let facts = dump::write(self, sink, run)?;
        run.end(Stage::Dump);
        Ok(facts)
    }
}

impl Files {
    fn name(&self) -> String {
        let all: Vec<&str> = self.paths.iter().chain(&self.optional).map(Pattern::as_str).take(3).collect();
        all.join(", ")
    }

    /// How many names lead to the part of this source in which the path lies, by its names; `None` when it is none of it.
    fn covers(&self, path: &[&[u8]]) -> Option<usize> {
        self.paths.iter().chain(&self.optional).filter_map(|pattern| pattern.covers(path)).min()
    }
}

/// Reads all of an archive and says how many entries it has; fails when it is not a whole one.
pub fn count(archive: impl Read, run: &Run) -> Result<u64> {
    let mut archive = read::Archive::new(archive);
    let mut entries = 0;
    while archive.next()?.is_some() {
        run.check()?;
        entries += 1;
    }
    Ok(entries)
}

/// What the text of every archive of ours ends in.
pub const END: [u8; 1024] = format::END;
