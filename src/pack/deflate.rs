//! One chunk: copied from the previous artifact when it is known there, else deflated. Runs on the pool's threads.

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};

use super::index::{Entry, KeyMaker, packed_hash};
use super::previous::Previous;
use crate::error::{Error, Kind, Result};

/// How far back deflate can refer, in bytes: more text before a chunk would be of no use to it.
pub(super) const DICTIONARY_MAX: usize = 32 << 10;

/// Makes `dictionary` the end of what it was and `text` after it.
pub(super) fn slide(dictionary: &mut Vec<u8>, text: &[u8]) {
    let text = &text[text.len().saturating_sub(DICTIONARY_MAX)..];
    let surplus = (dictionary.len() + text.len()).saturating_sub(DICTIONARY_MAX);
    dictionary.drain(..surplus);
    dictionary.extend_from_slice(text);
}

/// The most bytes that a text of `length` bytes can become: fixed codes take up to 9 bits for a byte.
pub(super) fn packed_max(length: usize) -> usize {
    length + length / 8 + 1024
}

/// A chunk and its buffers, which go round between the packer and its workers.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The chunk's text.
    pub(super) text: Vec<u8>,
    /// The text before it, up to [`DICTIONARY_MAX`] bytes.
    pub(super) dictionary: Vec<u8>,
    /// Its bytes in the artifact, once a worker has made them.
    pub(super) packed: Vec<u8>,
}

/// A chunk that is ready to be written.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) chunk: Chunk,
    pub(super) entry: Entry,
    /// Whether it was copied from the previous artifact.
    pub(super) reused: bool,
}

/// Deflates chunks, each by itself.
#[derive(Debug)]
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new(level: u8) -> Self {
        Self(Compress::new(Compression::new(u32::from(level)), false))
    }

    /// Replaces `packed` by the deflated `text`, ended on a byte.
    pub(super) fn deflate(&mut self, dictionary: &[u8], text: &[u8], packed: &mut Vec<u8>) -> Result<()> {
        let failed = |why: &str| Error::new(Kind::Io, format!("cannot deflate a chunk: {why}"));
        self.0.reset();
        if !dictionary.is_empty() {
            self.0.set_dictionary(dictionary).map_err(|cause| failed("dictionary refused").because(cause))?;
        }
        packed.clear();
        packed.reserve(packed_max(text.len()));
        // A sync flush aligns to a byte. A full flush would forget the text as well, which the reset does anyway.
        self.0.compress_vec(text, packed, FlushCompress::Sync).map_err(|cause| failed("library").because(cause))?;
        if self.0.total_in() != text.len() as u64 || packed.len() == packed.capacity() {
            return Err(failed("it grew beyond every bound"));
        }
        Ok(())
    }
}

/// Makes chunks of text into chunks of an artifact.
#[derive(Debug)]
pub(super) struct Worker {
    deflater: Deflater,
    keys: KeyMaker,
    previous: Option<Arc<Previous>>,
}

impl Worker {
    pub(super) fn new(keys: KeyMaker, previous: Option<Arc<Previous>>) -> Self {
        Self { deflater: Deflater::new(keys.level), keys, previous }
    }

    /// Fills in the chunk's bytes and says what they are.
    pub(super) fn pack(&mut self, mut chunk: Chunk) -> Result<Done> {
        let key = self.keys.key(&chunk.dictionary, &chunk.text);
        let text_crc = crc32fast::hash(&chunk.text);
        let text_len = chunk.text.len() as u32;
        let known = self.previous.as_ref().and_then(|previous| {
            let (offset, entry) = previous.find(key)?;
            // The key alone would do; these two come for nothing and make even a prepared collision fail.
            let same = entry.text_len == text_len && entry.text_crc == text_crc;
            let sane = entry.packed_len as usize <= packed_max(chunk.text.len());
            (same && sane && previous.copy(offset, &entry, &mut chunk.packed)).then_some(entry)
        });
        if let Some(entry) = known {
            return Ok(Done { chunk, entry, reused: true });
        }
        self.deflater.deflate(&chunk.dictionary, &chunk.text, &mut chunk.packed)?;
        let packed_len = chunk.packed.len() as u32;
        let entry = Entry { key, packed_len, text_len, text_crc, packed_hash: packed_hash(&chunk.packed) };
        Ok(Done { chunk, entry, reused: false })
    }
}
