//! Reads the rows of an `INSERT ... VALUES (...),(...);` whose values are literals. Pure over bytes.
//!
//! It takes exactly those forms whose meaning it knows and calls everything else unusual: that is SQLite's to read.

use std::ops::Range;

use super::lex::{is_space, is_word};
use super::parcel::Value;

/// How deep `replace(replace(...))` is followed; the sqlite3 shell writes two.
const REPLACE_DEPTH: u32 = 2;

/// Why a parser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes end before it can be told.
    Incomplete,
    /// Not of a form that is known here.
    Unusual,
    /// It has another number of columns than the rows it would stand with.
    Columns,
}

/// What stands behind a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Another row; its values begin at this offset.
    Row(usize),
    /// The statement's end, at this offset.
    End(usize),
}

/// Reads one row: appends its values, and the bytes of its texts and BLOBs. The row begins behind its opening
/// parenthesis; gives the offset behind the closing one. `utf8` tells that texts are stored as they come; otherwise what
/// makes text of bytes is unusual. What was appended of a row that stopped is the caller's to take back.
pub(super) fn parse(row: &[u8], values: &mut Vec<Value>, bytes: &mut Vec<u8>, utf8: bool) -> Result<usize, Stop> {
    let mut cursor = Cursor { bytes: row, at: 0, utf8 };
    loop {
        cursor.skip_space();
        let value = cursor.value(bytes)?;
        values.push(value);
        cursor.skip_space();
        match cursor.take()? {
            b',' => {}
            b')' => return Ok(cursor.at),
            _ => return Err(Stop::Unusual),
        }
    }
}

