//! What servers answer to MLSD and LIST.

use crate::store::Entry;

/// One line of MLSD: facts, a space, the name.
pub(super) fn machine(line: &str) -> Option<Entry> {
    let (facts, name) = line.split_once(' ')?;
    let fact = |wanted: &str| {
        facts.split(';').find_map(|fact| {
            let (key, value) = fact.split_once('=')?;
            key.eq_ignore_ascii_case(wanted).then_some(value)
        })
    };
    let kind = fact("type")?.to_ascii_lowercase();
    let is_dir = match kind.as_str() {
        "dir" => true,
        "file" => false,
        // The folder itself, the one above it, and what is neither.
        _ => return None,
    };
    let size = if is_dir { 0 } else { fact("size")?.parse().ok()? };
    Some(Entry { name: name.to_owned(), size, is_dir, version: fact("modify").map(str::to_owned) })
}

/// One line of LIST as Unix writes it, or as DOS does.
pub(super) fn human(line: &str) -> Option<Entry> {
    unix(line).or_else(|| dos(line)).filter(|entry| entry.name != "." && entry.name != "..")
}

/// `-rw------- 1 owner group 8192 Nov 22 20:00 name`.
fn unix(line: &str) -> Option<Entry> {
    let is_dir = match line.as_bytes().first()? {
        b'd' => true,
        b'-' => false,
        _ => return None,
    };
    let (mut rest, mut size) = (line, None);
    for field in 0..8 {
        let (word, after) = rest.split_once(' ')?;
        if field == 4 {
            size = word.parse().ok();
        }
        // Before the name stands one space, and any more are its own.
        rest = if field < 7 { after.trim_start_matches(' ') } else { after };
    }
    Some(Entry { name: rest.to_owned(), size: if is_dir { 0 } else { size? }, is_dir, version: None })
}

/// `11-22-26  08:00PM  <DIR>  name` or `11-22-26  08:00PM  8192 name`.
fn dos(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let (date, _time, what) = (words.next()?, words.next()?, words.next()?);
    if !date.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let is_dir = what == "<DIR>";
    let size = if is_dir { 0 } else { what.parse().ok()? };
    let name = line.split_once(what)?.1.trim_start_matches(' ');
    (!name.is_empty()).then(|| Entry { name: name.to_owned(), size, is_dir, version: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_server_are_read() {
        let entry = |name: &str, size, is_dir| Some(Entry { name: name.to_owned(), size, is_dir, version: None });
        let changed = |at: &str, entry: Option<Entry>| entry.map(|entry| Entry { version: Some(at.into()), ..entry });
        for (line, expected) in [
            (
                "type=file;size=8192;modify=20261122200000; a b.gz",
                changed("20261122200000", entry("a b.gz", 8192, false)),
            ),
            ("modify=2026;Type=dir;perm=flcdmpe; 4711", changed("2026", entry("4711", 0, true))),
            ("type=file;size=1; x", entry("x", 1, false)),
            ("type=cdir;modify=2026; .", None),
            ("type=OS.unix=slink:/x;size=1; link", None),
            ("type=file; no size", None),
            ("nonsense", None),
        ] {
            assert_eq!(machine(line), expected, "{line}");
        }
        for (line, expected) in [
            ("-rw-------    1 0   0    8192 Nov 22 20:00 a  b.gz", entry("a  b.gz", 8192, false)),
            ("drwx------ 2 ftp ftp 4096 Nov 22  2025 4711", entry("4711", 0, true)),
            ("drwx------ 2 ftp ftp 4096 Nov 22  2025 ..", None),
            ("lrwxrwxrwx 1 ftp ftp 4 Nov 22 20:00 x -> y", None),
            ("total 12", None),
            ("-rw------- 1 0", None),
            ("11-22-26  08:00PM       <DIR>          4711", entry("4711", 0, true)),
            ("11-22-26  08:00PM             8192 a b.gz", entry("a b.gz", 8192, false)),
            ("", None),
        ] {
            assert_eq!(human(line), expected, "{line}");
        }
    }
}
