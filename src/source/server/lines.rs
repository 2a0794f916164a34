//! A program's output line by line, and a text from outside line by line.

use std::io::{BufRead, Read};

use crate::error::{Context, Error, Kind, Result};
use crate::host::piped::{Ended, Piped};
use crate::model::Run;

/// How much is read at once, in bytes.
const READ: usize = 256 << 10;

/// The longest line: a row of the largest values that the servers take.
const LINE_MAX: usize = 2 << 30;

/// The lines that a program writes.
pub(in crate::source) struct Lines {
    piped: Piped,
    buffer: Vec<u8>,
    /// What of the buffer was given out, and up to where no line feed is.
    start: usize,
    looked: usize,
}

impl Lines {
    pub(in crate::source) fn of(piped: Piped) -> Self {
        Self { piped, buffer: Vec::new(), start: 0, looked: 0 }
    }

    /// The next line with its line feed, which the very last one may lack.
    pub(in crate::source) fn next(&mut self, run: &Run) -> Result<Option<&[u8]>> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.looked..]) {
                let (start, end) = (self.start, self.looked + found + 1);
                (self.start, self.looked) = (end, end);
                return Ok(Some(&self.buffer[start..end]));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            self.looked = self.buffer.len();
            if self.looked > LINE_MAX {
                return Err(too_long());
            }
            self.buffer.resize(self.looked + READ, 0);
            let read = self.piped.read(&mut self.buffer[self.looked..], run)?;
            self.buffer.truncate(self.looked + read);
            if read == 0 {
                let end = self.buffer.len();
                (self.start, self.looked) = (end, end);
                return Ok((end > 0).then_some(&self.buffer[..end]));
            }
        }
    }

    /// Waits for the program's end.
    pub(in crate::source) fn finish(self, run: &Run) -> Result<Ended> {
        self.piped.finish(run)
    }
}

/// Reads the next line of a text into `line`, its line feed included; `false` at the end.
pub(in crate::source) fn read_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    let mut limited = Read::take(text, LINE_MAX as u64);
    let read = limited.read_until(b'\n', line).context(|| "cannot read the dump".into())?;
    if read >= LINE_MAX {
        return Err(too_long());
    }
    Ok(read > 0)
}

fn too_long() -> Error {
    Error::new(Kind::Refused, format!("a line of the dump is longer than {LINE_MAX} bytes"))
}
