//! The beginning of an `INSERT ... VALUES (...)`, and what may follow behind its first rows. Pure over bytes.

use super::lex::{Lexer, Token};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// Rows for `table` follow; the first one's values begin at `length`.
    Rows { length: usize, table: Vec<u8> },
    /// Something else.
    Other,
    /// The bytes end before it can be told.
    Incomplete,
}

/// Reads the beginning of a statement up to its first row.
pub(super) fn head(bytes: &[u8]) -> Head {
    read_head(bytes).unwrap_or(Head::Incomplete)
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut lexer = Lexer::new(bytes);
    // A token at the very end may go on in bytes that are not here yet.
    let mut next = || lexer.next().map(|token| (token, lexer.at())).filter(|(_, at)| *at < bytes.len());
    if !next()?.0.is("INSERT") {
        return Some(Head::Other);
    }
    let mut token = next()?.0;
    if token.is("OR") {
        next()?;
        token = next()?.0;
    }
    if !token.is("INTO") {
        return Some(Head::Other);
    }
    let mut table = next()?.0.name();
    token = next()?.0;
    if token == Token::Mark(b'.') {
        table = next()?.0.name();
        token = next()?.0;
    }
    if token == Token::Mark(b'(') {
        while token != Token::Mark(b')') {
            token = next()?.0;
        }
        token = next()?.0;
    }
    if !token.is("VALUES") {
        return Some(Head::Other);
    }
    let (token, length) = next()?;
    Some(match table {
        Some(table) if token == Token::Mark(b'(') && !is_schema(&table) => Head::Rows { length, table },
        _ => Head::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_first_row_begins() {
        let text = b"INSERT OR IGNORE INTO main.\"a b\"(rowid,[c)],d) VALUES\n ('x')";
        assert_eq!(head(text), Head::Rows { length: 56, table: b"a b".to_vec() });
        for length in 0..56 {
            assert_eq!(head(&text[..length]), Head::Incomplete, "{length}");
        }
        assert_eq!(head(b"INSERT INTO t DEFAULT VALUES;"), Head::Other);
        assert_eq!(head(b"INSERT INTO sqlite_schema VALUES(1);"), Head::Other);
    }

    #[test]
    fn a_rest_with_more_than_rows_is_noticed() {
        assert_eq!(rest_problem(b"(1,abs(2)),\n('SELECT');"), None);
        assert!(rest_problem(b"(1) ON CONFLICT DO NOTHING;").is_some());
        assert!(rest_problem(b"(1),((SELECT 1));").is_some());
    }
}
