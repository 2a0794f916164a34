//! From pg_dump's output to the text of an artifact: a function of the database alone.
//!
//! Rows stay in their COPY blocks, and a chunk may end after each of them. What goes is the pair of lines with a random word
//! that newer versions put around a dump: `tillstick load` puts one of its own there.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::Result;
use crate::model::{Run, Sink, TableRows};
use crate::source::server::written::{TABLE_CUT, Written};

const HEAD: &[u8] = b"\
-- tillstick: SQL dump of a PostgreSQL database. To load it into a new database:
--   createdb --template=template0 NEW && psql --no-psqlrc --single-transaction --set=ON_ERROR_STOP=1 NEW < dump.sql
";

/// Takes the program's lines and fills a sink.
pub(super) struct Text<'s> {
    sink: &'s mut dyn Sink,
    run: &'s Run<'s>,
    in_rows: bool,
    /// The random word, once it was seen.
    restricted: Option<Vec<u8>>,
    /// Something else than comments was written.
    begun: bool,
    completed: bool,
    tables: Vec<TableRows>,
    content: Xxh3,
}

impl<'s> Text<'s> {
    pub(super) fn begin(sink: &'s mut dyn Sink, run: &'s Run<'s>) -> Self {
        sink.text().extend_from_slice(HEAD);
        let (tables, content) = (Vec::new(), Xxh3::new());
        Self { sink, run, in_rows: false, restricted: None, begun: false, completed: false, tables, content }
    }

    /// Takes one line, its line feed included.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<()> {
        if self.in_rows {
            self.in_rows = line != b"\\.\n";
            if self.in_rows {
                self.content.update(line);
                if let Some(table) = self.tables.last_mut() {
                    table.rows += 1;
                }
            }
        } else if self.is_random(line) {
            return Ok(());
        } else if let Some(name) = copied(line) {
            if self.sink.text().len() >= TABLE_CUT {
                self.sink.cut()?;
            }
            self.in_rows = true;
            self.content.update(name.as_bytes());
            self.content.update(b"\n");
            self.tables.push(TableRows { name, rows: 0 });
        } else {
            self.completed |= line.starts_with(b"-- PostgreSQL database dump complete");
        }
        self.begun |= !line.starts_with(b"--") && line != b"\n";
        self.sink.text().extend_from_slice(line);
        if self.sink.boundary(xxh3_64(line)) { self.sink.cut() } else { self.run.check() }
    }

    /// Whether this is one of the two lines with a random word: the first one that is no comment, and its counterpart.
    fn is_random(&mut self, line: &[u8]) -> bool {
        match (&self.restricted, line.strip_prefix(b"\\restrict "), line.strip_prefix(b"\\unrestrict ")) {
            (None, Some(word), _) if !self.begun => {
                self.restricted = Some(word.to_vec());
                true
            }
            (Some(word), _, Some(same)) => word == same,
            _ => false,
        }
    }

    /// Ends the text; fails when the program did not say that it is complete.
    pub(super) fn finish(self) -> Result<Written> {
        Written::end(self.sink, self.completed && !self.in_rows, self.tables, &self.content)
    }
}

/// The table of `COPY public.t (a, b) FROM stdin;`.
pub(super) fn copied(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"COPY ")?.strip_suffix(b" FROM stdin;\n")?;
    let (mut end, mut quoted) = (0, false);
    while end < rest.len() && (quoted || !matches!(rest[end], b' ' | b'(')) {
        quoted ^= rest[end] == b'"';
        end += 1;
    }
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_the_dump_names_it() {
        assert_eq!(copied(b"COPY public.t (a, b) FROM stdin;\n").unwrap(), "public.t");
        assert_eq!(copied(b"COPY public.\"a (b\" (x) FROM stdin;\n").unwrap(), "public.\"a (b\"");
        assert_eq!(copied(b"COPY t FROM '/x';\n"), None);
    }
}
