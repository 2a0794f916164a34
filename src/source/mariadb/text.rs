//! From mariadb-dump's output to the text of an artifact: a function of the database alone.
//!
//! The program writes one row to an INSERT; here rows are joined to statements that end where a row says so (one in
//! [`ROWS_PER_STATEMENT`]), so that a row that comes or goes changes its own statement and no other. What tells of the
//! run and not of the database goes: comments (the time, the host, the database's name) and the line that only some clients know.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::Result;
use crate::model::{Run, Sink, TableRows};
use crate::source::server::written::{TABLE_CUT, Written};

/// One row in so many ends its INSERT.
const ROWS_PER_STATEMENT: u64 = 64;

/// An INSERT that has grown to this many bytes ends with the next row: a server takes 16 MB at most, unless told.
const STATEMENT_MAX: usize = 256 << 10;

const HEAD: &[u8] = b"\
-- tillstick: SQL dump of a MariaDB or MySQL database. To load it into a new, empty database:
--   mariadb --binary-mode NEW < dump.sql
";

/// Takes the program's lines and fills a sink.
pub(super) struct Text<'s> {
    sink: &'s mut dyn Sink,
    run: &'s Run<'s>,
    /// The beginning of the INSERT that is open or was the last, up to its first row.
    head: Vec<u8>,
    /// How many bytes the open INSERT has; 0 when none is open.
    open: usize,
    /// Between the two lines that enclose a table's rows.
    in_rows: bool,
    /// Within `DELIMITER ;;`, where everything is somebody's program.
    in_program: bool,
    /// In the middle of a statement of several lines.
    in_statement: bool,
    completed: bool,
    tables: Vec<TableRows>,
    content: Xxh3,
}

impl<'s> Text<'s> {
    pub(super) fn begin(sink: &'s mut dyn Sink, run: &'s Run<'s>) -> Self {
        sink.text().extend_from_slice(HEAD);
        Self {
            sink,
            run,
            head: Vec::new(),
            open: 0,
            in_rows: false,
            in_program: false,
            in_statement: false,
            completed: false,
            tables: Vec::new(),
            content: Xxh3::new(),
        }
    }

    /// Gives the new database the character set of the old one. The statement names none: it is about the one in use.
    pub(super) fn database(&mut self, character_set: &str, collation: &str) {
        let line = format!("ALTER DATABASE CHARACTER SET {character_set} COLLATE {collation};\n");
        self.sink.text().extend_from_slice(line.as_bytes());
    }

    /// Takes one line, its line feed included.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<()> {
        if self.in_rows
            && let Some((head, row)) = row_of(line)
        {
            return self.row(head, row);
        }
        self.close();
        self.completed = false;
        let trimmed = line.trim_ascii();
        if self.in_program {
            self.in_program = trimmed != b"DELIMITER ;";
        } else if !self.in_statement {
            if trimmed == b"DELIMITER ;;" {
                self.in_program = true;
            } else if trimmed.starts_with(b"-- ") || trimmed == b"--" {
                self.completed = trimmed.starts_with(b"-- Dump completed");
                return Ok(());
            } else if is_sandbox(trimmed) || trimmed.is_empty() {
                return Ok(());
            } else if let Some(name) = table_of(trimmed, b"DISABLE KEYS */;") {
                self.in_rows = true;
                self.content.update(name.as_bytes());
                self.content.update(b"\n");
                self.tables.push(TableRows { name, rows: 0 });
            } else if table_of(trimmed, b"ENABLE KEYS */;").is_some() {
                self.in_rows = false;
            } else if trimmed.starts_with(b"DROP TABLE IF EXISTS ") && self.sink.text().len() >= TABLE_CUT {
                self.sink.cut()?;
            }
        }
        self.sink.text().extend_from_slice(line);
        if !self.in_program {
            self.in_statement = !trimmed.ends_with(b";");
        }
        self.boundary(xxh3_64(line))
    }

    fn row(&mut self, head: &[u8], row: &[u8]) -> Result<()> {
        if self.open > 0 && self.head == head {
            self.sink.text().extend_from_slice(b",\n");
        } else {
            self.close();
            self.head.clear();
            self.head.extend_from_slice(head);
            self.sink.text().extend_from_slice(head.trim_ascii_end());
            self.sink.text().push(b'\n');
        }
        self.sink.text().extend_from_slice(row);
        self.open += row.len();
        self.content.update(row);
        self.content.update(b"\n");
        if let Some(table) = self.tables.last_mut() {
            table.rows += 1;
        }
        let key = xxh3_64(row);
        // The highest bits: the chunker looks at a mix of all.
        if (key >> 32).is_multiple_of(ROWS_PER_STATEMENT) || self.open >= STATEMENT_MAX {
            self.close();
            return self.boundary(key);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.open > 0 {
            self.sink.text().extend_from_slice(b";\n");
            self.open = 0;
        }
    }

    fn boundary(&mut self, key: u64) -> Result<()> {
        if self.sink.boundary(key) { self.sink.cut() } else { self.run.check() }
    }

    /// Ends the text; fails when the program's last line was not the one that says that it is complete.
    pub(super) fn finish(mut self) -> Result<Written> {
        self.close();
        Written::end(self.sink, self.completed, self.tables, &self.content)
    }
}

