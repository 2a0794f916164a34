//! Loading what somebody made to do harm, and what cannot be loaded: it is refused by name and place, and the box is as
//! it was before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use tillstick::error::{Error, Kind, Result};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::sqlite::{LoadOptions as Options, Loaded, load};

struct Target {
    dir: TempDir,
    path: PathBuf,
    cancel: Cancel,
}

impl Target {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.db");
        Self { dir, path, cancel: Cancel::default() }
    }

    fn load_from(&self, text: &mut (dyn Read + Send), options: &Options) -> Result<Loaded> {
        load(text, &self.path, options, &Run { monitor: &Quiet, cancel: &self.cancel })
    }

    fn load(&self, text: &str) -> Result<Loaded> {
        self.load_from(&mut text.as_bytes(), &Options::default())
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.dir.path()).unwrap().count() == 0
    }
}

fn failure_with(text: &str, options: &Options) -> Error {
    let target = Target::new();
    let error = target.load_from(&mut text.as_bytes(), options).unwrap_err();
    assert!(target.is_empty(), "{}", error.report());
    error
}

/// Loads a text that must fail, with this kind and these words in its report; nothing is left of it.
fn fails(text: &str, kind: Kind, words: &[&str]) {
    let error = failure_with(text, &Options::default());
    assert_eq!(error.kind(), kind, "{text}: {}", error.report());
    for word in words {
        assert!(error.report().contains(word), "{text}: {word} is missing in {}", error.report());
    }
}

/// A complete dump with `statement` in it; loading it must be refused with these words and the statement's place.
fn refused(statement: &str, words: &str) {
    let before = "BEGIN;\nCREATE TABLE t(a);\nINSERT INTO t VALUES(1);\n";
    let text = format!("{before}{statement}\nCOMMIT;\n");
    let place = format!("statement 4 at byte {}, ", before.len());
    let begin = statement.chars().take(20).collect::<String>();
    fails(&text, Kind::Refused, &[words, &place, format!("{begin:?}").trim_matches('"')]);
}

#[test]
fn shell_commands_are_refused_and_not_run() {
    let witness = tempfile::tempdir().unwrap();
    let witness = witness.path().join("was-run");
    for command in [".shell touch", ".system touch", ".read", ".output", ".open", ".load", ".once |touch"] {
        refused(&format!("{command} {}", witness.display()), "it is a command to the sqlite3 shell");
    }
    fails(".quit", Kind::Refused, &["statement 1 at byte 0, \".quit\""]);
    assert!(!witness.exists());
}

#[test]
fn other_files_cannot_be_reached() {
    refused("ATTACH DATABASE '/tmp/x.db' AS x;", "no reason for \"ATTACH\"");
    refused("DETACH x;", "no reason for \"DETACH\"");
    refused("VACUUM INTO '/tmp/x.db';", "no reason for \"VACUUM\"");
    refused("INSERT INTO t VALUES(load_extension('/tmp/x.so'));", "\"load_extension\" reaches outside");
    refused("INSERT INTO t VALUES(1),(fts3_tokenizer('x',x'00'));", "\"fts3_tokenizer\" reaches outside");
    refused("CREATE VIRTUAL TABLE c USING csv(filename='/etc/passwd');", "the module \"csv\" may reach outside");
    refused("CREATE VIRTUAL TABLE c USING dbstat;", "the module \"dbstat\" may reach outside");
    refused("PRAGMA temp_store_directory='/tmp';", "no reason for PRAGMA \"temp_store_directory\"");
    refused("PRAGMA data_store_directory='/tmp';", "no reason for PRAGMA");
    for function in ["readfile('/etc/passwd')", "writefile('/tmp/x','y')", "edit('x')"] {
        // The sqlite3 shell has them, this program does not.
        let text = format!("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES({function});COMMIT;");
        fails(&text, Kind::Damaged, &["no such function", "the application that made the database"]);
    }
}

