//! The contract for kinds that have files: a file grows under a temporary name that carries its content's hash, is read
//! back, and gets its final name by one rename. So a put that was cut off is gone on with by whoever puts the same
//! content again, and never with other content.

use std::io::Read;

use super::content::{Content, hash};
use super::{Entry, Ranges, Sent, Store};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, Stage};

/// What the name of an unfinished file ends in.
pub(super) const PART: &str = ".part";

/// What is sent again when a put goes on, in bytes: the end of a file that was cut off may be what nobody wrote.
const AGAIN: u64 = 256 << 10;

/// What became of what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it is there.
    All,
    /// Nothing of it: this server begins no file in its middle.
    #[cfg_attr(not(feature = "ftp"), allow(dead_code, reason = "some FTP servers alone are like that"))]
    Nothing,
}

/// What a kind of store with files must be able to do.
pub(super) trait Files: Clone + Send + 'static {
    /// Which medium it is.
    fn medium(&self) -> &str;
    /// Where it is.
    fn label(&self) -> String;
    /// The size of a file; `None` when it is not there.
    fn size(&mut self, path: &str) -> Result<Option<u64>>;
    /// Writes `content` into the file from `from` on, which makes the file (and its folders) when that is 0; what it had
    /// there or behind is gone. It is durable once this returned, as far as the kind can.
    fn write(&mut self, path: &str, from: u64, content: &mut dyn Read) -> Result<Written>;
    /// Gives the file another name in its folder, in one step; what has that name is gone.
    fn rename(&mut self, from: &str, to: &str) -> Result<()>;
    /// The SHA-256 of a file in hex, by the server's own reckoning, where it offers that.
    fn sha256(&mut self, _path: &str) -> Result<Option<String>> {
        Ok(None)
    }
    /// The content of a file from byte `from` on, from the medium.
    fn open(&mut self, path: &str, from: u64) -> Result<Box<dyn Read + Send>>;
    /// All that is in a folder; nothing when it is not there.
    fn list_all(&mut self, dir: &str) -> Result<Vec<Entry>>;
    /// Removes a file; fine when it is not there.
    fn delete(&mut self, path: &str) -> Result<()>;
    /// Removes an empty folder; fine when it is not there.
    fn delete_empty(&mut self, dir: &str) -> Result<()>;
    /// Bytes that may still be written, where that can be known.
    fn free(&mut self) -> Result<Option<u64>>;
}

/// A store of a kind that has files.
pub(super) struct Uploads<F> {
    pub(super) files: F,
    /// Bytes a second at most.
    pub(super) pace: Option<u64>,
}

impl<F: Files> Uploads<F> {
    /// What of `content` is there under a temporary name; what other content left there under one is removed.
    fn find_part(&mut self, part: &str, name: &str, dir: &str, content: &Content) -> Result<u64> {
        let mut from = 0;
        for entry in self.files.list_all(dir)? {
            let stale = entry.name.strip_suffix(PART).and_then(|rest| rest.rsplit_once('.'));
            if entry.name == part {
                from = entry.size;
            } else if stale.is_some_and(|(of, _)| of == name) {
                self.files.delete(&join(dir, &entry.name))?;
            }
        }
        // A longer one is not ours.
        Ok(if from > content.size() { 0 } else { from.saturating_sub(AGAIN) })
    }

    /// Whether `path` holds `content`, by the server's hash of it or by reading it back.
    fn holds(&mut self, path: &str, content: &Content, run: &Run) -> Result<bool> {
        if self.files.size(path)? != Some(content.size()) {
            return Ok(false);
        }
        if let Some(sha256) = self.files.sha256(path)? {
            return Ok(sha256 == content.sha256());
        }
        run.begin(Stage::ReadBack, path, content.size());
        let found = hash(&mut self.files.open(path, 0)?, run).context(|| format!("cannot read {path:?} back"))?;
        run.end(Stage::ReadBack);
        Ok(found == (content.size(), content.sha256().to_owned()))
    }

    fn send(&mut self, path: &str, from: u64, content: &Content, run: &Run) -> Result<Written> {
        run.begin(Stage::Copy, path, content.size());
        let written = self
            .files
            .write(path, from, content.reader(from, self.pace, run)?.as_mut())
            .context(|| format!("cannot write {path:?}"))?;
        run.end(Stage::Copy);
        Ok(written)
    }
}

impl<F: Files> Ranges for F {
    fn open_range(&mut self, path: &str, from: u64, length: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.open(path, from)?.take(length)))
    }
}

impl<F: Files> Store for Uploads<F> {
    fn medium(&self) -> &str {
        self.files.medium()
    }

    fn label(&self) -> String {
        self.files.label()
    }

    fn put(&mut self, path: &str, content: &Content, run: &Run) -> Result<Sent> {
        // One that got its name and died before it could tell.
        if self.holds(path, content, run)? {
            return Ok(Sent { bytes: 0, resumed: content.size() });
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let part_name = format!("{name}.{}{PART}", &content.sha256()[..12]);
        let part = join(dir, &part_name);
        let mut from = self.find_part(&part_name, name, dir, content)?;
        loop {
            let written = self.send(&part, from, content, run)?;
            if written == Written::All && self.holds(&part, content, run)? {
                break;
            }
            self.files.delete(&part)?;
            if from == 0 {
                return Err(self.did_not_keep(path, content, run));
            }
            // What was there was not what had been sent, or cannot be gone on with.
            from = 0;
        }
        self.files.rename(&part, path).context(|| format!("cannot give {path:?} its name"))?;
        if self.files.size(path)? != Some(content.size()) {
            return Err(self.did_not_keep(path, content, run));
        }
        Ok(Sent { bytes: content.size() - from, resumed: from })
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        self.files.open(path, 0)
    }

    fn ranges(&mut self) -> Box<dyn Ranges> {
        Box::new(self.files.clone())
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>> {
        let mut all = self.files.list_all(dir)?;
        all.retain(|entry| !super::is_part(&entry.name));
        Ok(all)
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        self.files.delete(path)
    }

    fn delete_dir(&mut self, dir: &str) -> Result<()> {
        for entry in self.files.list_all(dir)? {
            let path = join(dir, &entry.name);
            match entry.is_dir {
                true => self.delete_dir(&path)?,
                false => self.files.delete(&path)?,
            }
        }
        self.files.delete_empty(dir)
    }

    fn give_up(&mut self, dir: &str, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        for entry in self.files.list_all(dir)? {
            let unfinished = entry.name.strip_suffix(PART).and_then(|rest| rest.rsplit_once('.'));
            if unfinished.is_some_and(|(name, _)| !keep(name)) && !entry.is_dir {
                self.files.delete(&join(dir, &entry.name))?;
            }
        }
        Ok(())
    }

    fn free(&mut self) -> Result<Option<u64>> {
        self.files.free()
    }
}

impl<F: Files> Uploads<F> {
    fn did_not_keep(&self, path: &str, content: &Content, run: &Run) -> Error {
        match content.is_damaged(run) {
            Ok(true) => Error::new(Kind::Damaged, format!("what should be sent as {path:?} is damaged here"))
                .help("`tillstick check` tells which backups are"),
            Err(error) => error,
            Ok(false) => {
                let label = self.files.label();
                Error::new(Kind::Io, format!("{label} did not keep what was sent as {path:?}"))
                    .help("something on the way or the medium itself changes bytes: look at it before you rely on it")
            }
        }
    }
}

/// The path of `name` in the folder `dir`.
pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}
