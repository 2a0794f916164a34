//! Reading files and writing them as an archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;

use xxhash_rust::xxh3::xxh3_64;

use super::Files;
use super::cutter::Cutter;
use super::format::{ACL_ACCESS, ACL_DEFAULT, END, Entry, What, padding, put_headers};
use super::notes::{Notes, Sort};
use super::owners::Owners;
use super::read::PARTS_MAX;
use super::walk::{self, Found, Visitor, unreadable};
use crate::error::{Context, Result};
use crate::host::tree::{self, Facts, Kind};
use crate::host::xattr;
use crate::model::{Run, Sink, SourceFacts, TableRows};

/// A file of up to so many bytes is read as a whole before it is written, so that one that changes can be read again.
const SMALL: u64 = 1 << 20;
/// How often.
const TRIES: usize = 3;
/// A larger file begins a chunk of its own, so that it is found again whatever comes before it.
const OWN_CHUNK: u64 = 64 << 10;
/// A hole of fewer bytes is written as zeros.
const HOLE_MIN: u64 = 64 << 10;
/// How much of a large file is read at once, in bytes.
const BUFFER: usize = 128 << 10;

pub(super) fn write(files: &Files, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
    let mut notes = Notes::default();
    let roots = walk::roots(files, &mut notes)?;
    let mut writer = Writer {
        files,
        sink,
        run,
        notes,
        owners: Owners::default(),
        seen: HashMap::new(),
        buffer: vec![0; BUFFER],
        counts: [0; 3],
        bytes: 0,
    };
    let mut tables = Vec::new();
    for root in roots {
        let rows = walk::visit(files, &root, &mut writer)?;
        tables.push(TableRows { name: String::from_utf8_lossy(&root).into_owned(), rows });
    }
    writer.sink.text().extend_from_slice(&END);
    let [plain, folders, links] = writer.counts;
    let properties = [("files", plain), ("folders", folders), ("links", links), ("bytes", writer.bytes)];
    Ok(SourceFacts {
        kind: "files".into(),
        engine: "tar (POSIX.1-2001)".into(),
        tables,
        properties: properties.into_iter().map(|(key, value)| (key.to_owned(), value.to_string())).collect(),
        warnings: writer.notes.lines(),
    })
}

struct Writer<'a> {
    files: &'a Files,
    sink: &'a mut dyn Sink,
    run: &'a Run<'a>,
    notes: Notes,
    owners: Owners,
    /// Where in the archive the files are that have several names.
    seen: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    /// Files, folders, links.
    counts: [u64; 3],
    /// Of the files' content.
    bytes: u64,
}

impl Visitor for Writer<'_> {
    fn visit(&mut self, found: &Found) -> Result<()> {
        let done = match found.facts.kind {
            Kind::File => return self.file(found),
            Kind::Dir => self.dir(found),
            Kind::Link => self.link(found),
            Kind::Other(what) => {
                self.notes.add(Sort::Special, found.path, Some(what));
                return Ok(());
            }
        };
        match done {
            Ok(entry) => self.put_small(&entry, &[]),
            Err(error) => unreadable(self.files, &mut self.notes, found.path, &error),
        }
    }

    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    fn pause(&mut self) -> Result<()> {
        self.run.check()
    }
}

