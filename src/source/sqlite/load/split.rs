//! Finds where a statement ends, by the rules of SQLite's own `sqlite3_complete`. Pure over bytes; resumes where it
//! stopped, so that a statement that arrives in many pieces is looked at once.

use super::lex::{is_space, is_word};

/// What the words so far amount to. Only a trigger's body has semicolons that end nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Start,
    Normal,
    Explain,
    Create,
    Trigger,
    /// In a trigger, behind a semicolon.
    TriggerSemicolon,
    /// In a trigger, behind `; END`.
    TriggerEnd,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// A text or quoted name that this byte closes. A doubled quote closes and opens again, which comes to the same.
    Quote(u8),
    LineComment,
    BlockComment,
    /// A word that began there.
    Word(usize),
}

/// Looks for the end of one statement.
#[derive(Debug)]
pub struct Scanner {
    words: Words,
    inside: Inside,
    at: usize,
}

impl Scanner {
    /// To be used from a statement's first byte on.
    pub fn at_start() -> Self {
        Self { words: Words::Start, inside: Inside::Nothing, at: 0 }
    }

    /// To be used from anywhere between two tokens of a statement that is no `CREATE TRIGGER`.
    pub(super) fn in_statement() -> Self {
        Self { words: Words::Normal, ..Self::at_start() }
    }

