//! What is put into a store: its bytes, their number and their SHA-256.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Context, Result};
use crate::model::Run;

/// How much is read at once, in bytes: the longest time between two looks at the cancel flag.
const READ_LEN: usize = 256 << 10;

/// Something to be put into a store.
#[derive(Debug, Clone)]
pub struct Content {
    source: Source,
    size: u64,
    sha256: String,
}

#[derive(Debug, Clone)]
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Content {
    /// A small file that is made here.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, sha256: format!("{:x}", Sha256::digest(&bytes)), source: Source::Bytes(bytes) }
    }

    /// A file of which size and SHA-256 are known.
    pub fn file(path: &Path, size: u64, sha256: &str) -> Self {
        Self { source: Source::File(path.to_owned()), size, sha256: sha256.to_owned() }
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The SHA-256 in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The bytes from `from` on; reading them reports progress and fails once the run is cancelled.
    pub(super) fn reader<'a>(&'a self, from: u64, run: &'a Run<'a>) -> Result<Box<dyn Read + Send + 'a>> {
        let inner: Box<dyn Read + Send> = match &self.source {
            Source::Bytes(bytes) => {
                let mut cursor = Cursor::new(bytes.as_slice());
                cursor.set_position(from);
                Box::new(cursor)
            }
            Source::File(path) => {
                let open = || -> io::Result<File> {
                    let mut file = File::open(path)?;
                    file.seek(SeekFrom::Start(from))?;
                    Ok(file)
                };
                Box::new(open().context(|| format!("cannot open {path:?}"))?)
            }
        };
        Ok(Box::new(Told { inner: inner.take(self.size.saturating_sub(from)), done: from, run }))
    }

    /// Whether the source itself is no longer what it was: then no store is to blame.
    pub(super) fn is_damaged(&self, run: &Run) -> Result<bool> {
        Ok(hash(&mut self.reader(0, run)?, run)? != (self.size, self.sha256.clone()))
    }
}

/// Size and SHA-256 of all that `reader` gives.
pub(super) fn hash(reader: &mut dyn Read, run: &Run) -> Result<(u64, String)> {
    let (mut sha256, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; READ_LEN];
    loop {
        let read = reader.read(&mut buffer).context(|| "cannot read it back".into())?;
        if read == 0 {
            return Ok((size, format!("{:x}", sha256.finalize())));
        }
        sha256.update(&buffer[..read]);
        size += read as u64;
        run.progress(size)?;
    }
}

/// Tells how far a reader has come.
struct Told<'a, R> {
    inner: R,
    done: u64,
    run: &'a Run<'a>,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run.progress(self.done)?;
        let most = buffer.len().min(READ_LEN);
        let read = self.inner.read(&mut buffer[..most])?;
        self.done += read as u64;
        Ok(read)
    }
}