impl Writer<'_> {
    fn entry(&mut self, path: &[u8], facts: &Facts, what: What) -> Entry {
        Entry {
            path: path.strip_prefix(b"/").unwrap_or(path).to_vec(),
            what,
            mode: facts.mode,
            uid: facts.uid.into(),
            gid: facts.gid.into(),
            user: self.owners.name(true, facts.uid),
            group: self.owners.name(false, facts.gid),
            mtime: facts.mtime,
            size: 0,
            parts: None,
            attributes: Vec::new(),
        }
    }

    fn dir(&mut self, found: &Found) -> io::Result<Entry> {
        let mut entry = self.entry(found.path, &found.facts, What::Dir);
        // One that may not be looked into is told by whoever walks.
        if let Ok(dir) = found.within.dir(found.name) {
            entry.attributes = attributes(&dir)?;
        }
        self.counts[1] += 1;
        Ok(entry)
    }

    fn link(&mut self, found: &Found) -> io::Result<Entry> {
        let target = found.within.target(found.name)?;
        self.counts[2] += 1;
        Ok(self.entry(found.path, &found.facts, What::Link(target)))
    }

    fn file(&mut self, found: &Found) -> Result<()> {
        let opened =
            found.within.file(found.name).and_then(|file| Ok((tree::facts_of(&file)?, attributes(&file)?, file)));
        let (facts, attributes, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => return unreadable(self.files, &mut self.notes, found.path, &error),
        };
        if facts.kind != Kind::File {
            self.notes.add(Sort::Changed, found.path, None);
            return Ok(());
        }
        let key = (facts.dev, facts.ino);
        if let Some(first) = self.seen.get(&key).filter(|_| facts.links > 1).cloned() {
            let entry = self.entry(found.path, &facts, What::Second(first));
            self.counts[0] += 1;
            return self.put_small(&entry, &[]);
        }
        let mut entry = self.entry(found.path, &facts, What::File);
        entry.attributes = attributes;
        if facts.size <= SMALL {
            match read_small(&mut file, &facts) {
                Ok((content, facts, steady)) => {
                    if !steady {
                        self.notes.add(Sort::Changed, found.path, None);
                    }
                    (entry.mtime, entry.size) = (facts.mtime, content.len() as u64);
                    self.put_small(&entry, &content)?;
                }
                Err(error) => return unreadable(self.files, &mut self.notes, found.path, &error),
            }
        } else {
            self.large(&mut file, &facts, entry, found.path)?;
        }
        self.counts[0] += 1;
        if facts.links > 1 {
            self.seen.insert(key, found.path.strip_prefix(b"/").unwrap_or(found.path).to_vec());
        }
        Ok(())
    }

    fn put_small(&mut self, entry: &Entry, content: &[u8]) -> Result<()> {
        self.begin(entry)?;
        self.put_content(content, &mut Cutter::default())?;
        self.end(entry, content.len() as u64)
    }

    fn begin(&mut self, entry: &Entry) -> Result<()> {
        if entry.stored() >= OWN_CHUNK {
            self.sink.cut()?;
        }
        put_headers(entry, self.sink.text());
        Ok(())
    }

    fn put_content(&mut self, bytes: &[u8], cutter: &mut Cutter) -> Result<()> {
        self.bytes += bytes.len() as u64;
        cutter.push(bytes, self.sink)
    }

    fn end(&mut self, entry: &Entry, length: u64) -> Result<()> {
        let text = self.sink.text();
        text.resize(text.len() + padding(length), 0);
        if self.sink.boundary(xxh3_64(&entry.path)) { self.sink.cut() } else { Ok(()) }
    }

    /// A large file is read while it is written: its size was promised before.
    fn large(&mut self, file: &mut File, facts: &Facts, mut entry: Entry, path: &[u8]) -> Result<()> {
        let shown = String::from_utf8_lossy(path);
        let reading = || format!("cannot read {shown:?}");
        entry.size = facts.size;
        if facts.allocated < facts.size {
            entry.parts = tree::data_of(file, facts.size).context(reading)?.and_then(without_small_holes);
        }
        self.begin(&entry)?;
        let parts = entry.parts.clone().unwrap_or_else(|| vec![(0, facts.size)]);
        let mut cutter = Cutter::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut steady = true;
        for (offset, length) in parts {
            file.seek(SeekFrom::Start(offset)).context(reading)?;
            let mut left = length;
            while left > 0 {
                self.run.check()?;
                let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = read_some(file, &mut buffer[..most]).context(reading)?;
                let read = if read == 0 {
                    // It became shorter.
                    steady = false;
                    buffer[..most].fill(0);
                    most
                } else {
                    read
                };
                self.put_content(&buffer[..read], &mut cutter)?;
                left -= read as u64;
            }
        }
        self.buffer = buffer;
        let after = tree::facts_of(file).context(reading)?;
        if !steady || !is_same(facts, &after) {
            self.notes.add(Sort::Changed, path, None);
        }
        self.end(&entry, entry.stored())
    }
}

/// The parts that hold data, joined where little lies between them; `None` when nothing of it is worth a map.
fn without_small_holes(parts: Vec<(u64, u64)>) -> Option<Vec<(u64, u64)>> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (offset, length) in parts {
        match joined.last_mut() {
            Some(last) if offset - (last.0 + last.1) < HOLE_MIN => last.1 = offset + length - last.0,
            _ => joined.push((offset, length)),
        }
    }
    (joined.len() <= PARTS_MAX).then_some(joined)
}

/// The whole file, read again when it changed meanwhile; and whether it stood still in the end.
fn read_small(file: &mut File, facts: &Facts) -> io::Result<(Vec<u8>, Facts, bool)> {
    let mut before = *facts;
    let mut content = Vec::new();
    for _ in 0..TRIES {
        content.clear();
        file.seek(SeekFrom::Start(0))?;
        file.take(2 * SMALL).read_to_end(&mut content)?;
        let after = tree::facts_of(file)?;
        if is_same(&before, &after) && content.len() as u64 == after.size {
            return Ok((content, after, true));
        }
        before = after;
    }
    Ok((content, before, false))
}

fn is_same(before: &Facts, after: &Facts) -> bool {
    (before.size, before.mtime, before.ctime) == (after.size, after.mtime, after.ctime)
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// The attributes that an archive keeps: all but those that the system makes by itself.
fn attributes(file: &impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut all = Vec::new();
    for name in xattr::names(file)? {
        let kept = name == ACL_ACCESS || name == ACL_DEFAULT || !name.starts_with(b"system.");
        if kept && let Some(value) = xattr::get(file, &name)? {
            all.push((name, value));
        }
    }
    Ok(all)
}
