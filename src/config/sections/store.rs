//! `[stores.<name>]`: where further copies go.

use std::path::PathBuf;

use super::{retention, type_of};
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, flag, path};
use crate::model::FileName;
use crate::policy::retention::Rules;

/// The words for the types: that of this version, and those to come.
const TYPES: [(&str, Option<Type>); 4] =
    [("directory", Some(Type::Directory)), ("ftp", None), ("sftp", None), ("s3", None)];

#[derive(Clone)]
enum Type {
    Directory,
}

/// One store: the keys that all stores have, and those of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `enabled`: false leaves the store as it is; true.
    pub enabled: bool,
    /// `[stores.<name>.retention]`: keys that are left out stay as in `[retention]`.
    pub retention: Rules,
    /// `type` and the keys of this type.
    pub kind: StoreKind,
}

/// The types of store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// `type = "directory"`: a folder of a second disk or a mounted NAS.
    Directory {
        /// `path`: the folder; required. It must be there: an empty mount point is not a store.
        path: PathBuf,
    },
}

impl StoreConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>, inherited: &Rules) -> Option<Self> {
        let Type::Directory = type_of(section, &TYPES)?;
        let enabled = section.get("enabled", flag, true);
        let retention = section.table("retention", |section| retention::read(section, inherited));
        let path = section.required("path", path, "\"/mnt/nas/tillstick\"");
        path.map(|path| Self { enabled, retention, kind: StoreKind::Directory { path } })
    }

    pub(in crate::config) fn show(&self, name: &FileName, out: &mut Out) {
        out.named_table("stores", name);
        out.key("enabled", self.enabled);
        match &self.kind {
            StoreKind::Directory { path } => {
                out.key("type", quoted("directory"));
                out.key("path", path_text(path));
            }
        }
        out.named_subtable("stores", name, "retention");
        retention::show(&self.retention, out);
    }
}
