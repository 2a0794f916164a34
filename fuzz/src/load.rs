//! Loading a text: a database or an error, within its limits, and nothing else on the disk. What was loaded can be
//! dumped, and that dump gives the same database and the same text again.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Dice, mutate, quiet, scratch, split};
use tillstick::error::Result;
use tillstick::model::Sink;
use tillstick::source::Source;
use tillstick::source::sqlite::{LoadOptions, Loaded, Sqlite, load};

const DATABASE_MAX: u64 = 4 << 20;

pub(super) fn run(data: &[u8]) {
    let dir = scratch();
    let first = dir.path().join("first.db");
    let result = load_into(data, &first);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let expected: Vec<std::ffi::OsString> = if result.is_ok() { vec!["first.db".into()] } else { Vec::new() };
    assert_eq!(left, expected, "{result:?}");
    match result {
        Err(error) => assert!(!error.report().is_empty()),
        Ok(loaded) => {
            assert!(std::fs::metadata(&first).unwrap().len() <= DATABASE_MAX, "it is larger than it may be");
            comes_back(&loaded, dir.path());
        }
    }
}

fn comes_back(loaded: &Loaded, dir: &Path) {
    let Ok(text) = dump(&dir.join("first.db")) else { return };
    let second = dir.join("second.db");
    let again = load_into(&text, &second);
    let again = again.unwrap_or_else(|error| panic!("our own dump is refused: {}\n{}", error.report(), shown(&text)));
    // In the order of their making, which a dump changes: virtual tables come last.
    let rows = |loaded: &Loaded| loaded.tables.iter().map(|table| (table.name.clone(), table.rows)).collect();
    let (first_rows, second_rows): (BTreeMap<_, _>, BTreeMap<_, _>) = (rows(loaded), rows(&again));
    assert_eq!(first_rows, second_rows, "{}", shown(&text));
    let once_more = dump(&second).unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(text == once_more, "the text changed\n--- first:\n{}\n--- second:\n{}", shown(&text), shown(&once_more));
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn load_into(text: &[u8], path: &Path) -> Result<Loaded> {
    let options = LoadOptions { statement_max: 1 << 20, database_max: Some(DATABASE_MAX), ..LoadOptions::default() };
    load(&mut &text[..], path, &options, &quiet())
}

fn dump(path: &Path) -> Result<Vec<u8>> {
    let wait = std::time::Duration::from_secs(5);
    let spool = path.parent().unwrap().to_owned();
    let source = Sqlite { path: path.to_owned(), spool, lock_wait: wait, locked_pass: wait };
    let mut text = Text(Vec::new());
    source.dump(&mut text, &quiet())?;
    Ok(text.0)
}

/// All of the text in one.
struct Text(Vec<u8>);

impl Sink for Text {
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

const WORDS: &[&str] = &[
    "-- tillstick dump\n",
    "-- tillstick: end of dump\n",
    "PRAGMA ",
    "foreign_keys=OFF;",
    "writable_schema=ON;",
    "user_version=7;",
    "encoding='UTF-16le';",
    "page_size=512;",
    "auto_vacuum=1;",
    "BEGIN TRANSACTION;\n",
    "COMMIT;\n",
    "ROLLBACK;\n",
    "SAVEPOINT a;",
    "RELEASE a;",
    "CREATE TABLE ",
    "CREATE VIEW v AS SELECT ",
    "CREATE INDEX ",
    "UNIQUE ",
    "CREATE VIRTUAL TABLE ft USING fts5(a);\n",
    "USING rtree(",
    "WITHOUT ROWID",
    "STRICT",
    "PRIMARY KEY",
    "AUTOINCREMENT",
    "INTEGER",
    "TEXT",
    "REAL",
    "BLOB",
    "ANY",
    "COLLATE NOCASE",
    "COLLATE odd",
    "DEFAULT(1)",
    "CHECK(",
    "REFERENCES t(i)",
    "GENERATED ALWAYS AS (1) STORED",
    "AS (i) VIRTUAL",
    "ON CONFLICT REPLACE",
    "INSERT INTO \"t\" VALUES",
    "OR IGNORE ",
    "INSERT INTO sqlite_sequence VALUES('t',9);\n",
    "sqlite_schema",
    "sqlite_master",
    "sqlite_stat1",
    "ANALYZE;",
    "X'00ff'",
    "CAST(X'6100' AS TEXT)",
    "NULL",
    "-9223372036854775808",
    "9.0e+999",
    "-0.0",
    "1e-400",
    "unistr('\\u0000')",
    "replace('a',char(10),char(13))",
    "zeroblob(9)",
    "randomblob(9)",
    "abs(-3)",
    "ATTACH 'x' AS y;",
    ".shell ls\n",
    ".open x\n",
    "load_extension('x')",
    "SELECT ",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) ",
    "CREATE TRIGGER ",
    "AFTER INSERT ON t BEGIN ",
    "DELETE FROM t;",
    "UPDATE t SET i=1;",
    "DROP TABLE t;",
    "VACUUM;",
    "main.",
    "temp.",
    "rowid",
    "\"\"",
    "(1,2)",
];

pub(super) fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    let words = if dice.below(3) == 0 { split::WORDS } else { WORDS };
    mutate::text(data, words, dice);
}
