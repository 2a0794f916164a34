//! Reading an archive, whoever wrote it: ustar, extended records, GNU's long names and files with holes. What comes in may
//! be anything; sizes are bounded, and a path that leads out of the archive's own tree is refused.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::acl;
use super::format::{
    ACL_ACCESS, ACL_DEFAULT, BLOCK, Entry, RECORD_ACCESS, RECORD_DEFAULT, RECORD_XATTR, What, field, padding, sum,
};
use super::owners::id_of;
use crate::error::{Context, Error, Kind, Result};

/// The longest extended header or long name, in bytes: sixteen of the largest attributes.
const RECORDS_MAX: u64 = 1 << 20;
/// The longest path that Linux opens, in bytes.
const PATH_MAX: usize = 4095;
/// The most parts of a file with holes: what has more is written without holes.
pub(super) const PARTS_MAX: usize = 100_000;
/// The most digits of a number in a map, and its end.
const NUMBER_MAX: usize = 21;

/// An archive that is read from its start to its end.
pub(super) struct Archive<R> {
    input: R,
    /// Content of this entry that was not read yet, in bytes.
    left: u64,
    /// What follows it up to the next block.
    pad: u64,
    /// Where the rest of the content belongs in the file.
    parts: VecDeque<(u64, u64)>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, left: 0, pad: 0, parts: VecDeque::new() }
    }

    /// The next entry; `None` once the archive has ended and all of the input was read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        self.skip(self.left + self.pad)?;
        (self.left, self.pad) = (0, 0);
        self.parts.clear();
        let mut extra = Extra::default();
        loop {
            let Some(header) = self.header()? else {
                // Whoever checks the input does so at its end.
                io::copy(&mut self.input, &mut io::sink()).context(|| READING.into())?;
                return Ok(None);
            };
            let size = number(&header[field::SIZE])?;
            match header[field::TYPE] {
                b'x' => extra.take_records(&self.block_of(size)?)?,
                // What holds for all that follows: nothing that we need stands in one.
                b'g' => self.skip(size.saturating_add(padding(size) as u64))?,
                b'L' => extra.path = Some(until_zero(&self.block_of(size)?).to_vec()),
                b'K' => extra.target = Some(until_zero(&self.block_of(size)?).to_vec()),
                kind => return self.entry(&header, kind, extra).map(Some),
            }
        }
    }

    /// The next bytes of this entry's content, and where they belong in the file; `None` at its end.
    pub(super) fn piece(&mut self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>> {
        let Some((offset, length)) = self.parts.front_mut() else { return Ok(None) };
        let most = buffer.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
        self.input.read_exact(&mut buffer[..most]).map_err(cut_off)?;
        let at = *offset;
        *offset += most as u64;
        *length -= most as u64;
        self.left -= most as u64;
        if *length == 0 {
            self.parts.pop_front();
        }
        Ok(Some((at, most)))
    }

    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut header = [0; BLOCK];
        self.input.read_exact(&mut header).map_err(cut_off)?;
        if header == [0; BLOCK] {
            return Ok(None);
        }
        if number(&header[field::SUM])? != u64::from(sum(&header)) {
            return Err(damaged("a header has the wrong sum: it is no tar archive, or not a whole one"));
        }
        Ok(Some(header))
    }

    /// The content of a small entry.
    fn block_of(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > RECORDS_MAX {
            return Err(damaged(&format!("a header says that it has {size} bytes, which none has")));
        }
        let mut bytes = vec![0; size as usize + padding(size)];
        self.input.read_exact(&mut bytes).map_err(cut_off)?;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        let skipped = io::copy(&mut (&mut self.input).take(count), &mut io::sink()).context(|| READING.into())?;
        if skipped == count { Ok(()) } else { Err(damaged("it is cut off")) }
    }

    fn entry(&mut self, header: &[u8; BLOCK], kind: u8, extra: Extra) -> Result<Entry> {
        let stored = match extra.size {
            Some(size) => size,
            None => number(&header[field::SIZE])?,
        };
        let target = extra.target.unwrap_or_else(|| until_zero(&header[field::TARGET]).to_vec());
        let path = match (extra.sparse.name, extra.path) {
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => plain_path(header),
        };
        let is_dir = kind == b'5' || path.ends_with(b"/") && matches!(kind, b'0' | 0);
        let what = match kind {
            _ if is_dir => What::Dir,
            b'0' | 0 | b'7' | b'S' => What::File,
            b'1' => What::Second(clean(&target)?),
            b'2' if target.is_empty() || target.contains(&0) => return Err(damaged("a link leads nowhere")),
            b'2' => What::Link(target),
            other => What::Other(other),
        };
        let mut entry = Entry {
            path: clean(&path)?,
            what,
            mode: (number(&header[field::MODE])? & 0o7777) as u32,
            uid: extra.uid.map_or_else(|| number(&header[field::UID]), Ok)?,
            gid: extra.gid.map_or_else(|| number(&header[field::GID]), Ok)?,
            user: extra.user.unwrap_or_else(|| until_zero(&header[field::USER]).to_vec()),
            group: extra.group.unwrap_or_else(|| until_zero(&header[field::GROUP]).to_vec()),
            mtime: extra.mtime.map_or_else(|| time_of(&header[field::MTIME]), Ok)?,
            size: stored,
            parts: None,
            attributes: extra.attributes,
        };
        // A second name brings no content, whatever its header says of the size.
        self.left = if matches!(entry.what, What::File | What::Other(_)) { stored } else { 0 };
        self.pad = padding(self.left) as u64;
        match (kind, &entry.what) {
            (b'S', _) => self.old_map(header, &mut entry)?,
            (_, What::File) if extra.sparse.is_there => {
                self.new_map(&extra.sparse.map, extra.sparse.real, &mut entry)?;
            }
            (_, What::File) => {}
            _ => entry.size = 0,
        }
        if entry.size > i64::MAX as u64 || self.left > i64::MAX as u64 {
            return Err(damaged("a file is larger than any"));
        }
        if entry.what == What::File {
            self.parts = entry.parts.clone().unwrap_or_else(|| vec![(0, stored)]).into();
            self.parts.retain(|(_, length)| *length > 0);
        }
        Ok(entry)
    }

    /// The map of GNU's own form: in the header, and as long as it goes on in blocks after it.
    fn old_map(&mut self, header: &[u8; BLOCK], entry: &mut Entry) -> Result<()> {
        let mut parts = Vec::new();
        let mut take = |bytes: &[u8]| -> Result<()> {
            for place in bytes.chunks_exact(24).filter(|place| place[0] != 0) {
                parts.push((number(&place[..12])?, number(&place[12..])?));
            }
            if parts.len() > PARTS_MAX { Err(damaged("a file has too many holes")) } else { Ok(()) }
        };
        take(&header[386..482])?;
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            self.input.read_exact(&mut block).map_err(cut_off)?;
            take(&block[..504])?;
            more = block[504] != 0;
        }
        entry.size = number(&header[483..495])?;
        self.set_map(parts, entry)
    }

    /// The map of the newer forms: in the records, or at the begin of the content.
    fn new_map(&mut self, map: &[u64], real: Option<u64>, entry: &mut Entry) -> Result<()> {
        let numbers = if map.is_empty() { self.map_in_content()? } else { map.to_vec() };
        entry.size = real.ok_or_else(|| damaged("a file with holes has no size"))?;
        self.set_map(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(), entry)
    }

    fn map_in_content(&mut self) -> Result<Vec<u64>> {
        let (mut text, mut numbers, mut expected) = (Vec::new(), Vec::new(), None);
        while expected.is_none_or(|expected| numbers.len() < expected) {
            if self.left < BLOCK as u64 || text.len() > NUMBER_MAX {
                return Err(damaged("the map of a file with holes is cut off"));
            }
            let mut block = [0; BLOCK];
            self.input.read_exact(&mut block).map_err(cut_off)?;
            self.left -= BLOCK as u64;
            text.extend_from_slice(&block);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let number = decimal(&text[..end])?;
                text.drain(..=end);
                match expected {
                    None if number > PARTS_MAX as u64 + 1 => return Err(damaged("a file has too many holes")),
                    None => expected = Some(2 * number as usize),
                    Some(expected) if numbers.len() < expected => numbers.push(number),
                    Some(_) => return Err(damaged("the map of a file with holes is too long")),
                }
            }
        }
        Ok(numbers)
    }

    fn set_map(&mut self, mut parts: Vec<(u64, u64)>, entry: &mut Entry) -> Result<()> {
        let mut end = 0;
        for (offset, length) in &parts {
            let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= entry.size);
            end = next.ok_or_else(|| damaged("the map of a file with holes contradicts itself"))?;
        }
        if parts.iter().map(|(_, length)| length).sum::<u64>() != self.left {
            return Err(damaged("the map of a file with holes contradicts its size"));
        }
        parts.retain(|(_, length)| *length > 0);
        entry.parts = Some(parts);
        Ok(())
    }
}

