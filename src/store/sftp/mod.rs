//! A folder of an SSH server. Files grow under a temporary name and are read back before they get their own.

mod reader;
mod ssh;
mod wire;

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::upload::{Files, Uploads, Written, join};
use super::{Entry, Store};
use crate::config::SftpConfig;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Cancel;
use reader::Reader;
use ssh::Ssh;
use wire::{Answer, Attributes, Out, Wire, kind};

/// A piece that every server takes, in bytes, and how many are under way at once.
const PIECE: usize = 32 << 10;
const UNDER_WAY: usize = 64;

/// Ways to open a file.
const READ: u32 = 1;
const WRITE: u32 = 2;
const CREATE: u32 = 8;

/// What a server may offer beyond version 3.
const FSYNC: &str = "fsync@openssh.com";
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const STATVFS: &str = "statvfs@openssh.com";

/// The connection, shared with whoever reads a file.
type Shared = Arc<Mutex<Wire<Ssh>>>;

#[derive(Clone)]
struct Sftp {
    wire: Shared,
    root: String,
    medium: String,
}

/// Connects and logs in.
pub(super) fn open(config: &SftpConfig, pace: Option<u64>, cancel: &Cancel) -> Result<Box<dyn Store>> {
    let medium =
        format!("sftp://{}@{}:{}/{}", config.user, config.host, config.port, config.path.trim_start_matches('/'));
    let wire =
        Ssh::open(config, cancel).and_then(Wire::begin).context(|| format!("cannot log in at {}", config.host))?;
    let root = if config.path == "." { String::new() } else { config.path.clone() };
    let files = Sftp { wire: Arc::new(Mutex::new(wire)), root, medium };
    // Through a link, should the folder be one: that is the administrator's own layout.
    let there = files.stat(&join(&files.at(""), "."))?;
    if !there.is_some_and(|found| found.is_dir()) {
        return Err(Error::new(Kind::Missing, format!("there is no folder {:?} on the server", config.path))
            .help("make it there, or name the right one with `path`; is its disk mounted?"));
    }
    Ok(Box::new(Uploads { files, pace }))
}