#[test]
fn the_schema_cannot_be_written() {
    let schema = "a dump may not write the schema directly";
    refused("INSERT INTO sqlite_master VALUES('table','x','x',2,'CREATE TABLE x(a)');", schema);
    refused("INSERT INTO main.\"SQLITE_SCHEMA\"(type) VALUES('table');", schema);
    refused("DELETE FROM sqlite_master;", "no reason for it");
    refused("UPDATE sqlite_schema SET sql='';", "no reason for \"UPDATE\"");
    let text = "PRAGMA writable_schema=ON;INSERT INTO t VALUES(2);";
    fails(text, Kind::Refused, &["statement 2 at byte 26", "the statement before it makes the schema writable"]);
    refused("PRAGMA schema_version=3;", "no reason for PRAGMA \"schema_version\"");
    refused("DROP VIEW v;", "no reason for \"DROP\"");
    refused("ALTER TABLE t RENAME TO u;", "no reason for \"ALTER\"");
    refused("DELETE FROM t;", "no reason for it");
    let row = |sql: &str| {
        format!("INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','c','c',0,'{sql}');")
    };
    refused(&row("CREATE TABLE c(a)"), schema);
    refused(&row("CREATE VIRTUAL TABLE c USING csv(x)"), "the module \"csv\" may reach outside");
    fails("PRAGMA writable_schema=ON;", Kind::Damaged, &["ends before its first table"]);
}

#[test]
fn a_trigger_in_the_dump_is_under_guard_as_well() {
    let with = |body: &str| {
        format!(
            "BEGIN;CREATE TABLE t(a);CREATE TRIGGER r AFTER INSERT ON t BEGIN {body}; END;INSERT INTO t VALUES(1);COMMIT;"
        )
    };
    fails(&with("SELECT load_extension('x')"), Kind::Refused, &["\"load_extension\" reaches outside", "statement 4"]);
    fails(&with("DELETE FROM sqlite_master"), Kind::Refused, &["sqlite_master may not be modified", "row 1"]);
    let loaded = Target::new().load(&with("UPDATE t SET a = 2")).unwrap();
    assert_eq!(loaded.tables[0].rows, 1);
    refused("CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;", "no reason for temporary");
    refused("CREATE TRIGGER temp.r AFTER INSERT ON main.t BEGIN SELECT 1; END;", "no reason for temporary");
    refused("CREATE TEMPORARY TABLE x(a);", "no reason for temporary");
    refused("CREATE TABLE temp.x(a);", "no reason for");
    refused("CREATE VIEW temp.x AS SELECT 1;", "no reason for");
}

#[test]
fn endless_statements_are_refused() {
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";
    refused(&format!("CREATE TABLE u AS {endless};"), "no reason for CREATE TABLE ... AS");
    refused(&format!("INSERT INTO t {endless};"), "no reason for queries");
    refused(&format!("INSERT INTO t VALUES(2),(({endless}));"), "no reason for queries");
    refused(&format!("{endless};"), "no reason for \"WITH\"");
    refused("SELECT 1;", "no reason for \"SELECT\"");
    let text = format!(
        "BEGIN;CREATE TABLE t(a);CREATE VIEW v AS {endless};CREATE TRIGGER r AFTER INSERT ON t BEGIN \
         DELETE FROM t WHERE a IN v; END;INSERT INTO t VALUES(1);COMMIT;"
    );
    fails(&text, Kind::Refused, &["more work than any dump of this size", "statement 5"]);
}

#[test]
fn a_bomb_ends_at_the_size_that_the_database_may_have() {
    let mut text = "BEGIN;CREATE TABLE t(a);".to_owned();
    text.push_str(&"INSERT INTO t VALUES(zeroblob(1000000));".repeat(30));
    text.push_str("COMMIT;");
    let options = Options { database_max: Some(10_000_000), ..Options::default() };
    let error = failure_with(&text, &options);
    assert_eq!(error.kind(), Kind::Refused, "{}", error.report());
    assert!(error.report().contains("grows larger than it may"), "{}", error.report());
    let zeros = "BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES(zeroblob(900000000));COMMIT;";
    fails(zeros, Kind::Refused, &["string or blob too big"]);
}

