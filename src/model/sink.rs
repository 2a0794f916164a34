//! The seam between a source, which makes text, and the packer, which makes a gzip member of it.

use crate::error::Result;

/// Takes a source's text. The source appends to [`text`](Sink::text) and calls [`boundary`](Sink::boundary) after each
/// row or statement; the sink cuts the text into chunks there, by the content of the keys alone, so that
/// unchanged rows fall into unchanged chunks whatever was inserted before them.
pub trait Sink {
    /// The text of the current chunk; append only.
    fn text(&mut self) -> &mut Vec<u8>;

    /// Tells that a unit ends here and asks whether the chunk should. `key` identifies the unit (a row's id) and
    /// must not depend on its neighbours. After `true`, finish the statement and call [`cut`](Sink::cut).
    fn boundary(&mut self, key: u64) -> bool;

    /// Ends the chunk here and reports the progress. May wait for a worker; fails when the artifact cannot be written or the run was cancelled.
    fn cut(&mut self) -> Result<()>;
}
