//! Access control lists: as the kernel keeps them in an attribute, and as text in an archive, which other tars read.

/// An entry of the kernel's form: a tag, permissions, an id; little-endian, after a version.
const VERSION: u32 = 2;
const ENTRY: usize = 8;
/// No list is longer than an attribute.
const TEXT_MAX: usize = 256 << 10;

const TAGS: [(u16, &str, bool); 6] = [
    (1, "user", false),
    (2, "user", true),
    (4, "group", false),
    (8, "group", true),
    (0x10, "mask", false),
    (0x20, "other", false),
];

/// `user::rw-,user:33:r--,group::r--,mask::r--,other::---`; `None` when it is no list.
pub(super) fn to_text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_first_chunk()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % ENTRY != 0 {
        return None;
    }
    let mut all = Vec::new();
    for entry in entries.chunks_exact(ENTRY) {
        let half = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let (_, word, named) = TAGS.iter().find(|(tag, _, _)| *tag == half(0))?;
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let who = if *named { id.to_string() } else { String::new() };
        let rights: String = [(4, 'r'), (2, 'w'), (1, 'x')]
            .map(|(bit, letter)| if half(2) & bit != 0 { letter } else { '-' })
            .iter()
            .collect();
        all.push(format!("{word}:{who}:{rights}"));
    }
    Some(all.join(","))
}

/// The kernel's form; `None` when the text is no list. `id_of` finds the number of a name.
pub(super) fn from_text(text: &[u8], id_of: impl Fn(bool, &str) -> Option<u32>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_MAX)?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.split(':');
        let (word, who, rights) = (fields.next()?, fields.next()?, fields.next()?);
        let (tag, _, named) = TAGS.iter().find(|(_, known, named)| *known == word && *named != who.is_empty())?;
        // Some write the number behind the rights, beside a name.
        let number = fields.next().or(Some(who)).and_then(|number| number.trim().parse().ok());
        let id = match named {
            true => number.or_else(|| id_of(word == "user", who))?,
            false => u32::MAX,
        };
        let mut bits = 0_u16;
        for letter in rights.split_whitespace().next().unwrap_or_default().chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            };
        }
        entries.push((*tag, id, bits));
    }
    if entries.is_empty() {
        return None;
    }
    // The kernel wants them in this order.
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(bits.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was_and_nonsense_is_no_list() {
        let text = "user::rw-,user:33:r--,group::r-x,group:4294967294:---,mask::rwx,other::---";
        let value = from_text(text.as_bytes(), |_, _| None).unwrap();
        assert_eq!(to_text(&value).unwrap(), text);
        let named = from_text(b"user::rwx\nuser:www-data:r-x\ngroup::---\nmask::r-x\nother::---", |user, name| {
            (user && name == "www-data").then_some(33)
        });
        assert_eq!(to_text(&named.unwrap()).unwrap(), "user::rwx,user:33:r-x,group::---,mask::r-x,other::---");
        for wrong in ["", "user", "user::rwz", "nobody::rwx", "user:unknown:r--"] {
            assert_eq!(from_text(wrong.as_bytes(), |_, _| None), None, "{wrong:?}");
        }
        for wrong in [&b""[..], b"\x02\0\0", b"\x01\0\0\0", b"\x02\0\0\0abc", b"\x02\0\0\0\xff\xff\0\0\0\0\0\0"] {
            assert_eq!(to_text(wrong), None, "{wrong:?}");
        }
    }
}
