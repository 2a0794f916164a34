//! The part of the text that is being looked at.

use std::io::Read;

use crate::error::{Context, Result};
use crate::model::Run;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// A buffer that grew for one long statement is given back when it is larger than this, in bytes.
const KEPT: usize = 4 << 20;

/// A sliding view of the text: bytes are appended by [`more`](Self::more) and given up by [`consume`](Self::consume).
pub(super) struct Window<'a> {
    text: &'a mut (dyn Read + Send),
    bytes: Vec<u8>,
    start: usize,
    offset: u64,
    ended: bool,
    run: Run<'a>,
}

impl<'a> Window<'a> {
    pub(super) fn new(text: &'a mut (dyn Read + Send), run: Run<'a>) -> Self {
        Self { text, bytes: Vec::new(), start: 0, offset: 0, ended: false, run }
    }

    /// What is there of the text, from the current place on.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many bytes of the text lie before the current place.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Moves the current place; never past what is there.
    pub(super) fn consume(&mut self, length: usize) {
        let length = length.min(self.bytes.len() - self.start);
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads another piece and appends it; `false` at the end of the text.
    pub(super) fn more(&mut self) -> Result<bool> {
        self.run.check()?;
        if self.ended {
            return Ok(false);
        }
        self.make_room();
        let read = (&mut *self.text).take(PIECE as u64).read_to_end(&mut self.bytes);
        self.ended = read.context(|| "cannot read the text of the dump".to_owned())? == 0;
        Ok(!self.ended)
    }

    fn make_room(&mut self) {
        let left = self.bytes.len() - self.start;
        if self.bytes.capacity() > KEPT && left < KEPT / 2 {
            let mut bytes = Vec::with_capacity(left + PIECE);
            bytes.extend_from_slice(self.bytes());
            self.bytes = bytes;
        } else {
            self.bytes.drain(..self.start);
            if self.bytes.capacity() - left < PIECE {
                // By a quarter: few copies, little waste.
                self.bytes.reserve_exact(PIECE.max(left / 4));
            }
        }
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::model::{Cancel, Quiet};

    #[test]
    fn the_text_comes_through_whole_whatever_is_consumed() {
        let text: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 / 3) as u8).collect();
        let (cancel, monitor) = (Cancel::default(), Quiet);
        let run = Run { monitor: &monitor, cancel: &cancel };
        for step in [1000, 300_000, 5_000_000] {
            let mut reader = &text[..];
            let mut seen = Vec::new();
            let mut window = Window::new(&mut reader, run);
            while window.more().unwrap() {
                while window.bytes().len() >= step {
                    seen.extend_from_slice(&window.bytes()[..step]);
                    window.consume(step);
                }
            }
            seen.extend_from_slice(window.bytes());
            assert!(seen == text, "{step}");
        }
    }

    #[test]
    fn a_reader_that_fails_is_reported() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::InvalidData))
            }
        }
        let (cancel, monitor) = (Cancel::default(), Quiet);
        let error = Window::new(&mut Fails, Run { monitor: &monitor, cancel: &cancel }).more().unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Damaged);
    }
}
