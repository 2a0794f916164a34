//! What a person should know of a tree that was read or written: each sort in one line, with the first names.

use std::collections::BTreeMap;

/// So many names are told of each sort.
const SHOWN: usize = 5;

/// What was found, sort by sort.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<Sort, (u64, Vec<String>)>);

/// The sorts, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Unreadable,
    Changed,
    Vanished,
    Nothing,
    LinkToFolder,
    OtherFileSystem,
    Special,
    Owners,
    Attributes,
}

impl Notes {
    /// Notes something of this name; `why` is told beside it.
    pub(super) fn add(&mut self, sort: Sort, path: &[u8], why: Option<&str>) {
        let (count, names) = self.0.entry(sort).or_default();
        *count += 1;
        if names.len() < SHOWN {
            let name = format!("{:?}", String::from_utf8_lossy(path));
            names.push(why.map_or(name.clone(), |why| format!("{name} ({why})")));
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(sort, (count, names)): (&Sort, &(u64, Vec<String>))| {
            let more = count - names.len() as u64;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let (what, help) = sort.words();
            format!("{what}: {}{more}{help}", names.join(", "))
        };
        self.0.iter().map(line).collect()
    }
}

impl Sort {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Unreadable => (
                "could not be read and is not in the backup",
                "; let the user that runs the backup read it, or name it in `exclude`",
            ),
            Self::Changed => (
                "changed while it was read, so that it may be half old and half new",
                "; stop what writes it with [quiesce], or name it in `exclude`",
            ),
            Self::Vanished => ("was there and is gone", ""),
            Self::Nothing => ("nothing matches", "; take it out of `paths` when that is right"),
            Self::LinkToFolder => {
                ("is only a link, and was backed up as one", "; name the folder it leads to in `paths` as well")
            }
            Self::OtherFileSystem => (
                "is another file system and was left out",
                "; set one_file_system = false, name it in `paths`, or name it in `exclude`",
            ),
            Self::Special => ("holds no data that could be backed up", ""),
            Self::Owners => ("belongs to another user now", "; only root can give files to others"),
            Self::Attributes => ("lost extended attributes or an access list", ""),
        }
    }
}
