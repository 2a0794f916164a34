//! What the answers of S3 services need of XML: the texts of elements by their names, without regard to name spaces.

use crate::error::{Error, Kind, Result};

/// The insides of all elements `name`, in their order. They may not lie in each other.
pub(super) fn all<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find(&open) {
        rest = &rest[at + open.len()..];
        // `<Key` is no `<KeyCount>`, and `<Prefix/>` is empty.
        if !rest.starts_with(['>', ' ', '/', '\n', '\r', '\t']) {
            continue;
        }
        let Some(end) = rest.find('>') else { break };
        if rest[..end].ends_with('/') {
            found.push("");
            rest = &rest[end + 1..];
            continue;
        }
        let inside = &rest[end + 1..];
        let Some(closed) = inside.find(&close) else { break };
        found.push(&inside[..closed]);
        rest = &inside[closed + close.len()..];
    }
    found
}

/// The text of the first element `name`.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    all(xml, name).first().map(|raw| unescape(raw.trim()))
}

/// Where the next page of a list begins; `None` when this was the last.
pub(super) fn next_page(xml: &str, marker: &str) -> Result<Option<String>> {
    if text(xml, "IsTruncated").as_deref() != Some("true") {
        return Ok(None);
    }
    let marker = text(xml, marker).filter(|marker| !marker.is_empty());
    marker
        .map(Some)
        .ok_or_else(|| Error::new(Kind::Io, "the service cuts a list short and does not say how it goes on"))
}

fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        let known = match &rest[..end] {
            "&amp" => Some('&'),
            "&lt" => Some('<'),
            "&gt" => Some('>'),
            "&quot" => Some('"'),
            "&apos" => Some('\''),
            other => number(other),
        };
        match known {
            Some(char) => {
                out.push(char);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn number(entity: &str) -> Option<char> {
    let digits = entity.strip_prefix("&#")?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    code.ok().and_then(char::from_u32)
}

/// Undoes `%41` and `+`, as keys come with `encoding-type=url`. What is no UTF-8 is no key of ours.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = || text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            b'%' if code().is_some() => {
                out.extend(code());
                at += 2;
            }
            b'+' => out.push(b' '),
            other => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whatever_they_hold() {
        let xml = "<?xml version=\"1.0\"?><R xmlns=\"x\"><KeyCount>2</KeyCount><Contents><Key>a%20b&amp;&#x43;</Key><Size>3</Size></Contents>\
                   <Contents><Key>c</Key></Contents><Prefix/><Open><Key>";
        let contents = all(xml, "Contents");
        assert_eq!(contents.len(), 2);
        assert_eq!(text(contents[0], "Key").as_deref(), Some("a%20b&C"));
        assert_eq!(text(contents[1], "Size"), None);
        assert_eq!(text(xml, "Prefix").as_deref(), Some(""));
        for hostile in ["<Key", "<Key>", "<Key/", "</Key><Key>&", "<Key>&;&#;&#x110000;</Key>", "<Key>&#xD800;é&a"] {
            text(hostile, "Key");
        }
        assert_eq!(decode("a%20b+c%C3%A4%").as_deref(), Some("a b cä%"));
        assert_eq!(decode("%FF"), None);
    }
}