/// Reads what stands behind a row's closing parenthesis.
pub(super) fn after(bytes: &[u8]) -> Result<After, Stop> {
    let mut cursor = Cursor { bytes, at: 0, utf8: true };
    cursor.skip_space();
    match cursor.take()? {
        b';' => Ok(After::End(cursor.at)),
        b',' => {
            cursor.skip_space();
            cursor.expect(b"(")?;
            Ok(After::Row(cursor.at))
        }
        _ => Err(Stop::Unusual),
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    utf8: bool,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    fn take(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn skip_space(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
    }

    /// Takes exactly these bytes.
    fn expect(&mut self, wanted: &[u8]) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(wanted) {
            self.at += wanted.len();
            Ok(())
        } else if wanted.starts_with(rest) {
            Err(Stop::Incomplete)
        } else {
            Err(Stop::Unusual)
        }
    }

    fn value(&mut self, made: &mut Vec<u8>) -> Result<Value, Stop> {
        match self.peek()? {
            b'\'' => {
                let (inside, doubled) = self.quoted()?;
                Ok(Value::Text(if doubled { self.undouble(inside, made) } else { copy(&self.bytes[inside], made) }))
            }
            b'-' | b'.' | b'0'..=b'9' => self.number(),
            b'X' | b'x' => Ok(Value::Blob(self.blob(made)?)),
            b'N' => {
                self.expect(b"NULL")?;
                if is_word(self.peek()?) { Err(Stop::Unusual) } else { Ok(Value::Null) }
            }
            b'C' if self.utf8 => {
                self.expect(b"CAST(")?;
                let text = self.blob(made)?;
                self.expect(b" AS TEXT)")?;
                Ok(Value::Text(text))
            }
            b'r' if self.utf8 => Ok(Value::Text(self.replace(made, REPLACE_DEPTH)?)),
            _ => Err(Stop::Unusual),
        }
    }

    /// Takes a quoted text; tells where its inside is and whether it has doubled quotes.
    fn quoted(&mut self) -> Result<(Range<usize>, bool), Stop> {
        self.expect(b"'")?;
        let start = self.at;
        let mut doubled = false;
        loop {
            // SQLite ends its text at a NUL: one inside a literal is an error, which SQLite shall report.
            let found = memchr::memchr2(b'\'', 0, &self.bytes[self.at..]).ok_or(Stop::Incomplete)?;
            let end = self.at + found;
            if self.bytes[end] == 0 {
                return Err(Stop::Unusual);
            }
            self.at = end + 1;
            if self.peek()? != b'\'' {
                return Ok((start..end, doubled));
            }
            self.at += 1;
            doubled = true;
        }
    }

    fn undouble(&self, inside: Range<usize>, made: &mut Vec<u8>) -> Range<usize> {
        let start = made.len();
        let mut rest = &self.bytes[inside];
        while let Some(quote) = memchr::memchr(b'\'', rest) {
            made.extend_from_slice(&rest[..=quote]);
            rest = &rest[quote + 2..];
        }
        made.extend_from_slice(rest);
        start..made.len()
    }

    fn number(&mut self) -> Result<Value, Stop> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        // Counted downwards, since the negative numbers reach one further.
        let mut integer = Some(0_i64);
        let digits = self.at;
        while let digit @ b'0'..=b'9' = self.peek()? {
            integer = integer.and_then(|value| value.checked_mul(10)?.checked_sub(i64::from(digit - b'0')));
            self.at += 1;
        }
        let whole = self.at > digits;
        let real = matches!(self.peek()?, b'.' | b'e' | b'E');
        while real && matches!(self.peek()?, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
            self.at += 1;
        }
        if is_word(self.peek()?) || (!whole && !real) {
            return Err(Stop::Unusual);
        }
        let integer = if negative { integer } else { integer.and_then(i64::checked_neg) };
        if let (false, Some(integer)) = (real, integer) {
            return Ok(Value::Integer(integer));
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Stop::Unusual)?;
        text.parse().map(Value::Real).map_err(|_| Stop::Unusual)
    }

    /// Takes `X'..'` and appends its bytes to `made`.
    fn blob(&mut self, made: &mut Vec<u8>) -> Result<Range<usize>, Stop> {
        if !matches!(self.take()?, b'X' | b'x') {
            return Err(Stop::Unusual);
        }
        self.expect(b"'")?;
        let length = memchr::memchr(b'\'', &self.bytes[self.at..]).ok_or(Stop::Incomplete)?;
        let start = made.len();
        let (pairs, odd) = self.bytes[self.at..self.at + length].as_chunks::<2>();
        made.reserve(pairs.len());
        let mut wrong = odd.len() as u8;
        made.extend(pairs.iter().map(|[high, low]| {
            let (high, low) = (HEX[usize::from(*high)], HEX[usize::from(*low)]);
            wrong |= (high | low) & NO_HEX;
            high << 4 | low
        }));
        self.at += length + 1;
        if wrong == 0 { Ok(start..made.len()) } else { Err(Stop::Unusual) }
    }

    /// Takes `replace(text, from, to)` and appends its value to `made`.
    fn replace(&mut self, made: &mut Vec<u8>, depth: u32) -> Result<Range<usize>, Stop> {
        self.expect(b"replace(")?;
        let text = if self.peek()? == b'r' {
            if depth == 1 {
                return Err(Stop::Unusual);
            }
            self.replace(made, depth - 1)?
        } else {
            let (inside, _) = self.quoted()?;
            self.undouble(inside, made)
        };
        self.expect(b",")?;
        let from = self.characters()?;
        self.expect(b",")?;
        let to = self.characters()?;
        self.expect(b")")?;
        // A hostile text would otherwise grow without bound.
        if from.is_empty() || to.len() > 2 * from.len() {
            return Err(Stop::Unusual);
        }
        let (start, mut copied) = (made.len(), text.start);
        let finder = memchr::memmem::Finder::new(&from);
        while let Some(place) = finder.find(&made[copied..text.end]) {
            made.extend_from_within(copied..copied + place);
            made.extend_from_slice(&to);
            copied += place + from.len();
        }
        made.extend_from_within(copied..text.end);
        Ok(start..made.len())
    }

    /// Takes a short text, or `char(10,13)` of ASCII characters.
    fn characters(&mut self) -> Result<Vec<u8>, Stop> {
        if self.peek()? == b'\'' {
            let (inside, _) = self.quoted()?;
            let mut made = Vec::new();
            self.undouble(inside, &mut made);
            return Ok(made);
        }
        self.expect(b"char(")?;
        let mut made = Vec::new();
        loop {
            match self.number()? {
                Value::Integer(code @ 1..=127) => made.push(code as u8),
                _ => return Err(Stop::Unusual),
            }
            match self.take()? {
                b',' => {}
                b')' => return Ok(made),
                _ => return Err(Stop::Unusual),
            }
        }
    }
}

