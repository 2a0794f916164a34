//! Loading SQL text: what the sqlite3 shell and our own dumper write comes back as it was, and what is incomplete does
//! not come back at all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;
use tillstick::error::{Error, Kind, Result};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::sqlite::{LoadOptions as Options, Loaded, load};

/// A folder, a name in it that is free, and what was loaded there.
struct Target {
    dir: TempDir,
    path: PathBuf,
}

impl Target {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.db");
        Self { dir, path }
    }

    fn load_with(&self, text: &[u8], options: &Options) -> Result<Loaded> {
        let (cancel, mut reader) = (Cancel::default(), text);
        load(&mut reader, &self.path, options, &Run { monitor: &Quiet, cancel: &cancel })
    }

    fn load(&self, text: &str) -> Result<Loaded> {
        self.load_with(text.as_bytes(), &Options::default())
    }

    fn open(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Loads a text that must fail; nothing may be left of it.
fn failure(text: &str) -> Error {
    let target = Target::new();
    let error = target.load(text).unwrap_err();
    assert_eq!(target.files(), [] as [&str; 0], "{}", error.report());
    error
}

fn shell(path: &Path, input: &str) -> String {
    let output = Command::new("sqlite3").arg(path).arg(input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every value of the query's rows, with its type, one row to a line.
fn rows(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let value = |column| match row.get_ref(column).unwrap() {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => format!("{value:?} {:x}", value.to_bits()),
            ValueRef::Text(value) => format!("'{}'", value.escape_ascii()),
            ValueRef::Blob(value) => format!("X'{}'", value.escape_ascii()),
        };
        lines.push((0..columns).map(value).collect::<Vec<_>>().join("|"));
    }
    lines
}

/// Everything of a database that counts: its schema, and the rows of every table with their rowids.
fn content(db: &Connection) -> Vec<String> {
    let mut all = rows(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2");
    let tables = "SELECT name, wr FROM pragma_table_list WHERE schema='main' AND type<>'view' AND name NOT LIKE \
                  'sqlite_schema' ORDER BY 1";
    let mut statement = db.prepare(tables).unwrap();
    let tables = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))).unwrap();
    for (name, without_rowid) in tables.map(|table| table.unwrap()) {
        let rowid = if without_rowid || name.starts_with("rt") { "" } else { "rowid, " };
        all.push(name.clone());
        all.extend(rows(db, &format!("SELECT {rowid}* FROM \"{}\"", name.replace('"', "\"\""))));
    }
    all
}

const SCHEMA: &str = "
    CREATE TABLE sale(id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, amount REAL, note, data BLOB);
    CREATE TABLE \"odd \"\" name;\"(\"a b\", [c;d], `e`, UNIQUE(\"a b\"));
    CREATE TABLE w(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
    CREATE TABLE s(i INT, t TEXT, r REAL, b BLOB, a ANY) STRICT;
    CREATE VIRTUAL TABLE ft USING fts5(title, body);
    CREATE VIRTUAL TABLE bare USING fts5(body, content='');
    CREATE VIRTUAL TABLE f4 USING fts4(q);
    CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1, y0, y1);
    CREATE INDEX sale_at ON sale(at, amount DESC) WHERE amount > 0;
    CREATE VIEW v AS SELECT id, amount FROM sale;
    CREATE TRIGGER tr AFTER INSERT ON sale BEGIN UPDATE sale SET note = 'seen; END' WHERE id = new.id; END;
    INSERT INTO sale(at, amount, note, data) VALUES('2026-01-01', 5.0, 'a', x'00ff'), (NULL, -1e300, 'b''c', x'');
    INSERT INTO sale VALUES(900, 'l' || char(10) || 'm' || char(13,10) || 'n', 1e999, 9223372036854775807, NULL);
    INSERT INTO \"odd \"\" name;\" VALUES('--', '/*', ';'), (0.1, 2.5e-308, -9223372036854775808);
    INSERT INTO w VALUES('B', 1), ('a', 2), ('ä', '€');
    INSERT INTO s VALUES(1, '1', 1.5, x'01', '007'), (2, '2', 2, x'', 7);
    INSERT INTO ft VALUES('till', 'the quick brown fox'), ('stick', 'jumps');
    INSERT INTO bare(rowid, body) VALUES(7, 'lazy dogs');
    INSERT INTO f4 VALUES('hello world');
    INSERT INTO rt VALUES(1, 1, 2, 3, 4), (2, -1, 5, -1, 5);
    DELETE FROM sale WHERE id = 2;
    ANALYZE;";