/// What extended records and long names say of the next entry.
#[derive(Default)]
struct Extra {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    group: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Sparse,
}

#[derive(Default)]
struct Sparse {
    is_there: bool,
    name: Option<Vec<u8>>,
    real: Option<u64>,
    map: Vec<u64>,
}

impl Extra {
    fn take_records(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let wrong = || damaged("an extended record has the wrong form");
            let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = usize::try_from(decimal(&bytes[..blank])?).ok().filter(|length| *length > blank + 1);
            let record = length.and_then(|length| bytes.get(blank + 1..length)).ok_or_else(wrong)?;
            bytes = &bytes[blank + 1 + record.len()..];
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            self.take(&record[..equals], &record[equals + 1..])?;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.target = Some(value.to_vec()),
            b"uname" => self.user = Some(value.to_vec()),
            b"gname" => self.group = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time_of_text(value).ok_or_else(|| damaged("a time is none"))?),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real = Some(decimal(value)?),
            b"GNU.sparse.major" => self.sparse.is_there = true,
            b"GNU.sparse.map" => {
                self.sparse.is_there = true;
                self.sparse.map = value.split(|byte| *byte == b',').map(decimal).collect::<Result<_>>()?;
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse.is_there = true;
                self.sparse.map.push(decimal(value)?);
            }
            RECORD_ACCESS => self.attributes.extend(acl(ACL_ACCESS, value)),
            RECORD_DEFAULT => self.attributes.extend(acl(ACL_DEFAULT, value)),
            _ => {
                if let Some(name) = key.strip_prefix(RECORD_XATTR) {
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn acl(name: &[u8], text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((name.to_vec(), acl::from_text(text, id_of)?))
}

fn plain_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_zero(&header[field::NAME]);
    let prefix = until_zero(&header[field::PREFIX]);
    // GNU's own form has times where others have the prefix.
    let is_posix = header[field::MAGIC].starts_with(b"ustar\0");
    if is_posix && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

/// A path as we keep it: relative, without `.`, never upwards.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let refused = |why: &str| {
        let shown = String::from_utf8_lossy(&path[..path.len().min(200)]);
        Err(Error::new(Kind::Refused, format!("the archive names {shown:?}, {why}"))
            .help("nothing was unpacked from there on: look where this archive comes from"))
    };
    let mut clean = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        if name == b".." {
            return refused("which leads out of its own folder");
        }
        if name.contains(&0) {
            return refused("which no file can be called");
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(name);
    }
    if clean.len() > PATH_MAX { refused("which is longer than any path") } else { Ok(clean) }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())]
}

