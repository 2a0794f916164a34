//! Values and names as SQL text that the SQLite shell, from 3.40 on, reads back as the same value of the same class.
//! Pure.
//!
//! Two things in an older shell decide the forms of text: its lines end at a NUL, and it drops a CR that stands before a LF.

use super::real::put_real;

/// One value as the database holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'v> {
    Null,
    Integer(i64),
    Real(f64),
    /// In the encoding of the database; may be anything, valid or not.
    Text(&'v [u8]),
    Blob(&'v [u8]),
}

/// The encoding of all text in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// From the value of `PRAGMA encoding`.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }
}

/// Writes cells as literals. Keeps one buffer, so that text in UTF-16 costs no allocation per value.
pub(super) struct Literals {
    encoding: Encoding,
    decoded: String,
}

impl Literals {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, decoded: String::new() }
    }

    /// Appends the literal of `cell`.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, cell: Cell<'_>) {
        match cell {
            Cell::Null => out.extend_from_slice(b"NULL"),
            Cell::Integer(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            Cell::Real(value) => put_real(out, value),
            Cell::Text(raw) if self.encoding == Encoding::Utf8 => put_text(out, raw, raw),
            Cell::Text(raw) => {
                if decode(raw, self.encoding, &mut self.decoded) {
                    put_text(out, self.decoded.as_bytes(), raw);
                } else {
                    put_cast(out, raw);
                }
            }
            Cell::Blob(bytes) => put_hex(out, bytes),
        }
    }
}

/// The name as a quoted identifier; every name may be quoted, so keywords need no list.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Decodes UTF-16; `false` when SQLite would not get the same units back from the UTF-8: an odd byte, a lone
/// surrogate, or the two noncharacters that it replaces while converting.
fn decode(raw: &[u8], encoding: Encoding, out: &mut String) -> bool {
    out.clear();
    let unit: fn([u8; 2]) -> u16 = if encoding == Encoding::Utf16Be { u16::from_be_bytes } else { u16::from_le_bytes };
    let pairs = raw.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return false;
    }
    for decoded in char::decode_utf16(pairs.map(|pair| unit([pair[0], pair[1]]))) {
        match decoded {
            Ok('\u{fffe}' | '\u{ffff}') | Err(_) => return false,
            Ok(c) => out.push(c),
        }
    }
    true
}

const QUOTE: u8 = 1;
const NUL: u8 = 2;
const RETURN: u8 = 4;
const HIGH: u8 = 8;

/// What each byte of a text asks for.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    class[b'\'' as usize] = QUOTE;
    class[0] = NUL;
    class[b'\r' as usize] = RETURN;
    let mut byte = 0x80;
    while byte < 256 {
        class[byte] = HIGH;
        byte += 1;
    }
    class
};

/// Appends `text`, which should be UTF-8; `raw` is the same value as the database has it.
fn put_text(out: &mut Vec<u8>, text: &[u8], raw: &[u8]) {
    let seen = text.iter().fold(0, |seen, byte| seen | CLASS[usize::from(*byte)]);
    if seen & NUL != 0 || (seen & HIGH != 0 && std::str::from_utf8(text).is_err()) {
        return put_cast(out, raw);
    }
    match if seen & RETURN != 0 { line_ends(text) } else { LineEnds::Kept } {
        LineEnds::Kept => put_literal(out, text),
        LineEnds::AllCrLf => {
            out.extend_from_slice(b"replace('");
            let mut from = 0;
            for lf in memchr::memchr_iter(b'\n', text) {
                put_escaped(out, &text[from..lf - 1]);
                from = lf;
            }
            put_escaped(out, &text[from..]);
            out.extend_from_slice(b"',char(10),char(13,10))");
        }
        LineEnds::Mixed => put_cast(out, raw),
    }
}

/// What a shell that drops the CR of a CRLF would do to a text.
enum LineEnds {
    Kept,
    /// Every LF has its one CR: writing the LFs alone loses nothing.
    AllCrLf,
    Mixed,
}