#[test]
fn what_the_sqlite3_shell_dumps_comes_back_as_it_was() {
    let target = Target::new();
    let original = target.dir.path().join("original.db");
    shell(&original, SCHEMA);
    let text = shell(&original, ".dump");
    let loaded = target.load(&text).unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(loaded.warnings, [] as [&str; 0]);
    let expected = [("sale", 2), ("odd \" name;", 2), ("w", 3), ("s", 2), ("ft", 2), ("bare", 1), ("f4", 1), ("rt", 2)];
    let counted: Vec<_> = loaded.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(counted, expected);
    let (old, new) = (Connection::open(&original).unwrap(), target.open());
    let (new_content, old_content) = (content(&new), content(&old));
    for (new_line, old_line) in new_content.iter().zip(&old_content) {
        assert_eq!(new_line, old_line);
    }
    assert_eq!(new_content.len(), old_content.len());
    for (table, word) in [("ft", "quick"), ("bare", "lazy"), ("f4", "world")] {
        let found = rows(&new, &format!("SELECT count(*) FROM {table} WHERE {table} MATCH '{word}'"));
        assert_eq!(found, ["1"], "{table}");
    }
    assert_eq!(rows(&new, "SELECT id FROM rt WHERE x0 >= 0"), ["1"]);
    assert_eq!(rows(&new, "PRAGMA integrity_check"), ["'ok'"]);
    assert_eq!(target.files(), ["new.db", "original.db"]);
}

#[test]
fn a_row_that_only_sqlite_can_read_comes_in_once_wherever_it_stands() {
    for unusual in 0..5 {
        let rows_text: Vec<_> = (0..5)
            .map(|row| if row == unusual { format!("(abs(-{row}),'x')") } else { format!("({row},'x')") })
            .collect();
        let target = Target::new();
        let text = format!("BEGIN;CREATE TABLE t(a,b);INSERT INTO t VALUES{};COMMIT;", rows_text.join(",\n"));
        target.load(&text).unwrap();
        let expected: Vec<_> = (0..5).map(|row| format!("{}|{row}|'x'", row + 1)).collect();
        assert_eq!(rows(&target.open(), "SELECT rowid, * FROM t"), expected, "{unusual}");
    }
    // With a clause behind the rows, the first ones would be taken without it.
    let text = |row: &str| {
        format!("BEGIN;CREATE TABLE t(a UNIQUE);INSERT INTO t VALUES(1),({row}) ON CONFLICT DO NOTHING;COMMIT;")
    };
    assert_eq!(failure(&text("1")).kind(), Kind::Refused);
    assert_eq!(failure(&text("abs(1)")).kind(), Kind::Refused);
}

#[test]
fn texts_and_blobs_of_many_pieces_come_back_whole() {
    let target = Target::new();
    let (long, hex) = ("ab''c\n;".repeat(700_000), "00FF7f".repeat(900_000));
    let text =
        format!("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES('{long}'),(X'{hex}'),(unistr('{long}')),('x');COMMIT;");
    let loaded = target.load(&text).unwrap();
    assert_eq!((loaded.bytes, loaded.tables[0].rows), (text.len() as u64, 4));
    let sizes = rows(&target.open(), "SELECT typeof(a), length(a), instr(a, 'b''c' || char(10)) FROM t");
    assert_eq!(sizes, ["'text'|4200000|2", "'blob'|2700000|0", "'text'|4200000|2", "'text'|1|0"]);
}

