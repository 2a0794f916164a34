//! `type = "directory"`.

use std::path::PathBuf;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, path};

/// A folder of a second disk or of a NAS that the system mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// `path`: the folder; required. `tillstick store init NAME` sets it up once, and a folder that was not set up is
    /// never filled: it is the empty place where the disk is not mounted.
    pub path: PathBuf,
}

impl DirectoryConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        section.required("path", path, "\"/mnt/nas/tillstick\"").map(|path| Self { path })
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.key("type", quoted("directory"));
        out.key("path", path_text(&self.path));
    }
}
