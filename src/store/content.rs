//! What is put into a store: its bytes, their number and their SHA-256.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Kind, Result};
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
    Ranges(Vec<FileRange>),
}

/// Some bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRange {
    pub(super) path: PathBuf,
    pub(super) from: u64,
    pub(super) length: u64,
}

impl FileRange {
    /// Its bytes from `skip` on.
    fn open(&self, skip: u64) -> io::Result<impl Read + Send + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from + skip))?;
        Ok(file.take(self.length - skip))
    }
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

    /// A file, which is read once to know what it holds.
    pub(super) fn read(path: &Path, run: &Run) -> Result<Self> {
        let length = std::fs::metadata(path).context(|| format!("cannot look at {path:?}"))?.len();
        Self::ranges(vec![FileRange { path: path.to_owned(), from: 0, length }], run)
    }

    /// Parts of files, one after the other; they are read once to know their SHA-256.
    pub(super) fn ranges(ranges: Vec<FileRange>, run: &Run) -> Result<Self> {
        let size = ranges.iter().map(|range| range.length).sum();
        let mut content = Self { source: Source::Ranges(ranges), size, sha256: String::new() };
        let (found, sha256) = hash(&mut content.reader(0, None, run)?, run)?;
        if found != size {
            return Err(Error::new(Kind::Damaged, "a file of the backup is shorter than it was"));
        }
        content.sha256 = sha256;
        Ok(content)
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
    /// At most `pace` bytes a second are given.
    pub(super) fn reader<'a>(
        &'a self,
        from: u64,
        pace: Option<u64>,
        run: &'a Run<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
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
            Source::Ranges(ranges) => Box::new(Joined { ranges: ranges.clone().into(), skip: from, open: None }),
        };
        let inner = inner.take(self.size.saturating_sub(from));
        Ok(Box::new(Told { inner, from, done: from, pace, begun: Instant::now(), run }))
    }

    /// Whether the source itself is no longer what it was: then no store is to blame.
    pub(super) fn is_damaged(&self, run: &Run) -> Result<bool> {
        Ok(hash(&mut self.reader(0, None, run)?, run)? != (self.size, self.sha256.clone()))
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

/// Reads one range after the other.
struct Joined {
    ranges: VecDeque<FileRange>,
    /// So many bytes are passed over first.
    skip: u64,
    open: Option<Box<dyn Read + Send>>,
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(open) = &mut self.open {
                let read = open.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.open = None;
            }
            let Some(range) = self.ranges.pop_front() else { return Ok(0) };
            let skip = self.skip.min(range.length);
            self.skip -= skip;
            self.open = Some(Box::new(range.open(skip)?));
        }
    }
}

/// Tells how far a reader has come.
struct Told<'a, R> {
    inner: R,
    from: u64,
    done: u64,
    pace: Option<u64>,
    begun: Instant,
    run: &'a Run<'a>,
}

/// How long a paced reader sleeps before it asks whether to stop.
const NAP: Duration = Duration::from_millis(100);

impl<R> Told<'_, R> {
    /// Waits until what was given so far is not too much, and says how much may be given at once.
    fn wait(&self) -> io::Result<usize> {
        let Some(pace) = self.pace else { return Ok(READ_LEN) };
        let due = Duration::from_secs_f64((self.done - self.from) as f64 / pace as f64);
        while let Some(left) = due.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero()) {
            self.run.check()?;
            thread::sleep(left.min(NAP));
        }
        Ok(READ_LEN.min(usize::try_from(pace / 4).unwrap_or(READ_LEN).max(1)))
    }
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run.progress(self.done)?;
        let most = buffer.len().min(self.wait()?);
        let read = self.inner.read(&mut buffer[..most])?;
        self.done += read as u64;
        Ok(read)
    }
}