fn locked(wire: &Shared) -> MutexGuard<'_, Wire<Ssh>> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sftp {
    fn at(&self, path: &str) -> String {
        match (self.root.as_str(), path) {
            ("", "") => ".".to_owned(),
            (root, "") => root.to_owned(),
            ("/", path) => format!("/{path}"),
            (root, path) => join(root, path),
        }
    }

    fn ask(&self, kind: u8, message: &Out) -> Result<Answer> {
        locked(&self.wire).ask(kind, message)
    }

    fn stat(&self, at: &str) -> Result<Option<Attributes>> {
        match self.ask(kind::LSTAT, &Out::default().bytes(at.as_bytes()))?.expect(kind::ATTRS) {
            Ok(mut found) => found.attributes().map(Some),
            Err(error) if error.kind() == Kind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_file(&self, at: &str, how: u32) -> Result<Vec<u8>> {
        self.ask(kind::OPEN, &Out::default().bytes(at.as_bytes()).u32(how).mode(0o600))?.expect(kind::HANDLE)?.bytes()
    }

    fn close(&self, handle: &[u8]) -> Result<()> {
        self.ask(kind::CLOSE, &Out::default().bytes(handle))?.done()
    }

    /// Makes the folder `dir` of the store, and those above it but the store's own.
    fn make_dirs(&self, dir: &str) -> Result<()> {
        if dir.is_empty() || self.stat(&self.at(dir))?.is_some() {
            return Ok(());
        }
        self.make_dirs(dir.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        let made = self.ask(kind::MKDIR, &Out::default().bytes(self.at(dir).as_bytes()).mode(0o700))?.done();
        match made {
            // Somebody was faster.
            Err(_) if self.stat(&self.at(dir))?.is_some_and(|found| found.is_dir()) => Ok(()),
            made => made.context(|| format!("cannot make the folder {dir:?}")),
        }
    }

    /// Writes all of `content` with many pieces under way.
    fn fill(&self, handle: &[u8], from: u64, content: &mut dyn Read) -> Result<()> {
        let mut wire = locked(&self.wire);
        wire.ask(kind::FSETSTAT, &Out::default().bytes(handle).size(from))?
            .done()
            .context(|| "cannot cut it off".into())?;
        let (mut under_way, mut at) = (VecDeque::new(), from);
        let mut piece = vec![0; PIECE];
        loop {
            let read = fill_piece(content, &mut piece)?;
            if read > 0 {
                let message = Out::default().bytes(handle).u64(at).bytes(&piece[..read]);
                under_way.push_back(wire.send(kind::WRITE, &message)?);
                at += read as u64;
            }
            while under_way.len() >= UNDER_WAY || (read == 0 && !under_way.is_empty()) {
                if let Some(first) = under_way.pop_front() {
                    wire.wait(first)?.done()?;
                }
            }
            if read == 0 {
                break;
            }
        }
        match wire.can(FSYNC) {
            true => wire.ask(kind::EXTENDED, &Out::default().bytes(FSYNC.as_bytes()).bytes(handle))?.done(),
            false => Ok(()),
        }
    }

    fn read_dir(&self, at: &str) -> Result<Vec<Entry>> {
        let handle = self.ask(kind::OPENDIR, &Out::default().bytes(at.as_bytes()))?.expect(kind::HANDLE)?.bytes()?;
        let mut all = Vec::new();
        loop {
            let answer = self.ask(kind::READDIR, &Out::default().bytes(&handle))?;
            if answer.is_end() {
                self.close(&handle)?;
                return Ok(all);
            }
            let mut names = answer.expect(kind::NAME)?;
            for _ in 0..names.u32()? {
                let name = names.bytes()?;
                names.bytes()?;
                let found = names.attributes()?;
                // Names that are no UTF-8 are not ours.
                if let Ok(name) = String::from_utf8(name)
                    && name != "."
                    && name != ".."
                {
                    let is_dir = found.is_dir();
                    let (size, version) = (if is_dir { 0 } else { found.size }, found.changed.map(|at| at.to_string()));
                    all.push(Entry { name, size, is_dir, version });
                }
            }
        }
    }
}

/// Reads until the piece is full or there is no more.
fn fill_piece(content: &mut dyn Read, piece: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match content.read(&mut piece[filled..]).context(|| "cannot read what is to be sent".into())? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// What is not there is fine.
fn unless_missing(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if error.kind() == Kind::Missing => Ok(()),
        done => done,
    }
}

impl Files for Sftp {
    fn medium(&self) -> &str {
        &self.medium
    }

    fn label(&self) -> String {
        self.medium.clone()
    }

    fn size(&mut self, path: &str) -> Result<Option<u64>> {
        let found = self.stat(&self.at(path)).context(|| format!("cannot look at {path:?}"))?;
        Ok(found.filter(Attributes::is_file).map(|found| found.size))
    }

    fn write(&mut self, path: &str, from: u64, content: &mut dyn Read) -> Result<Written> {
        let at = self.at(path);
        let handle = match self.open_file(&at, WRITE | CREATE) {
            Err(error) if error.kind() == Kind::Missing => {
                self.make_dirs(path.rsplit_once('/').map_or("", |(dir, _)| dir))?;
                self.open_file(&at, WRITE | CREATE)?
            }
            handle => handle?,
        };
        let filled = self.fill(&handle, from, content);
        let full = |free: &Result<Option<u64>>| matches!(free, Ok(Some(free)) if *free < PIECE as u64);
        match filled {
            // "Failure" is all that many servers have to say of a full disk.
            Err(error) if error.kind() == Kind::Io && full(&self.free()) => {
                Err(Error::new(Kind::NoSpace, "the server's disk is full").because(error))
            }
            Err(error) => Err(error),
            Ok(()) => self.close(&handle).map(|()| Written::All),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        if locked(&self.wire).can(POSIX_RENAME) {
            let message = Out::default().bytes(POSIX_RENAME.as_bytes()).bytes(from.as_bytes()).bytes(to.as_bytes());
            return self.ask(kind::EXTENDED, &message)?.done();
        }
        // Without it a name that is taken stays: the old one goes first.
        unless_missing(self.ask(kind::REMOVE, &Out::default().bytes(to.as_bytes()))?.done())?;
        self.ask(kind::RENAME, &Out::default().bytes(from.as_bytes()).bytes(to.as_bytes()))?.done()
    }

    fn open(&mut self, path: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let doing = || format!("cannot open {path:?}");
        let size = self.stat(&self.at(path))?.filter(Attributes::is_file).map(|found| found.size);
        let size = size.ok_or_else(|| Error::new(Kind::Missing, format!("there is no {path:?} on the server")))?;
        let handle = self.open_file(&self.at(path), READ).context(doing)?;
        Ok(Box::new(Reader::new(self.wire.clone(), handle, from, size)))
    }

    fn list_all(&mut self, dir: &str) -> Result<Vec<Entry>> {
        match self.read_dir(&self.at(dir)) {
            Err(error) if error.kind() == Kind::Missing && !dir.is_empty() => Ok(Vec::new()),
            listed => listed.context(|| format!("cannot look into {dir:?}")),
        }
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        let removed = self.ask(kind::REMOVE, &Out::default().bytes(self.at(path).as_bytes()))?.done();
        unless_missing(removed).context(|| format!("cannot remove {path:?}"))
    }

    fn delete_empty(&mut self, dir: &str) -> Result<()> {
        let removed = self.ask(kind::RMDIR, &Out::default().bytes(self.at(dir).as_bytes()))?.done();
        unless_missing(removed).context(|| format!("cannot remove {dir:?}"))
    }

    fn free(&mut self) -> Result<Option<u64>> {
        if !locked(&self.wire).can(STATVFS) {
            return Ok(None);
        }
        let message = Out::default().bytes(STATVFS.as_bytes()).bytes(self.at("").as_bytes());
        let mut answer = self.ask(kind::EXTENDED, &message)?.expect(kind::EXTENDED_REPLY)?;
        let (_block, fragment, _blocks, _free) = (answer.u64()?, answer.u64()?, answer.u64()?, answer.u64()?);
        Ok(Some(answer.u64()?.saturating_mul(fragment)))
    }
}
