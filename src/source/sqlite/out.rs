//! The dump's text on its way into a sink: statements, and the places where a chunk may end.

use xxhash_rust::xxh3::xxh3_64;

use super::raw;
use crate::error::Result;
use crate::model::{Run, Sink};

/// A chunk of at least so many bytes ends where a table begins, so that the growth of one table does not shift the
/// chunks of the next.
const TABLE_CUT: usize = 32 << 10;

/// A sink with the counting and asking that every statement needs.
pub(super) struct Out<'a> {
    pub(super) sink: &'a mut dyn Sink,
    pub(super) run: &'a Run<'a>,
}

impl<'a> Out<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, run: &'a Run<'a>) -> Self {
        Self { sink, run }
    }

    /// Appends `line` and a line feed, within the current chunk.
    pub(super) fn line(&mut self, line: &str) {
        let text = self.sink.text();
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }

    /// Appends a statement from the schema, verbatim, and ends it; the chunk may end after it.
    pub(super) fn statement(&mut self, sql: &str) -> Result<()> {
        self.line(&format!("{sql}{}", ending(sql)));
        self.boundary(xxh3_64(sql.as_bytes()))
    }

    /// Offers the end of a unit as the end of the chunk.
    pub(super) fn boundary(&mut self, key: u64) -> Result<()> {
        if self.sink.boundary(key) { self.cut() } else { self.run.check() }
    }

    /// Ends the chunk.
    pub(super) fn cut(&mut self) -> Result<()> {
        self.sink.cut()?;
        self.run.check()
    }

    /// Begins a part of the dump that should not move when an earlier part grows.
    pub(super) fn part(&mut self) -> Result<()> {
        if self.sink.text().len() >= TABLE_CUT { self.cut() } else { self.run.check() }
    }
}

/// What ends a statement of the schema, which may close with a comment: the first that SQLite takes for an end.
fn ending(sql: &str) -> &'static str {
    [";", "\n;", "*/;"].into_iter().find(|end| raw::is_complete(&format!("{sql}{end}"))).unwrap_or("\n;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_closes_with_a_comment_still_ends() {
        assert_eq!(ending("CREATE TABLE t(a)"), ";");
        assert_eq!(ending("CREATE TABLE t(a) -- note"), "\n;");
        assert_eq!(ending("CREATE TABLE t(a) -- note\n"), ";");
        assert_eq!(ending("CREATE TABLE t(a) /* note"), "*/;");
        assert_eq!(ending("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END -- it's"), "\n;");
    }
}
