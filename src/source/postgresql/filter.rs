//! What of a dump may reach psql: statements that make one database, rows, and no command of psql's own.
//!
//! Statements are told apart as psql does. A backslash outside of texts, names and rows would be a command of psql, which may
//! start programs: only the pair that dumps put around themselves is known, and it is left out.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::source::server::feed::{self, refused};

/// How many tokens of a statement are looked at.
const TOKENS: usize = 60;

/// The one setting that dumps change by a function. Others would change how psql reads what follows.
const SEARCH_PATH: &[u8] = b"SELECT pg_catalog.set_config('search_path', '', false);\n";

/// Large objects come in a transaction of their own, which would end the one that the whole load is in: these lines are
/// left out.
const OWN_TRANSACTION: [&[u8]; 2] = [b"BEGIN;\n", b"COMMIT;\n"];

/// What dumps call to set sequences and to write large objects.
const FUNCTIONS: [&str; 5] = ["SETVAL", "LO_CREATE", "LO_OPEN", "LOWRITE", "LO_CLOSE"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Code,
    /// In single quotes; with an `E` before them a backslash escapes.
    Text {
        escapes: bool,
    },
    Name,
    /// Between two `$tag$`.
    Dollar(Vec<u8>),
    /// In so many comments within each other.
    Comment(u32),
    Rows,
}

/// Judges the lines of a dump.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    /// The words of the statement, in capitals, and its marks; texts and names as one mark each.
    tokens: Vec<String>,
    begun: bool,
    /// How deep in the BEGIN ATOMIC ... END of a function.
    depth: u32,
    parens: u32,
    /// The last token was a text with escapes: psql would take one that follows in the next line for its continuation.
    escaped: bool,
}

impl feed::Filter for Filter {
    fn line<'l>(&mut self, line: &'l [u8]) -> Result<Option<Cow<'l, [u8]>>> {
        if self.state == State::Rows {
            if matches!(line.trim_ascii_end(), b"\\.") {
                self.state = State::Code;
            }
            return Ok(Some(line.into()));
        }
        let fresh = self.state == State::Code && !self.begun;
        if fresh && (line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ")) {
            let word = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default().trim_ascii();
            if word.iter().all(u8::is_ascii_alphanumeric) {
                return Ok(None);
            }
        }
        if fresh && (line == SEARCH_PATH || OWN_TRANSACTION.contains(&line)) {
            return Ok((line == SEARCH_PATH).then(|| line.into()));
        }
        let mut at = 0;
        while at < line.len() {
            at += self.step(&line[at..], at, line)?;
        }
        Ok(Some(line.into()))
    }

    fn finish(&mut self) -> Result<()> {
        if self.state != State::Code {
            return Err(Error::new(
                Kind::Damaged,
                "the dump ends in the middle of a text, a comment or a table's rows",
            ));
        }
        self.end().map(drop)
    }
}

impl Filter {
    pub(super) fn new() -> Self {
        Self { state: State::Code, tokens: Vec::new(), begun: false, depth: 0, parens: 0, escaped: false }
    }

    fn step(&mut self, rest: &[u8], at: usize, line: &[u8]) -> Result<usize> {
        let whole = rest.len();
        Ok(match &mut self.state {
            State::Text { escapes } => {
                let found = if *escapes { memchr::memchr2(b'\'', b'\\', rest) } else { memchr::memchr(b'\'', rest) };
                match found {
                    Some(end) if rest[end] == b'\\' => (end + 2).min(whole),
                    // A doubled quote is taken for an end and a new beginning; after E'' escapes go on.
                    Some(end) if rest.get(end + 1) == Some(&b'\'') => end + 2,
                    Some(end) => {
                        self.escaped = *escapes;
                        self.state = State::Code;
                        end + 1
                    }
                    None => whole,
                }
            }
            State::Name => match memchr::memchr(b'"', rest) {
                Some(end) => {
                    self.state = State::Code;
                    end + 1
                }
                None => whole,
            },
            State::Dollar(tag) => match memchr::memmem::find(rest, tag) {
                Some(end) => {
                    let length = tag.len();
                    self.state = State::Code;
                    end + length
                }
                None => whole,
            },
            State::Comment(depth) => match (memchr::memmem::find(rest, b"*/"), memchr::memmem::find(rest, b"/*")) {
                (Some(end), open) if open.is_none_or(|open| end < open) => {
                    *depth -= 1;
                    if *depth == 0 {
                        self.state = State::Code;
                    }
                    end + 2
                }
                (_, Some(open)) => {
                    *depth += 1;
                    open + 2
                }
                _ => whole,
            },
            State::Rows => return Err(refused("something behind the beginning of a table's rows")),
            State::Code => self.code(rest, at, line)?,
        })
    }

