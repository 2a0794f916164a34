//! The end of a dump's text, and what was written.

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Kind, Result};
use crate::model::{Sink, TableRows};
use crate::source::sqlite::END_MARK;

/// A chunk of at least so many bytes ends where a table begins.
pub(in crate::source) const TABLE_CUT: usize = 32 << 10;

/// What was written.
pub(in crate::source) struct Written {
    pub(in crate::source) tables: Vec<TableRows>,
    /// A hash of all rows, whatever the tables look like.
    pub(in crate::source) content: String,
}

impl Written {
    /// Ends the text; fails when the dump program did not say that it is `complete`.
    pub(in crate::source) fn end(
        sink: &mut dyn Sink,
        complete: bool,
        tables: Vec<TableRows>,
        content: &Xxh3,
    ) -> Result<Self> {
        if !complete {
            return Err(Error::new(Kind::Io, "the dump ends early: it does not say that it is complete"));
        }
        Self::close(sink)?;
        Ok(Self { tables, content: format!("{:032x}", content.digest128()) })
    }

    /// Puts the line at its end by which a whole text is known.
    pub(in crate::source) fn close(sink: &mut dyn Sink) -> Result<()> {
        let text = sink.text();
        text.extend_from_slice(END_MARK.as_bytes());
        text.push(b'\n');
        sink.cut()
    }
}