#[test]
fn an_endless_text_does_not_fill_the_memory() {
    let options = Options { statement_max: 2 << 20, ..Options::default() };
    for (begin, endless) in [
        ("INSERT INTO t VALUES('", "x"),
        ("INSERT INTO t VALUES(1", "1"),
        ("/* ", "x"),
        ("CREATE TABLE t(a", "a"),
        ("", "x"),
    ] {
        let target = Target::new();
        let mut text = format!("BEGIN;CREATE TABLE t(a);{begin}").into_bytes();
        text.extend(endless.repeat(16 << 20).bytes());
        let error = target.load_from(&mut text.as_slice().chain(std::io::repeat(b'x')), &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{begin}: {}", error.report());
        assert!(error.report().contains("longer than the 2097152 bytes"), "{begin}: {}", error.report());
    }
}

#[test]
fn a_deep_expression_is_an_error_and_no_crash() {
    for (open, close) in [("(", ")"), ("-", ""), ("1+", ""), ("abs(", ")"), ("NOT ", ""), ("CASE WHEN 1 THEN ", " END")]
    {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let text = format!("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES({deep});COMMIT;");
        let kind = failure_with(&text, &Options::default()).kind();
        assert!(matches!(kind, Kind::Damaged | Kind::Refused | Kind::Io), "{open} {kind:?}");
        let text = format!("BEGIN;CREATE TABLE t(a CHECK({deep}));COMMIT;");
        assert_ne!(failure_with(&text, &Options::default()).kind(), Kind::Cancelled, "{open}");
    }
}

#[test]
fn what_is_no_complete_dump_is_damaged() {
    fails("", Kind::Damaged, &["the dump is empty", "take an earlier backup"]);
    fails("\n-- nothing\n", Kind::Damaged, &["ends before its first table"]);
    fails("PRAGMA foreign_keys=OFF;\n", Kind::Damaged, &["ends before its first table"]);
    fails("BEGIN;CREATE TABLE t(a);", Kind::Damaged, &["in the middle of a transaction"]);
    fails("SAVEPOINT x;CREATE TABLE t(a);", Kind::Damaged, &["in the middle of a savepoint"]);
    fails("BEGIN;CREATE TABLE t(a);COMMIT", Kind::Damaged, &["statement 3 at byte 24", "ends in the middle of it"]);
    fails("BEGIN;CREATE TABLE t(a);BEGIN;COMMIT;", Kind::Damaged, &["the transaction before it was not finished"]);
    fails("CREATE TABLE t(a);COMMIT;", Kind::Damaged, &["no transaction was begun before it"]);
    fails("BEGIN;CREATE TABLE t(a);ROLLBACK; -- due to errors\n", Kind::Damaged, &["made the dump failed"]);
    fails("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES(X'abc');COMMIT;", Kind::Damaged, &["unrecognized token"]);
    fails("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES('a\0b');COMMIT;", Kind::Damaged, &["a NUL byte"]);
    fails("BEGIN;CREATE TABLE t(a UNIQUE);INSERT INTO t VALUES(1),(1);COMMIT;", Kind::Damaged, &["UNIQUE", "row 2"]);
    fails("BEGIN;CREATE TABLE t(a CHECK(ring(a)));COMMIT;", Kind::Damaged, &["no such function: ring", "statement 2"]);
    fails("(not SQL);", Kind::Refused, &["it is not SQL"]);
    fails("SQLite format 3\0", Kind::Usage, &["it is a database"]);
}

#[test]
fn our_own_dump_is_complete_only_with_its_end_mark() {
    let whole = "-- tillstick 0.1\nPRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE \"t\"(a);\n\
                 INSERT INTO \"t\"(rowid,\"a\") VALUES\n(1,'x'),\n(2,NULL);\nCOMMIT;\n-- tillstick: end of dump\n";
    assert_eq!(Target::new().load(whole).unwrap().tables[0].rows, 2);
    assert_eq!(Target::new().load(whole.trim_end()).unwrap().warnings, [] as [&str; 0]);
    for end in 0..whole.len() - 1 {
        let error = failure_with(&whole[..end], &Options::default());
        assert_eq!(error.kind(), Kind::Damaged, "{end}: {}", error.report());
    }
    fails(&format!("{whole}{whole}"), Kind::Damaged, &["something follows the dump's end mark"]);
    fails(&whole.replace("-- tillstick: end", "x -- tillstick: end"), Kind::Damaged, &["in the middle of it"]);
}

#[test]
fn a_target_in_use_is_left_alone() {
    let text = "BEGIN;CREATE TABLE t(a);COMMIT;";
    let target = Target::new();
    fs::write(&target.path, "somebody's").unwrap();
    let error = target.load(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(fs::read(&target.path).unwrap(), b"somebody's");

    fs::write(&target.path, "").unwrap();
    for end in ["-journal", "-wal", "-shm"] {
        let beside = format!("{}{end}", target.path.display());
        fs::write(&beside, "x").unwrap();
        assert_eq!(target.load(text).unwrap_err().kind(), Kind::Refused, "{end}");
        fs::remove_file(beside).unwrap();
    }
    // An empty file is none; what a killed load left is removed.
    for end in [".part", ".part-journal", ".part-wal"] {
        fs::write(format!("{}{end}", target.path.display()), "rubbish").unwrap();
    }
    target.load(text).unwrap();
    assert_eq!(fs::read_dir(target.dir.path()).unwrap().count(), 1);
}

#[test]
fn a_cancelled_load_ends_soon_and_leaves_nothing() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let text = b"INSERT INTO t VALUES(1);";
            for byte in buffer.iter_mut() {
                *byte = text[self.0 % text.len()];
                self.0 += 1;
            }
            Ok(buffer.len())
        }
    }
    struct Slow;
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(Duration::from_millis(20));
            buffer[0] = b'\n';
            Ok(1)
        }
    }
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";
    // Rows without end; an endless statement in a text long enough to allow for much work.
    let mut work = format!(
        "BEGIN;CREATE TABLE t(a);CREATE VIEW v AS {endless};CREATE TRIGGER r AFTER INSERT ON t BEGIN \
         DELETE FROM t WHERE a IN v; END;/*{}*/INSERT INTO t VALUES(1);COMMIT;",
        "x".repeat(30 << 20)
    );
    work.push('\n');
    let mut readers: [&mut (dyn Read + Send); 2] =
        [&mut b"BEGIN;CREATE TABLE t(a);".chain(Endless(0)), &mut work.as_bytes()];
    for reader in &mut readers {
        let target = Target::new();
        let cancel = target.cancel.clone();
        let asked = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
            Instant::now()
        });
        let error = target.load_from(reader, &Options::default()).unwrap_err();
        let ended = Instant::now();
        assert_eq!(error.kind(), Kind::Cancelled, "{}", error.report());
        let took = ended - asked.join().unwrap();
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert!(target.is_empty());
    }
    let target = Target::new();
    target.cancel.cancel();
    assert_eq!(target.load_from(&mut Slow.take(3), &Options::default()).unwrap_err().kind(), Kind::Cancelled);
}