/// A number of a header: octal digits, or binary where the first bit is set.
fn number(bytes: &[u8]) -> Result<u64> {
    let wrong = || damaged("a number in a header is none");
    if bytes[0] & 0x80 != 0 {
        let (rest, last) = bytes.split_at(bytes.len() - 8);
        // Negative numbers are times alone, which have their own function.
        if rest.first().map_or(bytes[0], |first| *first) != 0x80 || rest.iter().skip(1).any(|byte| *byte != 0) {
            return Err(wrong());
        }
        let mut all = [0; 8];
        all.copy_from_slice(last);
        all[0] &= if rest.is_empty() { 0x7f } else { 0xff };
        return Ok(u64::from_be_bytes(all));
    }
    let digits = until_zero(bytes).trim_ascii();
    digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8).map(|sum| sum + u64::from(digit - b'0')).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

fn time_of(bytes: &[u8]) -> Result<(i64, u32)> {
    if bytes[0] == 0xff {
        let mut all = [0; 8];
        all.copy_from_slice(&bytes[bytes.len() - 8..]);
        return Ok((i64::from_be_bytes(all), 0));
    }
    Ok((i64::try_from(number(bytes)?).map_err(|_| damaged("a time is none"))?, 0))
}

/// `-1.5`: seconds as a decimal number.
fn time_of_text(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{:0<9}", &part[..part.len().min(9)]).parse().ok()?;
    match (negative, nanos) {
        (false, _) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

fn decimal(text: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.and_then(|text| text.parse().ok()).ok_or_else(|| damaged("a number in a record is none"))
}

const READING: &str = "cannot read the archive";

fn cut_off(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => Err::<(), _>(error).context(|| READING.into()).expect_err("it was one"),
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::Damaged, format!("the archive is damaged: {why}"))
}
