//! Packs a source's text into one gzip member, and reads one back.
//!
//! ```text
//! text -> chunker (where to cut, by content) -> pool of workers (known chunk: copy, else deflate)
//!      -> packer (in order: header, chunks, final block, trailer) -> artifact + index of its chunks
//! artifact -> unpack -> text
//! ```
//!
//! Each chunk is deflated alone with the 8 KiB of text before it as preset dictionary and ends on a byte, so a chunk
//! whose text and dictionary did not change is the same bytes in every artifact and is copied from the previous one.
//! The bytes of an artifact depend on text, level and chunk size alone: never on threads or on what was reused.

mod chunker;
mod deflate;
mod index;
mod member;
mod packer;
mod pool;
mod previous;
mod rebuild;
mod unpack;

pub use index::{Index, index_path};
pub use packer::{Packed, Packer};
pub use previous::{Previous, pieces};
pub use unpack::{Unpacker, verify, verify_with};

use crate::error::{Error, Kind, Result};

/// The largest target size of a chunk, in bytes: a larger one would break the promise of little memory.
const CHUNK_MAX: usize = 1 << 20;

/// The smallest target size of a chunk, in bytes: below it the chunks' overhead exceeds their content.
const CHUNK_MIN: usize = 256;

/// How to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Deflate's level, 1 (fast) to 8 (small); 9 came out larger than 8.
    pub level: u8,
    /// How many threads deflate, beside the one that makes the text; 1 or more.
    pub threads: usize,
    /// The usual size of a chunk in bytes of text: 256 bytes to 1 MiB.
    pub chunk: usize,
}

impl Default for Options {
    fn default() -> Self {
        // More than four workers wait for the text: it is made by one thread.
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
        Self { level: 5, threads, chunk: 64 << 10 }
    }
}

impl Options {
    /// Fails with [`Kind::Config`] when a value is outside its range.
    fn check(&self) -> Result<()> {
        let problem = if !(1..=8).contains(&self.level) {
            format!("level {} is not one of 1 to 8", self.level)
        } else if self.threads == 0 {
            "at least one thread is needed".to_owned()
        } else if !(CHUNK_MIN..=CHUNK_MAX).contains(&self.chunk) {
            format!("a chunk size of {} bytes is not between {CHUNK_MIN} and {CHUNK_MAX}", self.chunk)
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Config, format!("cannot pack: {problem}")))
    }
}