#[test]
fn contentless_indexes_come_back_from_their_shadow_rows() {
    let original = Connection::open_in_memory().unwrap();
    let create = "CREATE VIRTUAL TABLE ft USING fts5(a, content='')";
    original.execute_batch(&format!("{create}; INSERT INTO ft(rowid, a) VALUES(7, 'lazy dogs');")).unwrap();
    let mut text = format!("-- tillstick 0.1\nBEGIN;\n{create};\n");
    for table in ["ft_data", "ft_idx", "ft_docsize", "ft_config"] {
        text.push_str(&format!("DELETE FROM \"{table}\";\n"));
        let columns = rows(&original, &format!("SELECT group_concat(name) FROM pragma_table_info('{table}')"));
        let columns: Vec<_> = columns[0].trim_matches('\'').split(',').map(|name| format!("quote({name})")).collect();
        let sql = format!("SELECT '(' || concat_ws(',', {}) || ')' FROM {table}", columns.join(", "));
        let mut statement = original.prepare(&sql).unwrap();
        let values: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect();
        text.push_str(&format!("INSERT INTO \"{table}\" VALUES\n{};\n", values.join(",\n")));
    }
    text.push_str("COMMIT;\n-- tillstick: end of dump\n");
    let target = Target::new();
    let loaded = target.load(&text).unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(loaded.warnings, [] as [&str; 0]);
    assert_eq!(rows(&target.open(), "SELECT rowid FROM ft WHERE ft MATCH 'lazy'"), ["7"]);
    assert_eq!(rows(&target.open(), "SELECT rowid FROM ft WHERE ft MATCH 'crazy'"), [] as [&str; 0]);
    // Broken shadow rows break the index, not the tables: that is said.
    let broken = text.replacen("(10,X'", "(10,X'ff", 1);
    assert!(Target::new().load(&broken).unwrap().warnings[0].contains("a virtual table is not whole"));
    // A table that only has such a name is none.
    let text = "BEGIN;CREATE TABLE t(a);CREATE VIRTUAL TABLE ft USING fts5(a);DELETE FROM t;COMMIT;";
    assert_eq!(failure(text).kind(), Kind::Refused);
}

#[test]
fn a_shell_dump_that_ends_early_is_damaged_wherever_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original.db");
    shell(&original, SCHEMA);
    let text = shell(&original, ".dump");
    let complete = text.trim_end().len();
    for (end, _) in text.match_indices(";\n") {
        for end in [end, end + 1, end + 2].into_iter().filter(|end| *end < complete) {
            let error = failure(&text[..end]);
            assert_eq!(error.kind(), Kind::Damaged, "{end}: {}", error.report());
            assert!(error.report().contains("it is incomplete"), "{}", error.report());
        }
    }
}

#[test]
fn a_database_in_utf_16_keeps_the_order_of_its_indexes() {
    let text = "PRAGMA encoding='UTF-16le';BEGIN;CREATE TABLE t(n TEXT COLLATE NOCASE, r TEXT COLLATE RTRIM);
        INSERT INTO t VALUES('b','x  '),('A','x'),('a ','X'),('B','x ');
        CREATE INDEX n ON t(n);CREATE INDEX r ON t(r);COMMIT;";
    let target = Target::new();
    assert_eq!(target.load(text).unwrap().warnings, [] as [&str; 0]);
    let db = target.open();
    assert_eq!(rows(&db, "PRAGMA integrity_check"), ["'ok'"]);
    assert_eq!(rows(&db, "SELECT n FROM t INDEXED BY n WHERE n >= 'B'"), ["'b'", "'B'"]);
    assert_eq!(shell(&target.path, "PRAGMA integrity_check"), "ok\n");
}