#[test]
fn the_new_file_has_the_asked_mode_and_journal() {
    use std::os::unix::fs::PermissionsExt;
    let target = Target::new();
    let options = Options { mode: 0o640, journal_mode_wal: true, ..Options::default() };
    let text = "PRAGMA page_size=1024;PRAGMA encoding='UTF-16le';PRAGMA auto_vacuum=1;PRAGMA user_version=-5;\
                PRAGMA application_id=77;BEGIN;CREATE TABLE t(a);COMMIT;";
    target.load_from(&mut text.as_bytes(), &options).unwrap();
    assert_eq!(fs::metadata(&target.path).unwrap().permissions().mode() & 0o777, 0o640);
    let db = Connection::open(&target.path).unwrap();
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| Ok(format!("{:?}", row.get_ref(0)?))).unwrap();
    assert!(pragma("journal_mode").contains(&format!("{:?}", b"wal")), "{}", pragma("journal_mode"));
    assert_eq!(pragma("page_size"), "Integer(1024)");
    assert_eq!(pragma("auto_vacuum"), "Integer(1)");
    assert_eq!(pragma("user_version"), "Integer(-5)");
    assert_eq!(pragma("application_id"), "Integer(77)");
    assert!(pragma("encoding").contains(&format!("{:?}", b"UTF-16le")));
}

#[test]
fn what_the_original_had_wrong_is_a_warning() {
    let text = "BEGIN;CREATE TABLE p(id INTEGER PRIMARY KEY);CREATE TABLE c(p REFERENCES p(id));\
                INSERT INTO c VALUES(1),(2),(NULL);CREATE TABLE k(a TEXT COLLATE german);\
                INSERT INTO k VALUES('b'),('a');CREATE INDEX i ON k(a);COMMIT;";
    let loaded = Target::new().load(text).unwrap();
    let warnings = loaded.warnings.join("\n");
    assert!(warnings.contains("2 in \"c\""), "{warnings}");
    assert!(warnings.contains("run REINDEX \"german\" in the application"), "{warnings}");
    let unsure = Target::new().load("CREATE TABLE t(a);").unwrap().warnings.join("\n");
    assert!(unsure.contains("nobody can tell whether it is complete"), "{unsure}");
}
