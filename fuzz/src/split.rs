//! Where statements end: the same places however the bytes come in, all of the input in them, and those that SQLite's
//! own `sqlite3_complete` names.

use super::{Dice, mutate};
use tillstick::source::sqlite::Scanner;

pub(super) fn run(data: &[u8]) {
    // The first byte says how the rest is cut into pieces.
    let Some((cut, text)) = data.split_first() else { return };
    let whole = ends(text, text.len());
    let pieces = ends(text, 1 + usize::from(*cut) % 61);
    assert_eq!(whole, pieces, "the ends depend on how the bytes come in");
    let mut joined: Vec<u8> = Vec::new();
    let mut last = 0;
    for end in whole.iter().copied().chain([text.len()]) {
        let statement = &text[last..end];
        assert!(end == text.len() || statement.ends_with(b";"), "a statement ends without a semicolon");
        joined.extend(statement);
        last = end;
    }
    assert!(joined == text, "the statements joined are not the input");
}

/// The ends of all statements, with the bytes coming in pieces of `step`, of which those that are done with go.
fn ends(text: &[u8], step: usize) -> Vec<usize> {
    let (mut ends, mut start, mut there) = (Vec::new(), 0, 0);
    let mut scanner = Scanner::at_start();
    loop {
        match scanner.end(&text[start..there]) {
            Some(length) => {
                assert!(length > 0 && start + length <= there, "a statement ends outside of what is there");
                start += length;
                ends.push(start);
                scanner = Scanner::at_start();
            }
            None if there == text.len() => return ends,
            None => there = (there + step.max(1)).min(text.len()),
        }
    }
}

pub(super) const WORDS: &[&str] = &[
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    "\n",
    "\r\n",
    " ",
    "(",
    ")",
    ",",
    "CREATE ",
    "TEMP ",
    "TEMPORARY ",
    "TRIGGER ",
    "BEGIN ",
    "END",
    ";END;",
    "; END ;",
    "EXPLAIN ",
    "SELECT ",
    "TABLE ",
    "INSERT INTO ",
    "VALUES",
    "\0",
    "\u{e4}",
    "''",
    "-",
    "/",
    "*",
    "x'00'",
    "_",
    "$",
    "@",
    "#",
    ".",
    "\u{feff}",
    "\x0b",
    "\x0c",
];

pub(super) fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    mutate::text(data, WORDS, dice);
}
