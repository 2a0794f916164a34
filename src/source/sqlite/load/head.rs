//! The beginning of an `INSERT ... VALUES (...)`, and what may follow behind its first rows. Pure over bytes.

use super::lex::{Lexer, Token};
use super::parcel::Head;
use super::statement::is_schema;

/// Why the rest of an `INSERT`, whose first rows were taken already, cannot be left to SQLite as a statement of its
/// own; none when it can. `rest` begins with a row's opening parenthesis and ends with the semicolon.
pub(super) fn rest_problem(rest: &[u8]) -> Option<&'static str> {
    let mut depth = 0_usize;
    for token in Lexer::new(rest) {
        match token {
            Token::Mark(b'(') => depth += 1,
            Token::Mark(b')') => depth = depth.saturating_sub(1),
            Token::Mark(b',' | b';') => {}
            // Rows that were taken already did not have that clause.
            _ if depth == 0 => return Some("a dump has no reason for a clause behind the rows of an INSERT"),
            _ if token.is("SELECT") || token.is("WITH") => {
                return Some("a dump has no reason for queries in an INSERT, which may be endless");
            }
            _ => {}
        }
    }
    None
}

/// What the beginning of a statement tells about an `INSERT ... VALUES (`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Rows follow it.
    Rows(Head),
    /// Something else.
    Other,
    /// The bytes end before it can be told.
    Incomplete,
}

/// Reads the beginning of a statement up to its first row.
pub(super) fn start(bytes: &[u8]) -> Start {
    read(bytes).unwrap_or(Start::Incomplete)
}

fn read(bytes: &[u8]) -> Option<Start> {
    let mut lexer = Lexer::new(bytes);
    // A token at the very end may go on in bytes that are not here yet.
    let mut next = || lexer.next().map(|token| (token, lexer.at())).filter(|(_, at)| *at < bytes.len());
    if !next()?.0.is("INSERT") {
        return Some(Start::Other);
    }
    let mut token = next()?.0;
    if token.is("OR") {
        next()?;
        token = next()?.0;
    }
    if !token.is("INTO") {
        return Some(Start::Other);
    }
    let (mut name, mut before_values) = next()?;
    token = next()?.0;
    if token == Token::Mark(b'.') {
        (name, before_values) = next()?;
        token = next()?.0;
    }
    if token == Token::Mark(b'(') {
        while token != Token::Mark(b')') {
            (token, before_values) = next()?;
        }
        token = next()?.0;
    }
    if !token.is("VALUES") {
        return Some(Start::Other);
    }
    let (token, length) = next()?;
    Some(match name.name() {
        Some(table) if token == Token::Mark(b'(') && !is_schema(&table) => {
            Start::Rows(Head { text: bytes[..length].to_vec(), before_values, table })
        }
        _ => Start::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_first_row_begins() {
        let text = b"INSERT OR IGNORE INTO main.\"a b\"(rowid,[c)],d) VALUES\n ('x')";
        let head = |text: &[u8], before_values, table: &[u8]| {
            Start::Rows(Head { text: text.to_vec(), before_values, table: table.to_vec() })
        };
        assert_eq!(start(text), head(&text[..56], 46, b"a b"));
        assert_eq!(start(b"INSERT INTO t/**/VALUES(1);"), head(b"INSERT INTO t/**/VALUES(", 13, b"t"));
        for length in 0..56 {
            assert_eq!(start(&text[..length]), Start::Incomplete, "{length}");
        }
        assert_eq!(start(b"INSERT INTO t DEFAULT VALUES;"), Start::Other);
        assert_eq!(start(b"INSERT INTO sqlite_schema VALUES(1);"), Start::Other);
    }

    #[test]
    fn a_rest_with_more_than_rows_is_noticed() {
        assert_eq!(rest_problem(b"(1,abs(2)),\n('SELECT');"), None);
        assert!(rest_problem(b"(1) ON CONFLICT DO NOTHING;").is_some());
        assert!(rest_problem(b"(1),((SELECT 1));").is_some());
    }
}
