//! Sources: what is backed up, and the way back. A source makes text for a [`Sink`] from one consistent snapshot.

pub mod sqlite;

use std::io::Read;
use std::path::Path;

use crate::error::Result;
use crate::model::{Run, Sink, SourceFacts};

/// Something that can be dumped and loaded.
///
/// Contract: `dump` reads one consistent state while others keep writing, changes nothing of the source, gives the same
/// bytes for the same state, and holds no lock or snapshot after it returned. A failure leaves the source as it was.
pub trait Source: Send + Sync {
    /// About how many bytes of text a dump will give; for progress and for judging space.
    fn estimate(&self) -> Result<u64>;

    /// Writes the whole source to `sink` and says what was written.
    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts>;

    /// Makes a new database at `target`, which must not exist, from the text of a dump. On failure nothing is left there.
    fn load(&self, text: &mut (dyn Read + Send), target: &Path, run: &Run) -> Result<SourceFacts>;
}
