//! Sources: what is backed up. A source makes text for a [`Sink`] from one consistent snapshot; the way back, which
//! differs from engine to engine, is in the engine's own room.

pub mod files;
pub mod mariadb;
pub mod postgresql;
pub mod server;
pub mod sqlite;

mod accounts;
mod private;
mod served;

pub use accounts::Accounts;
pub use private::Private;
pub use served::{Served, content};

use crate::error::Result;
use crate::model::{Run, Sink, SourceFacts};

/// Something that can be dumped.
///
/// Contract: `dump` reads one consistent state while others keep writing, changes nothing of the source, gives the same
/// bytes for the same state whatever the sink does, reports its own stages, and holds no lock or snapshot after it
/// returned. A failure leaves the source as it was.
pub trait Source: Send + Sync {
    /// About how many bytes of text a dump will give; for progress and for judging space.
    fn estimate(&self) -> Result<u64>;

    /// Writes the whole source to `sink` and says what was written.
    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts>;
}
