//! A file is read with many pieces under way, so that a long line does not slow it down.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::wire::{Out, Wire, kind};
use super::{PIECE, Shared, Ssh, UNDER_WAY, locked};
use crate::error::{Error, Kind, Result};

pub(super) struct Reader {
    wire: Shared,
    handle: Vec<u8>,
    size: u64,
    /// The first byte that was not asked for yet.
    asked: u64,
    /// Numbers and lengths of requests, in the order of the file.
    under_way: VecDeque<(u32, usize)>,
    piece: Vec<u8>,
    read: usize,
    /// Where the piece after this one begins.
    at: u64,
}

impl Reader {
    /// Reads a file of `size` bytes from byte `from` on.
    pub(super) fn new(wire: Shared, handle: Vec<u8>, from: u64, size: u64) -> Self {
        Self { wire, handle, size, asked: from, under_way: VecDeque::new(), piece: Vec::new(), read: 0, at: from }
    }

    fn ask(&self, wire: &mut Wire<Ssh>, at: u64, len: usize) -> Result<u32> {
        let len = u32::try_from(len).expect("a piece is small");
        wire.send(kind::READ, &Out::default().bytes(&self.handle).u64(at).u32(len))
    }

    /// The next piece; an empty one at the end.
    fn next(&mut self) -> Result<Vec<u8>> {
        let shared = self.wire.clone();
        let mut wire = locked(&shared);
        while self.under_way.len() < UNDER_WAY && self.asked < self.size {
            let len = usize::try_from(self.size - self.asked).unwrap_or(PIECE).min(PIECE);
            let id = self.ask(&mut wire, self.asked, len)?;
            self.under_way.push_back((id, len));
            self.asked += len as u64;
        }
        let Some((id, len)) = self.under_way.pop_front() else { return Ok(Vec::new()) };
        let mut piece = data(&mut wire, id)?;
        // A server may give less than it was asked for, and not at the end alone.
        while piece.len() < len {
            let id = self.ask(&mut wire, self.at + piece.len() as u64, len - piece.len())?;
            piece.extend(data(&mut wire, id)?);
        }
        piece.truncate(len);
        self.at += len as u64;
        Ok(piece)
    }
}

fn data(wire: &mut Wire<Ssh>, id: u32) -> Result<Vec<u8>> {
    let answer = wire.wait(id)?;
    let data = if answer.is_end() { Vec::new() } else { answer.expect(kind::DATA)?.bytes()? };
    match data.is_empty() {
        true => Err(Error::new(Kind::Io, "the file on the server ends before its end")),
        false => Ok(data),
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            self.piece = self.next()?;
            self.read = 0;
        }
        let left = &self.piece[self.read..];
        let read = left.len().min(buffer.len());
        buffer[..read].copy_from_slice(&left[..read]);
        self.read += read;
        Ok(read)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut wire = locked(&self.wire);
        for (id, _) in self.under_way.drain(..) {
            wire.forget(id);
        }
        if let Ok(id) = wire.send(kind::CLOSE, &Out::default().bytes(&self.handle)) {
            wire.forget(id);
        }
    }
}
