//! Whether a text ends as a whole dump does: half a dump is never taken for a whole one.

use crate::error::{Error, Kind, Result};
use crate::source::sqlite::{END_MARK, HEADER_PREFIX};

/// How each kind of dump begins, and what one of its last lines then is.
const KINDS: [(&[u8], &[u8]); 6] = [
    (HEADER_PREFIX.as_bytes(), END_MARK.as_bytes()),
    (b"-- MariaDB dump", b"-- Dump completed"),
    (b"-- MySQL dump", b"-- Dump completed"),
    (b"/*M!999999", b"-- Dump completed"),
    (b"/*!999999", b"-- Dump completed"),
    (b"--\n-- PostgreSQL database dump", b"-- PostgreSQL database dump complete"),
];

/// How many bytes of a text's two ends are kept.
const KEPT: usize = 256;

/// Watches a text go by.
#[derive(Debug, Default)]
pub(in crate::source) struct Whole {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Whole {
    /// Sees the next part.
    pub(in crate::source) fn see(&mut self, text: &[u8]) {
        let missing = KEPT.saturating_sub(self.head.len());
        self.head.extend_from_slice(&text[..missing.min(text.len())]);
        if text.len() >= KEPT {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&text[text.len().saturating_sub(KEPT)..]);
        let excess = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..excess);
    }

    /// Fails when the text ended early. Of a text of unknown make nothing can be told.
    pub(in crate::source) fn judge(&self) -> Result<()> {
        if self.head.is_empty() {
            return Err(Error::new(Kind::Damaged, "the dump is empty"));
        }
        let ends = |mark: &[u8]| self.tail.split(|byte| *byte == b'\n').any(|line| line.starts_with(mark));
        match KINDS.iter().find(|(begin, _)| self.head.starts_with(begin)) {
            Some((_, mark)) if !ends(mark) => {
                Err(Error::new(Kind::Damaged, "the dump ends early: its last line is missing")
                    .help("use another backup: `tillstick list` shows them"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<()> {
        let mut whole = Whole::default();
        for piece in text.as_bytes().chunks(7) {
            whole.see(piece);
        }
        whole.judge()
    }

    #[test]
    fn a_dump_that_ends_early_is_damaged_and_others_are_let_be() {
        let rows = "INSERT INTO t VALUES (1);\n".repeat(100);
        for (begin, end) in [
            ("-- MariaDB dump 10.19\n", "-- Dump completed on 2026-01-01\n"),
            ("--\n-- PostgreSQL database dump\n--\n", "--\n-- PostgreSQL database dump complete\n--\n\n"),
            ("-- tillstick: x\n", "-- tillstick: end of dump\n"),
        ] {
            judge(&format!("{begin}{rows}{end}")).unwrap();
            assert_eq!(judge(&format!("{begin}{rows}")).unwrap_err().kind(), Kind::Damaged);
        }
        judge(&rows).unwrap();
        assert!(judge("").is_err());
    }
}