/// Whether this is the line by which new clients forbid themselves what a hostile dump may try. Older ones, and MySQL's,
/// stop at it.
pub(super) fn is_sandbox(line: &[u8]) -> bool {
    (line.starts_with(b"/*M!999999\\-") || line.starts_with(b"/*!999999\\-")) && line.trim_ascii_end().ends_with(b"*/")
}

/// The two parts of ``INSERT INTO `t` VALUES (...);``: up to the row, and the row in its parentheses.
fn row_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"INSERT INTO ")?;
    let mut at = after_name(rest)?;
    if rest[at..].starts_with(b" (`") {
        at += 2;
        loop {
            at += after_name(&rest[at..])?;
            match rest[at..].first()? {
                b',' => at += 1 + usize::from(rest[at..].starts_with(b", ")),
                b')' => break,
                _ => return None,
            }
        }
        at += 1;
    }
    let row = rest[at..].strip_prefix(b" VALUES ")?;
    let head = &line[..line.len() - row.len()];
    let row = row.trim_ascii_end().strip_suffix(b";")?;
    (row.starts_with(b"(") && row.ends_with(b")")).then_some((head, row))
}

/// Where a name in backticks ends.
fn after_name(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    if text.first() != Some(&b'`') {
        return None;
    }
    loop {
        at += memchr::memchr(b'`', &text[at..])? + 1;
        if text.get(at) != Some(&b'`') {
            return Some(at);
        }
        at += 1;
    }
}

/// The table of ``/*!40000 ALTER TABLE `t` DISABLE KEYS */;``.
fn table_of(line: &[u8], ending: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"/*!40000 ALTER TABLE ")?;
    let end = after_name(rest)?;
    if rest[end..].strip_prefix(b" ")? != ending {
        return None;
    }
    Some(String::from_utf8_lossy(&rest[1..end - 1]).replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cancel, Quiet};
    use crate::source::sqlite::END_MARK;

    /// A sink that ends no chunk.
    #[derive(Default)]
    struct Whole(Vec<u8>);

    impl Sink for Whole {
        fn text(&mut self) -> &mut Vec<u8> {
            &mut self.0
        }

        fn boundary(&mut self, _: u64) -> bool {
            false
        }

        fn cut(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn through(dump: &str) -> Result<(String, Written)> {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let mut sink = Whole::default();
        let mut text = Text::begin(&mut sink, &run);
        for line in dump.split_inclusive('\n') {
            text.line(line.as_bytes())?;
        }
        let written = text.finish()?;
        Ok((String::from_utf8(sink.0).unwrap(), written))
    }

    const ROWS: &str = "/*!40000 ALTER TABLE `a``b` DISABLE KEYS */;\n\
        INSERT INTO `a``b` VALUES (1,') VALUES (2);');\n\
        INSERT INTO `a``b` VALUES (2,'x');\n\
        /*!40000 ALTER TABLE `a``b` ENABLE KEYS */;\n";

    #[test]
    fn rows_are_joined_and_what_tells_of_the_run_goes() {
        let dump = format!(
            "/*M!999999\\- enable the sandbox mode */ \n-- Host: here    Database: shop\n\n{ROWS}-- Dump completed on x\n"
        );
        let (text, written) = through(&dump).unwrap();
        assert!(text.contains("INSERT INTO `a``b` VALUES\n(1,') VALUES (2);'),\n(2,'x');\n"), "{text}");
        assert!(!text.contains("sandbox") && !text.contains("Host") && text.ends_with(&format!("{END_MARK}\n")));
        assert_eq!(written.tables, [TableRows { name: "a`b".into(), rows: 2 }]);
    }

    #[test]
    fn what_stands_in_a_program_is_left_as_it_is() {
        let program =
            "DELIMITER ;;\nCREATE PROCEDURE p() begin\n-- a note\nINSERT INTO `x` VALUES (1);\n\nend ;;\nDELIMITER ;\n";
        let (text, written) = through(&format!("{program}-- Dump completed\n")).unwrap();
        assert!(text.contains(program), "{text}");
        assert!(written.tables.is_empty());
    }

    #[test]
    fn a_dump_that_does_not_say_that_it_is_complete_is_none() {
        assert!(through(ROWS).is_err());
        assert!(through(&format!("-- Dump completed\n{ROWS}")).is_err());
    }

    #[test]
    fn a_row_is_told_from_what_looks_like_one() {
        let parts = |line: &str| row_of(line.as_bytes()).map(|(head, row)| (head.len(), row.len()));
        assert_eq!(parts("INSERT INTO `t` VALUES (1);\n"), Some((23, 3)));
        assert_eq!(parts("INSERT INTO `t` (`a`, `b``)`) VALUES (1,2);\n"), Some((37, 5)));
        for none in
            ["INSERT INTO t VALUES (1);", "INSERT INTO `t` VALUES (1)", "INSERT INTO `t` SELECT 1;", "INSERT INTO `t"]
        {
            assert_eq!(parts(none), None, "{none}");
        }
    }
}
