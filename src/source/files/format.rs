//! The tar format: POSIX headers (ustar) with extended records (PAX) where a plain header has no room, which every tar of
//! the last twenty years reads.

/// Everything in a tar comes in blocks of so many bytes.
pub(super) const BLOCK: usize = 512;

/// What ends an archive: two blocks of zeros.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A file; its content follows.
    File,
    /// A folder.
    Dir,
    /// A symbolic link to this target.
    Link(Vec<u8>),
    /// A second name of the file at this path of the archive.
    Second(Vec<u8>),
    /// Something that is not unpacked, by the letter of its type.
    Other(u8),
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, without a slash at either end; empty for the root itself. Any bytes but NUL.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// The owner's name, empty when it has none.
    pub(super) user: Vec<u8>,
    /// The group's name, empty when it has none.
    pub(super) group: Vec<u8>,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// The size of the file, holes included.
    pub(super) size: u64,
    /// Where its data is, as (offset, length), when it has holes.
    pub(super) parts: Option<Vec<(u64, u64)>>,
    /// Extended attributes, ACLs among them, as the kernel has them.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// How many bytes of file content the archive holds.
    pub(super) fn stored(&self) -> u64 {
        match (&self.what, &self.parts) {
            (What::File, Some(parts)) => parts.iter().map(|(_, length)| length).sum(),
            (What::File, None) => self.size,
            _ => 0,
        }
    }
}

/// Bytes to the next block.
pub(super) fn padding(length: u64) -> usize {
    (BLOCK - (length % BLOCK as u64) as usize) % BLOCK
}

/// Attributes whose form in an archive is text.
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
pub(super) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// How the records are called which hold them, and all other attributes.
pub(super) const RECORD_ACCESS: &[u8] = b"SCHILY.acl.access";
pub(super) const RECORD_DEFAULT: &[u8] = b"SCHILY.acl.default";
pub(super) const RECORD_XATTR: &[u8] = b"SCHILY.xattr.";

/// Where the fields of a header are.
pub(super) mod field {
    use std::ops::Range;

    pub(in super::super) const NAME: Range<usize> = 0..100;
    pub(in super::super) const MODE: Range<usize> = 100..108;
    pub(in super::super) const UID: Range<usize> = 108..116;
    pub(in super::super) const GID: Range<usize> = 116..124;
    pub(in super::super) const SIZE: Range<usize> = 124..136;
    pub(in super::super) const MTIME: Range<usize> = 136..148;
    pub(in super::super) const SUM: Range<usize> = 148..156;
    pub(in super::super) const TYPE: usize = 156;
    pub(in super::super) const TARGET: Range<usize> = 157..257;
    pub(in super::super) const MAGIC: Range<usize> = 257..265;
    pub(in super::super) const USER: Range<usize> = 265..297;
    pub(in super::super) const GROUP: Range<usize> = 297..329;
    pub(in super::super) const PREFIX: Range<usize> = 345..500;
}

/// The sum of a header's bytes, with its own field taken as blanks.
pub(super) fn sum(header: &[u8; BLOCK]) -> u32 {
    let all: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = header[field::SUM].iter().map(|byte| u32::from(*byte)).sum();
    all - own + 8 * u32::from(b' ')
}

