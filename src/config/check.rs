//! What no single key can tell: names that clash on a stick, folders that lie in each other.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::Report;
use super::take::dotted;
use super::tree::{Place, Table, find};
use super::{Config, SourceKind, StickPath, StoreKind};
use crate::model::{ArtifactName, FileName, LOGS, STATUS};

/// Reports every contradiction between keys.
pub(super) fn check(config: &Config, tree: &Table, report: &mut Report) {
    artifact_names(config, tree, report);
    store_names(config, tree, report);
    paths(config, tree, report);
}

/// On FAT32 `A` and `a` are one name, and a name on a stick may get `_<box>` (where another box uses the plain one).
fn artifact_names(config: &Config, tree: &Table, report: &mut Report) {
    let place = |source: &FileName| find(tree, &["sources", source.as_str()]).map(|entry| entry.key_at);
    let mut sources: Vec<_> = config.sources.keys().map(|source| (place(source), source)).collect();
    sources.sort();
    let mut taken: BTreeMap<String, &FileName> = BTreeMap::new();
    for (at, source) in sources {
        let key = dotted("sources", source.as_str());
        let names = config.sources[source].artifact_names(&config.customer, source);
        let both = |plain: ArtifactName| {
            let for_box = plain.for_box(&config.box_name);
            [plain, for_box]
        };
        for name in names.into_iter().flat_map(|(_, plain)| both(plain)) {
            match taken.insert(name.as_str().to_lowercase(), source) {
                Some(other) if other != source => {
                    let message =
                        format!("its file {:?} would overwrite that of the source {:?}", name.as_str(), other.as_str());
                    let hint = "small and capital letters are the same on a stick: choose another name".to_owned();
                    report.wrong(at, &key, message, Some(hint));
                    break;
                }
                _ => {}
            }
        }
    }
}

/// What copies are noted under; see the journal's places.
const TAKEN: [&str; 2] = ["primary", "stick"];

/// A store may not have the name of what is no store, and no customer that of what is no customer.
fn store_names(config: &Config, tree: &Table, report: &mut Report) {
    if [LOGS, STATUS].iter().any(|name| config.customer.as_str().eq_ignore_ascii_case(name)) {
        let at = find(tree, &["customer"]).map(|entry| entry.key_at);
        let message = "stores have another folder of this name".to_owned();
        report.wrong(at, "customer", message, Some("choose another one".into()));
    }
    if let Some(name) = config.log.upload.as_ref().filter(|name| !config.stores.contains_key(*name)) {
        let at = find(tree, &["log", "upload"]).map(|entry| entry.key_at);
        let message = format!("no store {:?} is configured", name.as_str());
        let known: Vec<&str> = config.stores.keys().map(FileName::as_str).collect();
        let hint = if known.is_empty() {
            "name one with [stores.NAME]".into()
        } else {
            format!("the stores are: {}", known.join(", "))
        };
        report.wrong(at, "log.upload", message, Some(hint));
    }
    for name in config.stores.keys().filter(|name| TAKEN.contains(&name.as_str())) {
        let at = find(tree, &["stores", name.as_str()]).map(|entry| entry.key_at);
        let message = format!("copies on a {name} are noted under this name already");
        report.wrong(at, &dotted("stores", name.as_str()), message, Some("choose another name".into()));
    }
}

/// A path of the configuration and what it is for.
struct Used<'c> {
    path: &'c Path,
    key: String,
    at: Option<Place>,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Database,
    Primary,
    Stick,
    Store,
}

/// No folder that we write and prune may hold, or lie in, another one or a database.
fn paths(config: &Config, tree: &Table, report: &mut Report) {
    let used = used(config, tree);
    for (index, one) in used.iter().enumerate() {
        for other in &used[..index] {
            // The later line broke what was right before, and a default stands nowhere.
            let (one, other) = if one.at < other.at { (other, one) } else { (one, other) };
            let how = if one.path == other.path {
                "is the same path as"
            } else if one.path.starts_with(other.path) {
                "lies inside"
            } else if other.path.starts_with(one.path) {
                "holds"
            } else {
                continue;
            };
            let why = match (one.role, other.role) {
                (Role::Database, Role::Database) => "each database is backed up by one source",
                (Role::Database, _) | (_, Role::Database) => "keep backups in a folder of their own",
                _ => "keep each copy in a folder of its own",
            };
            let message = format!("{:?} {how} {} ({:?})", one.path, other.key, other.path);
            report.wrong(one.at, &one.key, message, Some(why.into()));
        }
    }
}

fn used<'c>(config: &'c Config, tree: &Table) -> Vec<Used<'c>> {
    let place = |keys: &[&str]| Used {
        path: Path::new(""),
        key: keys.iter().fold(String::new(), |path, key| dotted(&path, key)),
        at: find(tree, keys).map(|entry| entry.node.at),
        role: Role::Primary,
    };
    let mut all = vec![Used { path: &config.primary.dir, ..place(&["primary", "dir"]) }];
    if let StickPath::Fixed(path) = &config.sticks.path {
        all.push(Used { path, role: Role::Stick, ..place(&["sticks", "path"]) });
    }
    for (name, store) in &config.stores {
        match &store.kind {
            StoreKind::Directory(directory) => {
                all.push(Used {
                    path: &directory.path,
                    role: Role::Store,
                    ..place(&["stores", name.as_str(), "path"])
                });
            }
            StoreKind::Ftp(_) | StoreKind::S3(_) | StoreKind::Sftp(_) => {}
        }
    }
    for (name, source) in &config.sources {
        // A folder of files may hold all of them: what is ours in it is left out of the backup.
        // A server keeps its databases where it likes.
        let SourceKind::Sqlite(sqlite) = &source.kind else { continue };
        all.push(Used { path: &sqlite.path, role: Role::Database, ..place(&["sources", name.as_str(), "path"]) });
    }
    all
}
