//! The way back: one gzip member to text. What comes in may be anything; what comes out is right or ends in an error.

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};
use xxhash_rust::xxh3::Xxh3;

use super::member::{TRAILER_LEN, TextSum};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, TextFacts};

/// The size of both buffers, in bytes: larger ones made nothing faster.
const BUFFER: usize = 128 << 10;

/// The text of one gzip member, whoever wrote it.
///
/// The last bytes are given out only after CRC-32 and length have matched and the input has ended. Errors are those of
/// the input, or [`Kind::Damaged`] inside an [`io::Error`]; after one, every read fails. Use it as [`BufRead`] to
/// spare a copy. Memory: about 300 KB, whatever the input.
#[derive(Debug)]
pub struct Unpacker<R> {
    input: BufReader<R>,
    inflater: Decompress,
    text: Vec<u8>,
    /// The part of `text` that was not given out yet.
    ready: std::ops::Range<usize>,
    sum: TextSum,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Ended,
    Failed,
}

impl<R: Read> Unpacker<R> {
    /// Reads nothing yet.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            inflater: Decompress::new(false),
            text: vec![0; BUFFER],
            ready: 0..0,
            sum: TextSum::default(),
            state: State::Header,
        }
    }

    /// Makes `text` hold more text, unless there is none.
    fn refill(&mut self) -> io::Result<()> {
        if self.state == State::Header {
            self.skip_header()?;
            self.state = State::Body;
        }
        while self.state == State::Body && self.ready.is_empty() {
            self.inflate()?;
        }
        match self.state {
            State::Failed => Err(damaged("it was found damaged before")),
            _ => Ok(()),
        }
    }

    fn inflate(&mut self) -> io::Result<()> {
        let (bytes_before, text_before) = (self.inflater.total_in(), self.inflater.total_out());
        let bytes = fill(&mut self.input)?;
        let status = self
            .inflater
            .decompress(bytes, &mut self.text, FlushDecompress::None)
            .map_err(|cause| damaged(&format!("its deflated data is invalid ({cause})")))?;
        let (had, used) = (bytes.len(), (self.inflater.total_in() - bytes_before) as usize);
        let made = (self.inflater.total_out() - text_before) as usize;
        self.input.consume(used);
        self.sum.update(&self.text[..made]);
        if status == Status::StreamEnd {
            self.check_end()?;
            self.state = State::Ended;
        } else if used == 0 && made == 0 {
            return Err(damaged(if had == 0 { "it is cut off" } else { "its deflated data leads nowhere" }));
        }
        self.ready = 0..made;
        Ok(())
    }

    fn check_end(&mut self) -> io::Result<()> {
        if self.take::<TRAILER_LEN>()? != self.sum.trailer() {
            return Err(damaged("its checksum or length does not match its text"));
        }
        match fill(&mut self.input)?.is_empty() {
            true => Ok(()),
            false => Err(damaged("something follows its end")),
        }
    }

    fn skip_header(&mut self) -> io::Result<()> {
        // RFC 1952: magic, method (8 is deflate), flags, time, two hints; then what the flags tell.
        let [a, b, method, flags] = self.take()?;
        if [a, b, method] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
            return Err(damaged("it is not gzip"));
        }
        self.take::<6>()?;
        if flags & 4 != 0 {
            let extra = u16::from_le_bytes(self.take()?);
            (0..extra).try_for_each(|_| self.take::<1>().map(|_| ()))?;
        }
        for field in [8, 16] {
            // The name and the comment end with a zero; their length does not matter, as nothing is kept.
            while flags & field != 0 && self.take::<1>()? != [0] {}
        }
        if flags & 2 != 0 {
            self.take::<2>()?;
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
            _ => error,
        })?;
        Ok(bytes)
    }
}

impl<R: Read> BufRead for Unpacker<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ready.is_empty() {
            let result = self.refill();
            if result.is_err() {
                self.state = State::Failed;
            }
            result?;
        }
        Ok(&self.text[self.ready.clone()])
    }

    fn consume(&mut self, amount: usize) {
        self.ready.start = self.ready.end.min(self.ready.start + amount);
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// Reads a whole artifact and tells what it unpacks to; reports progress in bytes of text.
///
/// It vouches for the text. A changed byte that changes no text (the time in the header, padding) is for the SHA-256 of
/// the file to find.
pub fn verify(artifact: impl Read + Send, run: &Run<'_>) -> Result<TextFacts> {
    verify_with(artifact, run, &mut |_| ())
}

/// Like [`verify`]; `observer` sees all the text, in order and in pieces of any size, before it is known to be right.
pub fn verify_with(artifact: impl Read + Send, run: &Run<'_>, observer: &mut dyn FnMut(&[u8])) -> Result<TextFacts> {
    let mut unpacker = Unpacker::new(artifact);
    let mut hash = Xxh3::new();
    loop {
        run.progress(unpacker.sum.length())?;
        let text = unpacker.fill_buf().context(|| "cannot read the artifact back".into())?;
        if text.is_empty() {
            break;
        }
        hash.update(text);
        observer(text);
        let length = text.len();
        unpacker.consume(length);
    }
    let (size, crc32) = (unpacker.sum.length(), unpacker.sum.crc());
    Ok(TextFacts { size, crc32, xxh3: format!("{:032x}", hash.digest128()) })
}

/// The next bytes of the input; none at its end.
fn fill<R: Read>(input: &mut BufReader<R>) -> io::Result<&[u8]> {
    while let Err(error) = input.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // Full now, or at the end: this call reads at most once more.
    input.fill_buf()
}

fn damaged(why: &str) -> io::Error {
    Error::new(Kind::Damaged, format!("the gzip file is damaged: {why}")).into()
}