fn line_ends(text: &[u8]) -> LineEnds {
    let (mut with_cr, mut alone) = (false, false);
    for lf in memchr::memchr_iter(b'\n', text) {
        match text[..lf] {
            [.., b'\r', b'\r'] => return LineEnds::Mixed,
            [.., b'\r'] => with_cr = true,
            _ => alone = true,
        }
    }
    match (with_cr, alone) {
        (false, _) => LineEnds::Kept,
        (true, false) => LineEnds::AllCrLf,
        (true, true) => LineEnds::Mixed,
    }
}

fn put_literal(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'\'');
    put_escaped(out, text);
    out.push(b'\'');
}

fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for quote in memchr::memchr_iter(b'\'', text) {
        out.extend_from_slice(&text[from..=quote]);
        from = quote; // the next piece begins with the quote once more
    }
    out.extend_from_slice(&text[from..]);
}

/// Text that no literal can carry, as the bytes of the database's own encoding.
fn put_cast(out: &mut Vec<u8>, raw: &[u8]) {
    out.extend_from_slice(b"CAST(");
    put_hex(out, raw);
    out.extend_from_slice(b" AS TEXT)");
}

/// The two hex digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        hex[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    hex
};

fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"X'");
    let from = out.len();
    out.resize(from + 2 * bytes.len(), 0);
    for (pair, byte) in out[from..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&HEX[usize::from(*byte)]);
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf8(cell: Cell<'_>) -> String {
        let mut out = Vec::new();
        Literals::new(Encoding::Utf8).put(&mut out, cell);
        String::from_utf8(out).unwrap()
    }

    fn utf16(units: &[u16]) -> String {
        let raw: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let mut out = Vec::new();
        Literals::new(Encoding::Utf16Be).put(&mut out, Cell::Text(&raw));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_their_class_and_their_bits() {
        assert_eq!(utf8(Cell::Integer(i64::MIN)), "-9223372036854775808");
        for (value, text) in [
            (5.0, "5.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e22, "1e22"),
            (f64::INFINITY, "9.0e+999"),
            (f64::NEG_INFINITY, "-9.0e+999"),
        ] {
            assert_eq!(utf8(Cell::Real(value)), text);
        }
    }

    #[test]
    fn text_that_a_shell_would_change_takes_another_form() {
        for (text, literal) in [
            (&b"it's"[..], "'it''s'"),
            (b"''", "''''''"),
            (b"", "''"),
            (b"a\nb\rc\r", "'a\nb\rc\r'"),
            (b"a\r\n'b'\r\n", "replace('a\n''b''\n',char(10),char(13,10))"),
            (b"\r\n", "replace('\n',char(10),char(13,10))"),
            (b"a\r\r\n", "CAST(X'610d0d0a' AS TEXT)"),
            (b"a\r\nb\n", "CAST(X'610d0a620a' AS TEXT)"),
            (b"a\0b", "CAST(X'610062' AS TEXT)"),
            (b"\xff", "CAST(X'ff' AS TEXT)"),
            ("Käse 🧀".as_bytes(), "'Käse 🧀'"),
        ] {
            assert_eq!(utf8(Cell::Text(text)), literal);
        }
    }

    #[test]
    fn utf_16_becomes_utf_8_only_when_that_loses_nothing() {
        assert_eq!(utf16(&[0x4b, 0xe4, 0xd83e, 0xddc0]), "'Kä🧀'");
        assert_eq!(utf16(&[0x41, 0xd83e]), "CAST(X'0041d83e' AS TEXT)");
        assert_eq!(utf16(&[0xffff]), "CAST(X'ffff' AS TEXT)");
        assert_eq!(utf16(&[0x41, 0]), "CAST(X'00410000' AS TEXT)");
        assert_eq!(utf16(&[0x0d, 0x0a]), "replace('\n',char(10),char(13,10))");
    }

    #[test]
    fn names_are_quoted_whatever_they_are() {
        assert_eq!(quoted("a\"b.c\nd"), "\"a\"\"b.c\nd\"");
    }
}
