//! Takes a source's text, has its chunks packed by workers and writes them in order as one gzip member.
//!
//! Writing happens on the source's thread, inside `cut`: one thread fewer, and a full disk stops the source at once.

use std::io::Write;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::chunker::Chunker;
use super::deflate::{Chunk, DICTIONARY_MAX, Done, Worker, slide};
use super::index::{Index, KeyMaker};
use super::member::{FINAL_BLOCK, HEADER, TextSum};
use super::pool::Pool;
use super::{Options, Previous};
use crate::error::{Context, Error, Kind, Result};
use crate::host::entropy;
use crate::model::{Run, Sink, TextFacts};

/// What was written, and how much of it came from the previous artifact.
#[derive(Debug)]
pub struct Packed {
    /// The artifact's size in bytes.
    pub size: u64,
    /// The text inside.
    pub text: TextFacts,
    /// The artifact's chunks, to be kept at [`index_path`](super::index_path) for the next dump.
    pub index: Index,
    /// Bytes of chunks that were deflated.
    pub new_bytes: u64,
    /// Bytes of chunks that were copied from the previous artifact.
    pub reused_bytes: u64,
    /// How many chunks were deflated.
    pub new_chunks: u64,
    /// How many chunks were copied from the previous artifact.
    pub reused_chunks: u64,
}

/// Writes text as one gzip member; see [`Sink`] for how text comes in. Dropping it leaves an incomplete artifact.
///
/// Memory is bounded by the options (about `2 * threads + 3` chunks) and 76 bytes per chunk for the indexes.
pub struct Packer<'r, W: Write> {
    out: W,
    run: Run<'r>,
    chunker: Chunker,
    text: Vec<u8>,
    /// The end of the text before `text`.
    dictionary: Vec<u8>,
    pool: Pool<Chunk, Done>,
    /// Chunks whose buffers are free.
    spare: Vec<Chunk>,
    /// Of the text that was taken, in order.
    hash: Box<Xxh3>,
    /// Of the text that was written.
    sum: TextSum,
    packed: Packed,
    failed: bool,
}

impl<'r, W: Write> Packer<'r, W> {
    /// Writes the header to `out` and starts the workers. Chunks known to `previous` are copied from it.
    pub fn new(mut out: W, previous: Option<Previous>, options: Options, run: Run<'r>) -> Result<Self> {
        options.check()?;
        let (seed, expected) = match &previous {
            Some(previous) => (previous.seed(), previous.count()),
            None => (u64::from_le_bytes(entropy::bytes()?), 0),
        };
        let keys = KeyMaker { seed, level: options.level };
        let previous = previous.map(Arc::new);
        let worker = || {
            let mut worker = Worker::new(keys, previous.clone());
            move |chunk| worker.pack(chunk)
        };
        // One chunk in work and one waiting for each worker, and one that waits for its turn to be written.
        let pool = Pool::start((0..options.threads).map(|_| worker()).collect(), 2 * options.threads + 1)?;
        out.write_all(&HEADER).context(|| "cannot write the artifact".into())?;
        let chunker = Chunker::new(options.chunk);
        Ok(Self {
            text: Vec::with_capacity(chunker.max()),
            out,
            run,
            chunker,
            dictionary: Vec::with_capacity(DICTIONARY_MAX),
            pool,
            spare: Vec::new(),
            hash: Box::new(Xxh3::new()),
            sum: TextSum::default(),
            packed: Packed {
                size: HEADER.len() as u64,
                text: TextFacts { size: 0, crc32: 0, xxh3: String::new() },
                index: Index {
                    level: options.level,
                    seed,
                    size: 0,
                    crc: 0,
                    chunks: Vec::with_capacity(expected + expected / 8),
                },
                new_bytes: 0,
                reused_bytes: 0,
                new_chunks: 0,
                reused_chunks: 0,
            },
            failed: false,
        })
    }

    /// Packs what is left, ends the member and flushes `out`, which is handed back unsynced.
    pub fn finish(mut self) -> Result<(W, Packed)> {
        self.cut()?;
        while let Some(done) = self.pool.wait()? {
            self.write(done)?;
            self.run.progress(self.sum.length())?;
        }
        let trailer = self.sum.trailer();
        self.put(&FINAL_BLOCK)?;
        self.put(&trailer)?;
        self.out.flush().context(|| "cannot write the artifact".into())?;
        let Self { out, sum, hash, mut packed, .. } = self;
        packed.text = TextFacts { size: sum.length(), crc32: sum.crc(), xxh3: format!("{:032x}", hash.digest128()) };
        packed.index.size = packed.size;
        packed.index.crc = sum.crc();
        Ok((out, packed))
    }

    fn cut_text(&mut self) -> Result<()> {
        self.run.progress(self.sum.length())?;
        if self.text.is_empty() {
            return Ok(());
        }
        self.chunker.restart();
        self.hash.update(&self.text);
        let max = self.chunker.max();
        if self.text.len() <= max {
            let mut chunk = self.chunk()?;
            std::mem::swap(&mut self.text, &mut chunk.text);
            return self.submit(chunk);
        }
        let long = std::mem::take(&mut self.text);
        for piece in long.chunks(max) {
            let mut chunk = self.chunk()?;
            chunk.text.extend_from_slice(piece);
            self.submit(chunk)?;
        }
        self.text.reserve(max);
        Ok(())
    }

    /// A chunk with empty text for the pool, which then has room for it.
    fn chunk(&mut self) -> Result<Chunk> {
        while self.pool.is_full() {
            if let Some(done) = self.pool.wait()? {
                self.write(done)?;
            }
        }
        let max = self.chunker.max();
        let mut chunk = self.spare.pop().unwrap_or_else(|| Chunk::with_room(max));
        chunk.text.clear();
        Ok(chunk)
    }

    fn submit(&mut self, mut chunk: Chunk) -> Result<()> {
        chunk.dictionary.clone_from(&self.dictionary);
        slide(&mut self.dictionary, &chunk.text);
        self.pool.submit(chunk)?;
        while let Some(done) = self.pool.poll()? {
            self.write(done)?;
        }
        Ok(())
    }

    fn write(&mut self, done: Done) -> Result<()> {
        let Done { chunk, entry, reused } = done;
        self.put(&chunk.packed)?;
        self.sum.append(entry.text_crc, entry.text_len);
        let (bytes, chunks) = match reused {
            true => (&mut self.packed.reused_bytes, &mut self.packed.reused_chunks),
            false => (&mut self.packed.new_bytes, &mut self.packed.new_chunks),
        };
        *bytes += u64::from(entry.packed_len);
        *chunks += 1;
        self.packed.index.chunks.push(entry);
        self.spare.push(chunk);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).context(|| "cannot write the artifact".into())?;
        self.packed.size += bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write> Sink for Packer<'_, W> {
    fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    fn boundary(&mut self, key: u64) -> bool {
        self.chunker.boundary(key, self.text.len())
    }

    fn cut(&mut self) -> Result<()> {
        // A source that goes on after a failure must not end with a whole-looking artifact.
        if self.failed {
            return Err(Error::new(Kind::Io, "cannot go on with an artifact after a failure"));
        }
        let result = self.cut_text();
        self.failed = result.is_err();
        result
    }
}
