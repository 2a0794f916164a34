//! The part of the text that is being looked at. A thread reads ahead, since the reader may be inflating.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::Duration;

use crate::error::{Context, Result};
use crate::model::Run;

/// How much is read at once, in bytes, and how many such pieces wait: 1 MiB in all.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// A buffer that grew for one long statement is given back when it is larger than this, in bytes.
const KEPT: usize = 4 << 20;

/// How long a slow reader may keep a cancelled run from noticing.
const LOOK: Duration = Duration::from_millis(50);

/// A sliding view of the text: bytes are appended by [`more`](Self::more) and given up by [`consume`](Self::consume).
pub(super) struct Window<'a> {
    pieces: Receiver<io::Result<Vec<u8>>>,
    bytes: Vec<u8>,
    start: usize,
    offset: u64,
    ended: bool,
    run: &'a Run<'a>,
}

impl<'a> Window<'a> {
    /// Starts the thread that reads `text`. It ends with the text, or soon after the window was dropped.
    pub(super) fn open<'s>(scope: &'s Scope<'s, '_>, text: &'s mut (dyn Read + Send), run: &'a Run<'a>) -> Self {
        let (sender, pieces) = sync_channel(PIECES);
        scope.spawn(move || read_ahead(text, &sender));
        Self { pieces, bytes: Vec::new(), start: 0, offset: 0, ended: false, run }
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

    /// Waits for the next piece and appends it; `false` at the end of the text. Reports progress.
    pub(super) fn more(&mut self) -> Result<bool> {
        self.run.progress(self.offset)?;
        if self.ended {
            return Ok(false);
        }
        let piece = loop {
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => break piece.context(|| "cannot read the text of the dump".to_owned())?,
                Err(RecvTimeoutError::Timeout) => self.run.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    return Ok(false);
                }
            }
        };
        self.append(piece);
        Ok(true)
    }

    fn append(&mut self, piece: Vec<u8>) {
        let left = self.bytes.len() - self.start;
        if left == 0 {
            self.bytes = piece;
        } else if self.bytes.capacity() > KEPT && left < KEPT / 2 {
            let mut bytes = Vec::with_capacity(left + piece.len());
            bytes.extend_from_slice(self.bytes());
            bytes.extend_from_slice(&piece);
            self.bytes = bytes;
        } else {
            self.bytes.drain(..self.start);
            if self.bytes.capacity() - left < piece.len() {
                // By a quarter: few copies, little waste.
                self.bytes.reserve_exact(piece.len().max(left / 4));
            }
            self.bytes.extend_from_slice(&piece);
        }
        self.start = 0;
    }
}

fn read_ahead(text: &mut (dyn Read + Send), pieces: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        match (&mut *text).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => return,
            Ok(_) => {
                if pieces.send(Ok(piece)).is_err() {
                    return;
                }
            }
            // What came before a failure is not worth having: the load fails anyway.
            Err(error) => {
                let _ = pieces.send(Err(error));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            std::thread::scope(|scope| {
                let mut window = Window::open(scope, &mut reader, &run);
                while window.more().unwrap() {
                    while window.bytes().len() >= step {
                        seen.extend_from_slice(&window.bytes()[..step]);
                        window.consume(step);
                    }
                }
                seen.extend_from_slice(window.bytes());
            });
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
        let run = Run { monitor: &monitor, cancel: &cancel };
        let mut reader = Fails;
        std::thread::scope(|scope| {
            let error = Window::open(scope, &mut reader, &run).more().unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Damaged);
        });
    }
}