/// Appends all headers of an entry: what comes before the content of a file.
pub(super) fn put_headers(entry: &Entry, out: &mut Vec<u8>) {
    let mut records = Records::default();
    let mut header = [0; BLOCK];
    let (kind, target): (u8, &[u8]) = match &entry.what {
        What::File => (b'0', &[]),
        What::Dir => (b'5', &[]),
        What::Link(target) => (b'2', target),
        What::Second(target) => (b'1', target),
        What::Other(kind) => (*kind, &[]),
    };
    let mut path = if entry.path.is_empty() { b".".to_vec() } else { entry.path.clone() };
    if entry.what == What::Dir {
        path.push(b'/');
    }
    let map = entry.parts.as_ref().map(|parts| map_text(parts, entry.size));
    let stored = entry.stored() + map.as_ref().map_or(0, |map| map.len() as u64);
    if map.is_some() {
        records.put(b"GNU.sparse.major", b"1");
        records.put(b"GNU.sparse.minor", b"0");
        records.put(b"GNU.sparse.name", &path);
        records.put(b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = [b"GNUSparseFile.0/", &name[..name.len().min(80)]].concat();
        header[..name.len()].copy_from_slice(&name);
    } else if !put_name(&path, &mut header) {
        records.put(b"path", &path);
    }
    if target.len() <= field::TARGET.len() {
        header[field::TARGET][..target.len()].copy_from_slice(target);
    } else {
        records.put(b"linkpath", target);
        header[field::TARGET].copy_from_slice(&target[..field::TARGET.len()]);
    }
    for (range, record, number) in [
        (field::MODE, &b""[..], u64::from(entry.mode)),
        (field::UID, b"uid", entry.uid),
        (field::GID, b"gid", entry.gid),
        (field::SIZE, b"size", stored),
    ] {
        if !put_octal(&mut header[range], number) {
            records.put(record, number.to_string().as_bytes());
        }
    }
    let (seconds, nanos) = entry.mtime;
    let plain = u64::try_from(seconds).is_ok_and(|seconds| put_octal(&mut header[field::MTIME], seconds));
    if !plain || nanos != 0 {
        records.put(b"mtime", time_text(entry.mtime).as_bytes());
    }
    for (range, record, name) in [(field::USER, &b"uname"[..], &entry.user), (field::GROUP, b"gname", &entry.group)] {
        // One zero stays at the end.
        match name.len() < range.len() {
            true => header[range][..name.len()].copy_from_slice(name),
            false => records.put(record, name),
        }
    }
    for (name, value) in &entry.attributes {
        put_attribute(&mut records, name, value);
    }
    records.finish(&path, out);
    finish(&mut header, kind);
    out.extend_from_slice(&header);
    out.extend(map.unwrap_or_default());
}

fn put_attribute(records: &mut Records, name: &[u8], value: &[u8]) {
    let record = match name {
        ACL_ACCESS => RECORD_ACCESS,
        ACL_DEFAULT => RECORD_DEFAULT,
        _ => return records.put(&[RECORD_XATTR, name].concat(), value),
    };
    if let Some(text) = super::acl::to_text(value) {
        records.put(record, text.as_bytes());
    }
}

/// The map of a file with holes, as its first blocks hold it: the number of parts, then where each is. A hole at the end
/// is told by a part of no length behind it, without which GNU tar makes the file too short.
fn map_text(parts: &[(u64, u64)], size: u64) -> Vec<u8> {
    let end = parts.last().map_or(0, |(offset, length)| offset + length);
    let last = (end < size).then_some((size, 0));
    let mut text = format!("{}\n", parts.len() + usize::from(last.is_some())).into_bytes();
    for (offset, length) in parts.iter().chain(&last) {
        text.extend(format!("{offset}\n{length}\n").into_bytes());
    }
    text.resize(text.len() + padding(text.len() as u64), 0);
    text
}

/// Puts a path into a header; false when it does not fit.
fn put_name(path: &[u8], header: &mut [u8; BLOCK]) -> bool {
    if path.len() <= field::NAME.len() {
        header[..path.len()].copy_from_slice(path);
        return true;
    }
    // The first part goes into the prefix; a slash between them is not written.
    let cut = (0..path.len()).find(|&at| {
        path[at] == b'/' && at <= field::PREFIX.len() && (1..=field::NAME.len()).contains(&(path.len() - at - 1))
    });
    let found = cut.filter(|at| *at > 0);
    match found {
        Some(at) => {
            header[field::PREFIX][..at].copy_from_slice(&path[..at]);
            header[..path.len() - at - 1].copy_from_slice(&path[at + 1..]);
        }
        None => header[field::NAME].copy_from_slice(&path[..field::NAME.len()]),
    }
    found.is_some()
}

/// Writes an octal number with a zero at its end; what is too large is left zero, and false.
fn put_octal(place: &mut [u8], number: u64) -> bool {
    let digits = place.len() - 1;
    let fits = number < 1 << (3 * digits);
    let text = format!("{:0digits$o}", if fits { number } else { 0 });
    place[..digits].copy_from_slice(text.as_bytes());
    fits
}

fn finish(header: &mut [u8; BLOCK], kind: u8) {
    header[field::TYPE] = kind;
    header[field::MAGIC].copy_from_slice(b"ustar\x0000");
    let sum = format!("{:06o}\0 ", sum(header));
    header[field::SUM].copy_from_slice(sum.as_bytes());
}

/// Seconds as a decimal number; before 1970 the fraction counts down.
fn time_text((seconds, nanos): (i64, u32)) -> String {
    let all = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let sign = if all < 0 { "-" } else { "" };
    let all = all.unsigned_abs();
    let text = format!("{sign}{}.{:09}", all / 1_000_000_000, all % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The extended records of one entry.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        // A record begins with its own length, whose digits count too.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend(format!("{length} ").into_bytes());
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    fn finish(self, path: &[u8], out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let mut header = [0; BLOCK];
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = [b"./PaxHeaders/", &name[..name.len().min(80)]].concat();
        header[..name.len()].copy_from_slice(&name);
        put_octal(&mut header[field::MODE], 0o644);
        for range in [field::UID, field::GID, field::MTIME] {
            put_octal(&mut header[range], 0);
        }
        put_octal(&mut header[field::SIZE], self.0.len() as u64);
        finish(&mut header, b'x');
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.0);
        out.resize(out.len() + padding(self.0.len() as u64), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_the_digits_of_its_own_length() {
        for length in [1, 2, 3, 90, 91, 92, 93, 94, 95, 990, 991, 992, 9990] {
            let mut records = Records::default();
            records.put(b"k", &vec![b'v'; length]);
            let text = String::from_utf8(records.0).unwrap();
            let said: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, text.len());
        }
    }

    #[test]
    fn times_before_1970_are_written_as_decimal_numbers() {
        assert_eq!(time_text((-2, 500_000_000)), "-1.5");
        assert_eq!(time_text((7, 1)), "7.000000001");
        assert_eq!(time_text((-3, 0)), "-3");
    }
}