    fn code(&mut self, rest: &[u8], at: usize, line: &[u8]) -> Result<usize> {
        let byte = rest[0];
        Ok(match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => 1,
            b'\\' => return Err(refused("a command of psql")),
            b'-' if rest.starts_with(b"--") => rest.len(),
            b'/' if rest.starts_with(b"/*") => {
                self.state = State::Comment(1);
                2
            }
            b'\'' if self.escaped => return Err(refused("a text with escapes in two parts")),
            b'\'' => {
                let before = at.checked_sub(1).map(|at| line[at]);
                let second = at.checked_sub(2).map(|at| line[at]);
                let escapes = matches!(before, Some(b'e' | b'E')) && !second.is_some_and(is_word);
                self.state = State::Text { escapes };
                self.take("'".into());
                1
            }
            b'"' => {
                self.state = State::Name;
                self.take("\"".into());
                1
            }
            b'$' if dollar_tag(rest).is_some() => {
                let tag = dollar_tag(rest).unwrap_or_default();
                self.state = State::Dollar(tag.to_vec());
                self.take("'".into());
                tag.len()
            }
            b';' if self.depth == 0 && self.parens == 0 => {
                let rows = self.end()?;
                if rows {
                    if !rest[1..].trim_ascii().is_empty() {
                        return Err(refused("something behind the beginning of a table's rows"));
                    }
                    self.state = State::Rows;
                    return Ok(rest.len());
                }
                1
            }
            byte if is_word(byte) => {
                let length = rest.iter().position(|byte| !is_word(*byte) && *byte != b'$').unwrap_or(rest.len());
                self.word(String::from_utf8_lossy(&rest[..length]).to_uppercase());
                length
            }
            byte => {
                match byte {
                    b'(' => self.parens += 1,
                    b')' => self.parens = self.parens.saturating_sub(1),
                    _ => {}
                }
                self.take(char::from(byte).to_string());
                1
            }
        })
    }

    /// A function of the newer form holds whole statements between BEGIN and END, as psql knows too.
    fn word(&mut self, word: String) {
        let is_program = self.tokens.first().is_some_and(|first| first == "CREATE")
            && self.tokens.iter().take(4).any(|word| word == "FUNCTION" || word == "PROCEDURE");
        if is_program {
            match word.as_str() {
                "BEGIN" => self.depth += 1,
                "CASE" if self.depth > 0 => self.depth += 1,
                "END" => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.take(word);
    }

    fn take(&mut self, token: String) {
        (self.begun, self.escaped) = (true, false);
        if self.tokens.len() < TOKENS {
            self.tokens.push(token);
        }
    }

    /// Judges the statement; whether rows follow it.
    fn end(&mut self) -> Result<bool> {
        let tokens = std::mem::take(&mut self.tokens);
        (self.begun, self.escaped) = (false, false);
        (self.depth, self.parens) = (0, 0);
        judge(&tokens)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// `$$` or `$tag$` at the beginning.
fn dollar_tag(rest: &[u8]) -> Option<&[u8]> {
    let end = rest[1..].iter().position(|byte| !is_word(*byte))? + 1;
    (rest[end] == b'$' && !rest[1].is_ascii_digit()).then_some(&rest[..=end])
}

/// Judges a statement by its first tokens; whether rows follow it.
fn judge(tokens: &[String]) -> Result<bool> {
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let shown = || format!("{} {}", word(0), word(1)).trim().to_owned();
    let no = || Err(refused(&format!("the statement {:?}", shown())));
    let server = ["SYSTEM", "ROLE", "USER", "DATABASE", "TABLESPACE", "GROUP", "SUBSCRIPTION"];
    match word(0) {
        "" if tokens.is_empty() => {}
        "SET" => {
            let as_psql_reads = word(1) != "STANDARD_CONFORMING_STRINGS" || word(3) == "ON";
            if matches!(word(1), "ROLE" | "SESSION" | "LOCAL") || !as_psql_reads {
                return no();
            }
        }
        "SELECT" => {
            let known = word(1) == "PG_CATALOG" && word(2) == "." && FUNCTIONS.contains(&word(3));
            if !known || tokens.iter().skip(4).any(|token| token == "SELECT") {
                return no();
            }
        }
        "COPY" => {
            let from = tokens.iter().position(|token| token == "FROM");
            return match from {
                Some(at) if word(at + 1) == "STDIN" && at + 2 == tokens.len() => Ok(true),
                _ => no(),
            };
        }
        "CREATE" | "ALTER" | "DROP" if server.contains(&word(1)) && (word(1), word(2)) != ("USER", "MAPPING") => {
            return no();
        }
        "CREATE" | "ALTER" | "DROP" | "COMMENT" | "GRANT" | "REVOKE" | "REFRESH" | "SECURITY" => {}
        "INSERT" if tokens.iter().any(|token| token == "VALUES") => {}
        _ => return no(),
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(dump: &str) -> Result<String> {
        feed::through(Filter::new(), dump)
    }

    #[test]
    fn what_pg_dump_writes_goes_through() {
        let dump = "SET statement_timeout = 0;\nSET standard_conforming_strings = on;\n\
            SELECT pg_catalog.set_config('search_path', '', false);\n\
            CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $_$ SELECT 1; \\! $_$;\n\
            CREATE FUNCTION public.g(a int) RETURNS int LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN a > 1 THEN 2 END;\n SELECT a;\nEND;\n\
            CREATE TABLE public.t (\n a text DEFAULT 'x\\'::text, b text DEFAULT E'it\\'s; \\\\! x'\n);\n\
            COMMENT ON TABLE public.t IS 'it''s \\! nothing';\n\
            COPY public.t (a, b) FROM stdin;\nx\\ty\t\\N\n\\\\! touch /x\nSHUTDOWN;\n\\.\n\n\
            SELECT pg_catalog.setval('public.s', 7, true);\nCREATE RULE r AS ON INSERT TO public.v DO ( SELECT 1; SELECT 2);\n";
        assert_eq!(through(dump).unwrap(), dump);
        assert_eq!(through("\\restrict abc\nSET x = 1;\n\\unrestrict abc\n").unwrap(), "SET x = 1;\n");
    }

    #[test]
    fn what_reaches_outside_does_not() {
        for hostile in [
            "\\! touch /x\n",
            "SET x = 1; \\! touch /x\n",
            "SELECT 1 \\gexec\n",
            "\\copy t from program 'x'\n",
            "\\restrict a b\\! x\n",
            "COPY t FROM PROGRAM 'x';\n",
            "COPY t TO PROGRAM 'x';\n",
            "COPY (SELECT 1) TO '/x';\n",
            "COPY t FROM '/etc/passwd';\n",
            "COPY t FROM stdin; \\! x\n",
            "ALTER SYSTEM SET archive_command = 'x';\n",
            "CREATE ROLE x SUPERUSER;\n",
            "DROP DATABASE x;\n",
            "DO $$ begin end $$;\n",
            "SELECT lo_import('/etc/passwd');\n",
            "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);\n",
            "SELECT pg_catalog.setval('s', (SELECT 1), false);\n",
            "SELECT pg_catalog.set_config('search_path', '', false); COMMIT;\n",
            "SET standard_conforming_strings = off;\n",
            "SET SESSION AUTHORIZATION x;\n",
            "CREATE TABLE t (a text DEFAULT 'x\\'); \\! x\n",
            "COMMENT ON TABLE t IS E'\\''; \\! x\n",
            "COMMENT ON TABLE t IS E'a'\n'\\'' \\! x\n",
            "/* /* */ */ \\! x\n",
            "CALL p();\n",
        ] {
            assert_eq!(through(hostile).unwrap_err().kind(), Kind::Refused, "{hostile}");
        }
        assert_eq!(through("COPY t FROM stdin;\n1\n").unwrap_err().kind(), Kind::Damaged);
    }
}
