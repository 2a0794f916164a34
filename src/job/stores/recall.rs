//! What was read of each backup in a store, kept in the box's state: `stores/<store>.seen/<id>`, a line of JSON that names
//! the files, and their bytes behind it. All of it may go at any time; then it is read again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::StoreAt;
use crate::error::{Context, Result};
use crate::host::durable;
use crate::job::Site;
use crate::model::BackupId;
use crate::store::shelf::{Kept, Recall};

/// What is kept of one backup is not longer, in bytes.
const FILE_MAX: u64 = 256 << 10;

#[derive(Serialize, Deserialize)]
struct Head {
    name: String,
    version: String,
    size: usize,
}

/// What is kept of one store.
pub(super) struct Seen {
    dir: PathBuf,
    medium: String,
}

impl Seen {
    pub(super) fn of(site: &Site, at: &StoreAt, medium: &str) -> Self {
        Self { dir: site.config.state.join("stores").join(format!("{}.seen", at.name)), medium: medium.to_owned() }
    }

    fn path(&self, id: &BackupId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    fn read(&self, id: &BackupId) -> Option<Vec<Kept>> {
        let bytes = durable::read(&self.path(id), FILE_MAX).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (medium, heads): (String, Vec<Head>) = serde_json::from_slice(&bytes[..end]).ok()?;
        let mut rest = &bytes[end + 1..];
        let mut all = Vec::new();
        for Head { name, version, size } in heads {
            let (bytes, behind) = rest.split_at_checked(size)?;
            rest = behind;
            all.push(Kept { name, version, bytes: bytes.to_vec() });
        }
        // Another medium of that name has times of its own.
        (medium == self.medium && rest.is_empty()).then_some(all)
    }

    fn write(&self, id: &BackupId, files: &[Kept]) -> Result<()> {
        let head =
            |file: &Kept| Head { name: file.name.clone(), version: file.version.clone(), size: file.bytes.len() };
        let heads: Vec<Head> = files.iter().map(head).collect();
        let mut bytes = serde_json::to_vec(&(&self.medium, heads)).expect("plain data");
        bytes.push(b'\n');
        bytes.extend(files.iter().flat_map(|file| &file.bytes));
        fs::create_dir_all(&self.dir).context(|| format!("cannot make the folder {:?}", self.dir))?;
        durable::write(&self.path(id), &bytes, 0o600)
    }
}

impl Recall for Seen {
    fn of(&self, id: &BackupId) -> Vec<Kept> {
        self.read(id).unwrap_or_default()
    }

    fn keep(&self, id: &BackupId, files: &[Kept]) {
        if let Err(error) = self.write(id, files) {
            log::debug!("{}", error.report());
        }
    }

    fn only(&self, ids: &[BackupId]) {
        let stay: BTreeSet<&str> = ids.iter().map(BackupId::as_str).collect();
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in
            entries.flatten().filter(|entry| !entry.file_name().to_str().is_some_and(|name| stay.contains(name)))
        {
            if let Err(error) = fs::remove_file(entry.path()) {
                log::debug!("cannot remove {:?}: {error}", entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str, bytes: &[u8]) -> Kept {
        Kept { name: name.to_owned(), version: "\"1\" a\n".to_owned(), bytes: bytes.to_vec() }
    }

    #[test]
    fn what_was_read_is_known_until_anything_about_it_is_odd() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen { dir: dir.path().join("far.seen"), medium: "here".into() };
        let ids: [BackupId; 2] = ["20261122T200000Z", "20261122T200001Z"].map(|id| id.parse().unwrap());
        let files = [kept("manifest.json", b"{}\n"), kept("manifest.json.sig", &[0, 10, 255]), kept("SHA256SUMS", b"")];
        for id in &ids {
            assert!(seen.of(id).is_empty());
            seen.keep(id, &files);
            assert_eq!(seen.of(id), files);
        }
        let elsewhere = Seen { dir: seen.dir.clone(), medium: "there".into() };
        assert!(elsewhere.of(&ids[0]).is_empty());
        seen.only(&ids[..1]);
        assert!(seen.of(&ids[1]).is_empty());
        let whole = fs::read(seen.path(&ids[0])).unwrap();
        for cut in 0..whole.len() {
            fs::write(seen.path(&ids[0]), &whole[..cut]).unwrap();
            assert!(seen.of(&ids[0]).is_empty(), "{cut}");
        }
        fs::write(seen.path(&ids[0]), [&whole[..], b"x"].concat()).unwrap();
        assert!(seen.of(&ids[0]).is_empty());
    }
}