    /// The number of bytes up to and with the semicolon that ends the statement; none when it is not in `bytes` yet.
    /// Call it again with more bytes: the same ones, and those that follow.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.at < bytes.len() {
            match self.inside {
                Inside::Nothing => {
                    if self.token(bytes)? {
                        return Some(self.at);
                    }
                }
                Inside::Quote(close) => self.skip_to(memchr::memchr(close, &bytes[self.at..]), 1, bytes.len()),
                Inside::LineComment => self.skip_to(memchr::memchr(b'\n', &bytes[self.at..]), 1, bytes.len()),
                Inside::BlockComment => {
                    // The last byte may be the `*` whose `/` has not come yet.
                    let end = memchr::memmem::find(&bytes[self.at..], b"*/");
                    self.skip_to(end, 2, bytes.len() - 1);
                    end?;
                }
                Inside::Word(start) => {
                    let rest = &bytes[self.at..];
                    let length = rest.iter().position(|byte| !is_word(*byte));
                    self.at += length.unwrap_or(rest.len());
                    length?;
                    self.inside = Inside::Nothing;
                    self.word(&bytes[start..self.at]);
                }
            }
        }
        None
    }

    fn skip_to(&mut self, found: Option<usize>, length: usize, otherwise: usize) {
        match found {
            Some(found) => {
                self.at += found + length;
                self.inside = Inside::Nothing;
            }
            None => self.at = self.at.max(otherwise),
        }
    }

    /// Takes the token that begins here: `Some(true)` when it ends the statement, none when it cannot be told yet.
    fn token(&mut self, bytes: &[u8]) -> Option<bool> {
        let byte = bytes[self.at];
        match byte {
            b';' => {
                self.at += 1;
                self.words = match self.words {
                    Words::Trigger | Words::TriggerSemicolon => Words::TriggerSemicolon,
                    _ => return Some(true),
                };
            }
            b'-' | b'/' => {
                let next = *bytes.get(self.at + 1)?;
                match (byte, next) {
                    (b'-', b'-') => self.enter(Inside::LineComment, 2),
                    (b'/', b'*') => self.enter(Inside::BlockComment, 2),
                    _ => self.other(1),
                }
            }
            b'\'' | b'"' | b'`' => self.open(byte),
            b'[' => self.open(b']'),
            _ if is_space(byte) => self.at += 1,
            _ if is_word(byte) => self.inside = Inside::Word(self.at),
            _ => self.other(1),
        }
        Some(false)
    }

    fn enter(&mut self, inside: Inside, length: usize) {
        self.inside = inside;
        self.at += length;
    }

    fn open(&mut self, close: u8) {
        self.other(0);
        self.enter(Inside::Quote(close), 1);
    }

    fn other(&mut self, length: usize) {
        self.word(b"");
        self.at += length;
    }

    fn word(&mut self, word: &[u8]) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        self.words = match self.words {
            Words::Start if is("explain") => Words::Explain,
            Words::Start | Words::Explain if is("create") => Words::Create,
            Words::Explain if !is("explain") && !is("temp") && !is("temporary") && !is("trigger") && !is("end") => {
                Words::Explain
            }
            Words::Create if is("temp") || is("temporary") => Words::Create,
            Words::Create if is("trigger") => Words::Trigger,
            Words::Start | Words::Normal | Words::Explain | Words::Create => Words::Normal,
            Words::TriggerSemicolon if is("end") => Words::TriggerEnd,
            Words::Trigger | Words::TriggerSemicolon | Words::TriggerEnd => Words::Trigger,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> Vec<usize> {
        let (mut at, mut ends) = (0, Vec::new());
        while let Some(end) = Scanner::at_start().end(&text.as_bytes()[at..]) {
            at += end;
            ends.push(at);
        }
        ends
    }

    #[test]
    fn semicolons_in_texts_names_comments_and_triggers_end_nothing() {
        assert_eq!(ends("a';';b\";\"[;];`;`;"), [5, 13, 17]);
        assert_eq!(ends("a--;\n;b/*;*/;c/*/;*/;"), [6, 13, 21]);
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 'END'; END /* */ ;";
        assert_eq!(ends(trigger), [trigger.len()]);
        assert_eq!(ends("CREATE TABLE trigger(a);"), [24]);
        assert_eq!(ends("CREATE TRIGGER t BEGIN a; END"), [] as [usize; 0]);
    }

    #[test]
    fn a_statement_that_comes_byte_by_byte_ends_at_the_same_place() {
        let text = b"INSERT INTO a VALUES('x;''y',1-2,3/4)/* ;* */--;\n,(\";\");rest";
        let whole = Scanner::at_start().end(text);
        let mut scanner = Scanner::at_start();
        let piecewise = (0..=text.len()).find_map(|length| scanner.end(&text[..length]));
        assert_eq!((whole, piecewise), (Some(56), Some(56)));
    }

    /// Pieces that statements are made of, and pieces that try to confuse.
    const PIECES: &[&str] = &[
        ";",
        "; ",
        "\n",
        "CREATE ",
        "TEMP ",
        "temporary ",
        "TRIGGER ",
        "END",
        " end ",
        "EXPLAIN ",
        "SELECT ",
        "a",
        "1",
        "'",
        "''",
        "'x'",
        "\"",
        "`",
        "[",
        "]",
        "--",
        "-",
        "/*",
        "*/",
        "/",
        "*",
        "(",
        ")",
        ",",
        "\t",
        "\u{e4}",
    ];

    proptest::proptest! {
        #[test]
        fn statements_end_where_sqlite_says_that_they_end(
            picks in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
        ) {
            let text = picks.concat();
            let complete = |text: &str| {
                let text = std::ffi::CString::new(text).unwrap();
                // SAFETY: the string ends with a NUL and lives during the call.
                unsafe { rusqlite::ffi::sqlite3_complete(text.as_ptr()) == 1 }
            };
            let ends = ends(&text);
            // Up to each end, the statements are complete; in between they are not.
            let mut last = 0;
            for end in ends.iter().copied().chain([text.len() + 1]) {
                for (at, _) in text.match_indices(';').filter(|(at, _)| (last..end).contains(at)) {
                    proptest::prop_assert_eq!(complete(&text[last..=at]), at + 1 == end, "{:?} {}", text, at);
                }
                last = end.min(text.len());
            }
        }

        #[test]
        fn no_bytes_make_the_scanner_fail_or_depend_on_how_they_come(
            bytes in proptest::collection::vec(proptest::sample::select(b";'\"`[]-/*\nxEND \0\xff".to_vec()), 0..60),
            cut in 0..60_usize,
        ) {
            let whole = Scanner::at_start().end(&bytes);
            let mut scanner = Scanner::at_start();
            let first = scanner.end(&bytes[..cut.min(bytes.len())]);
            proptest::prop_assert_eq!(first.or_else(|| scanner.end(&bytes)), whole);
        }
    }
}