/// Appends the text, and tells where it is.
fn copy(text: &[u8], made: &mut Vec<u8>) -> Range<usize> {
    let start = made.len();
    made.extend_from_slice(text);
    start..made.len()
}

/// Marks a byte in [`HEX`] that is no hex digit.
const NO_HEX: u8 = 0x80;

/// The value of each hex digit.
const HEX: [u8; 256] = {
    let mut table = [NO_HEX; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Stop> {
        let (mut values, mut bytes) = (Vec::new(), Vec::new());
        parse(text.as_bytes(), &mut values, &mut bytes, true)?;
        let show = |bytes: &[u8]| format!("{:?}", bytes.escape_ascii().to_string());
        let value = |value: &Value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => format!("{value:e}"),
            Value::Text(range) => show(&bytes[range.clone()]),
            Value::Blob(range) => format!("X{}", show(&bytes[range.clone()])),
        };
        Ok(values.iter().map(value).collect())
    }

    #[test]
    fn literals_are_what_sqlite_takes_them_for() {
        let numbers = "-9223372036854775808,9223372036854775807,9223372036854775808,-9223372036854775809,-0,-0.0)";
        let expected = ["-9223372036854775808", "9223372036854775807", "9.223372036854776e18", "-9.223372036854776e18"];
        assert_eq!(read(numbers).unwrap(), [&expected[..], &["0", "-0e0"]].concat());
        assert_eq!(read("5.0,9.0e+999,-9.0e+999,.5, 1.\n)").unwrap(), ["5e0", "inf", "-inf", "5e-1", "1e0"]);
        assert_eq!(
            read("'','''','a''b',X'00fF',x'',NULL)").unwrap(),
            [r#""""#, r#""\\'""#, r#""a\\'b""#, r#"X"\\x00\\xff""#, r#"X"""#, "NULL"]
        );
        let made = "CAST(X'6100ff' AS TEXT),replace('a\nb',char(10),char(13,10)),\
                    replace(replace('\\r''\\n','\\r',char(13)),'\\n',char(10)))";
        assert_eq!(read(made).unwrap(), [r#""a\\x00\\xff""#, r#""a\\r\\nb""#, r#""\\r\\'\\n""#]);
    }

    #[test]
    fn what_is_not_known_is_left_to_sqlite() {
        for text in [
            "X'abc')",
            "X'zz')",
            "1+1)",
            "0x10)",
            "1_000)",
            "1e)",
            "+1)",
            "- 1)",
            "-)",
            "null)",
            "NULLS)",
            ")",
            "1,)",
            "\"a\")",
            "'a\0')",
            "?)",
            "replace('a','','b'))",
            "replace('a','a','bbb'))",
            "replace(replace(replace('a','a','b'),'a','b'),'a','b'))",
            "replace('a',char(0),''))",
            "CAST(X'61' AS BLOB))",
            "char(10))",
        ] {
            assert_eq!(read(text), Err(Stop::Unusual), "{text}");
        }
        assert_eq!(parse(b"CAST(X'61' AS TEXT))", &mut Vec::new(), &mut Vec::new(), false), Err(Stop::Unusual));
    }

    #[test]
    fn every_beginning_of_a_row_is_incomplete() {
        let text = "1,-2.5e-3,'a''b',X'00',NULL,CAST(X'61' AS TEXT),replace('a','a',char(10)) )";
        for length in 0..text.len() {
            assert_eq!(read(&text[..length]), Err(Stop::Incomplete), "{}", &text[..length]);
        }
        assert_eq!(read(text).unwrap().len(), 7);
        assert_eq!(after(b" ,\n ("), Ok(After::Row(5)));
        assert_eq!(after(b"\n;"), Ok(After::End(2)));
        assert_eq!(after(b" ,"), Err(Stop::Incomplete));
        assert_eq!(after(b" ON CONFLICT"), Err(Stop::Unusual));
        assert_eq!(after(b",/**/("), Err(Stop::Unusual));
    }
}
