//! Dumps of unknown origin: `load`, `restore FILE` and a drill take them for what they are. A hostile one runs nothing,
//! reaches nothing, stays within bounds of memory and time, and Ctrl-C ends it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest of it")]
mod kit;
#[path = "../proof/mod.rs"]
mod proof;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "the demo uses the rest of it")]
mod till;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use kit::{Box, Mounted, Ran, is_root, names, ran, scratch, tillstick, tool};

/// The memory that a load may ask for, in bytes: the program, its threads' stacks, and less than any of the bombs takes.
const MEMORY: u64 = 400 << 20;

/// A folder for one dump and what becomes of it.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: scratch() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A packed dump that `write` writes.
    fn packed(&self, write: impl FnOnce(&mut dyn Write)) -> String {
        let path = self.path("004711_kasse.sql.gz");
        let mut packer = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        write(&mut packer);
        packer.finish().unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn restore(&self, dump: &str) -> Command {
        bounded(&["restore", dump, "--into", self.path("new.db").to_str().unwrap()])
    }

    /// Restores and loads the dump, which must be refused with these words, and leave nothing.
    #[track_caller]
    fn refuses(&self, dump: &str, words: &[&str]) {
        let target = format!("sqlite:{}", self.path("new.db").display());
        for command in [self.restore(dump), bounded(&["load", dump, &target])] {
            ran(command).exits(1).says(words);
            assert_eq!(names(self.dir.path()), ["004711_kasse.sql.gz"]);
        }
    }
}

/// The program with so much memory and no more.
fn bounded(args: &[&str]) -> Command {
    let program = tillstick(args);
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={MEMORY}")).arg(program.get_program()).args(program.get_args());
    command.env("LC_ALL", "C").env_remove("RUST_LOG");
    command
}

fn dump(statements: &str) -> String {
    format!("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\n{statements}\nCOMMIT;\n")
}

#[test]
fn a_dump_runs_no_command_and_opens_no_file() {
    let desk = Desk::new();
    let outside = scratch();
    let witness = outside.path().join("witness");
    let at = witness.display();
    for (statement, words) in [
        (format!(".shell touch {at}"), "a command to the sqlite3 shell"),
        (format!(".output {at}"), "a command to the sqlite3 shell"),
        (format!(".once |touch {at}"), "a command to the sqlite3 shell"),
        (format!("ATTACH '{at}' AS x;"), "no reason for \"ATTACH\""),
        (format!("VACUUM INTO '{at}';"), "no reason for \"VACUUM\""),
        (format!("INSERT INTO t VALUES(load_extension('{at}'));"), "reaches outside of the database"),
        (format!("CREATE VIRTUAL TABLE c USING csv(filename='{at}');"), "may reach outside"),
        ("PRAGMA writable_schema=ON;\nUPDATE sqlite_schema SET sql='x';".to_owned(), "makes the schema writable"),
        ("INSERT INTO sqlite_master VALUES('table','x','x',2,'CREATE TABLE x(a)');".to_owned(), "write the schema"),
    ] {
        let dump = desk.packed(|out| out.write_all(dump(&statement).as_bytes()).unwrap());
        desk.refuses(&dump, &[words, "statement"]);
    }
    assert!(!witness.exists());
}

#[test]
fn what_looks_like_a_command_in_a_value_of_the_shells_own_dump_is_a_value() {
    let desk = Desk::new();
    let (source, outside) = (desk.path("source.db"), scratch());
    let witness = outside.path().join("witness");
    let text = format!("first\n.shell touch {}\n); ATTACH 'x' AS y; --", witness.display());
    let quoted = text.replace('\'', "''");
    let make = format!(
        "CREATE TABLE t(a); INSERT INTO t VALUES('{quoted}'),(1.5),(x'00'); CREATE VIRTUAL TABLE f USING fts5(a);"
    );
    tool("sqlite3", &[source.to_str().unwrap(), &make]);
    let text_dump = tool("sqlite3", &[source.to_str().unwrap(), ".dump"]);
    let dump = desk.packed(|out| out.write_all(text_dump.as_bytes()).unwrap());
    ran(desk.restore(&dump)).exits(0);
    let db = rusqlite::Connection::open(desk.path("new.db")).unwrap();
    assert_eq!(db.query_row("SELECT a FROM t", [], |row| row.get::<_, String>(0)).unwrap(), text);
    assert!(!witness.exists());
}

#[test]
fn functions_that_take_much_memory_or_hours_are_refused() {
    let desk = Desk::new();
    let big = "hex(zeroblob(1000000))";
    let many = |one: &str, count: usize| vec![one; count].join(",");
    let columns: Vec<String> = (0..1500).map(|column| format!("c{column}")).collect();
    for (statements, words) in [
        (format!("INSERT INTO t VALUES(max({}));", many("randomblob(400000000)", 20)), "too big"),
        ("INSERT INTO t VALUES(zeroblob(1000000000));".to_owned(), "too big"),
        ("INSERT INTO t VALUES(printf('%500000000s', 1));".to_owned(), "too big"),
        (
            format!(
                "CREATE TABLE c({});INSERT INTO c VALUES({});",
                columns.join(","),
                many("randomblob(15000000)", 1500)
            ),
            "more memory than any dump",
        ),
        (format!("INSERT INTO t VALUES(replace({big},{big}||'1','x'));"), "\"replace\" would take more work"),
        (format!("INSERT INTO t VALUES(instr({big},{big}||'1'));"), "\"instr\" would take more work"),
        (format!("INSERT INTO t VALUES({big} LIKE '%'||hex(zeroblob(20000))||'1%');"), "\"like\" would take more work"),
        (format!("INSERT INTO t VALUES({big} GLOB '*'||hex(zeroblob(20000))||'1*');"), "\"glob\" would take more work"),
        (format!("INSERT INTO t VALUES(rtrim({big},hex(randomblob(1000000))));"), "\"rtrim\" would take more work"),
        (
            format!("CREATE TABLE c(x CHECK(instr({big},{big}||'1')=0));INSERT INTO c VALUES(1);"),
            "\"instr\" would take more work",
        ),
        (
            format!("CREATE TABLE c(x, y AS (instr({big},{big}||'1')) NOT NULL);INSERT INTO c VALUES(1);"),
            "\"instr\" would take more work",
        ),
        (
            format!("INSERT INTO t VALUES(1);CREATE INDEX i ON t(a) WHERE {big} LIKE '%'||hex(zeroblob(20000))||a;"),
            "\"like\" would take more work",
        ),
        (
            format!(
                "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = instr({big},{big}||'1'); END;\n\
                 INSERT INTO t VALUES(1);"
            ),
            "\"instr\" would take more work",
        ),
    ] {
        let dump = desk.packed(|out| out.write_all(dump(&statements).as_bytes()).unwrap());
        desk.refuses(&dump, &[words]);
    }
}

#[test]
fn statements_without_an_end_are_refused() {
    let desk = Desk::new();
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x AS rowid, x AS b FROM c";
    for statements in [
        format!(
            "CREATE VIEW v AS {endless};CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE a IN (SELECT b \
             FROM v); END;INSERT INTO t VALUES(1);"
        ),
        format!(
            "CREATE VIEW v AS {endless};CREATE VIRTUAL TABLE f USING fts5(b, content='v');INSERT INTO f(f) \
             VALUES('rebuild');"
        ),
    ] {
        let dump = desk.packed(|out| out.write_all(dump(&statements).as_bytes()).unwrap());
        ran(desk.restore(&dump)).exits(1).says(&["more work than any dump of this size", "triggers"]);
        assert_eq!(names(desk.dir.path()), ["004711_kasse.sql.gz"]);
    }
}

/// 10 GB in full mode, 300 MB beside a change.
#[test]
fn a_bomb_of_spaces_or_of_one_endless_statement_stays_small_in_memory() {
    let megabytes = proof::cases(300, 10_000);
    let desk = Desk::new();
    let fill = |begin: &str, with: u8, end: &str| {
        let (begin, end) = (begin.to_owned(), end.to_owned());
        desk.packed(move |out| {
            out.write_all(begin.as_bytes()).unwrap();
            let piece = vec![with; 1_000_000];
            (0..megabytes).for_each(|_| out.write_all(&piece).unwrap());
            out.write_all(end.as_bytes()).unwrap();
        })
    };
    let spaces = fill("BEGIN;CREATE TABLE t(a);", b' ', "COMMIT;");
    ran(desk.restore(&spaces)).exits(0);
    fs::remove_file(desk.path("new.db")).unwrap();
    desk.refuses(&fill("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES('", b'x', "');COMMIT;"), &["longer than the"]);
    desk.refuses(&fill("BEGIN;CREATE TABLE t(a);/*", b'x', "*/COMMIT;"), &["longer than the"]);
    desk.refuses(&fill("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES(", b'(', ");COMMIT;"), &["longer than the"]);
}

/// Asks a command to stop once it has begun to build the database, and waits for its end.
#[track_caller]
fn stopped(mut command: Command, part: &Path) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !part.exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn ctrl_c_ends_a_dump_whose_every_step_is_long() {
    let desk = Desk::new();
    let each = |one: &str| vec![one; 5_000].join(",");
    for statements in [
        format!("INSERT INTO t VALUES{};", each("(length(randomblob(15000000)))")),
        "INSERT INTO t VALUES(length(randomblob(15000000)));\n".repeat(5_000),
        format!("INSERT INTO t VALUES{};CREATE INDEX i ON t(length(printf('%15000000s', a)));", each("(1)")),
        format!("INSERT INTO t VALUES{};", each("(instr(hex(zeroblob(15000)),hex(zeroblob(15000))||'1'))")),
    ] {
        let dump = desk.packed(|out| out.write_all(dump(&statements).as_bytes()).unwrap());
        let ended = stopped(desk.restore(&dump), &desk.path("new.db.part"));
        // On a fast machine its bounds may end it before.
        match ended.code {
            Some(1) => ended.says(&["takes more memory than any dump like it"]),
            _ => ended.exits(130).says(&["stopped before it was finished"]),
        };
        assert_eq!(names(desk.dir.path()), ["004711_kasse.sql.gz"]);
    }
}

#[test]
fn endless_rows_end_before_the_disk_is_full() {
    if !is_root() {
        return;
    }
    let place = scratch();
    let at = place.path().to_str().unwrap().to_owned();
    let _mounted = Mounted::at(&["-t", "tmpfs", "-o", "size=40m", "tmpfs", &at], place.path().to_owned());
    let desk = Desk::new();
    let rows = "INSERT INTO t VALUES(zeroblob(1000000));\n".repeat(300);
    let dump = desk.packed(|out| out.write_all(dump(&rows).as_bytes()).unwrap());
    let new = place.path().join("new.db");
    let mut restore = bounded(&["restore", &dump, "--into", new.to_str().unwrap()]);
    let mut child = restore.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut least = u64::MAX;
    while child.try_wait().unwrap().is_none() {
        let stat = nix::sys::statvfs::statvfs(place.path()).unwrap();
        least = least.min(stat.blocks_available() * stat.fragment_size());
    }
    Ran::from(child.wait_with_output().unwrap()).exits(1).says(&["full", "free room"]);
    assert!(least >= 3 << 20, "only {least} bytes were left for others");
    assert_eq!(names(place.path()), [""; 0]);
}

/// Puts another artifact in the place of a backup's, with a manifest that says so.
fn replace_artifact(site: &Box, id: &str, text: &str) {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    fs::write(site.artifact(id), &packed).unwrap();
    let mut manifest = site.manifest(id);
    let artifact = &mut manifest["artifacts"][0];
    artifact["size"] = packed.len().into();
    artifact["sha256"] = format!("{:x}", Sha256::digest(&packed)).into();
    let xxh3 = xxhash_rust::xxh3::xxh3_128(text.as_bytes());
    let crc32 = crc32fast::hash(text.as_bytes());
    artifact["text"] = serde_json::json!({ "size": text.len(), "crc32": crc32, "xxh3": format!("{xxh3:032x}") });
    fs::write(site.primary().join(id).join("manifest.json"), manifest.to_string()).unwrap();
    site.seal(id);
}

#[test]
fn a_drill_finds_a_hostile_artifact_and_a_restore_of_it_leaves_nothing() {
    let site = Box::new();
    let id = site.backup();
    let hostile = dump("INSERT INTO t VALUES(instr(hex(zeroblob(1000000)),hex(zeroblob(900000))||'1'));");
    replace_artifact(&site, &id, &format!("-- tillstick\n{hostile}-- tillstick: end of dump\n"));
    let new = site.path("new.db");
    site.run(&["check"]).exits(0);
    for args in [vec!["check", "--drill"], vec!["restore", &id, "--into", new.to_str().unwrap()]] {
        let told = site.run(&args).exits(1);
        assert!(format!("{}{}", told.out, told.err).contains("more work than in any dump"), "{told:?}");
    }
    assert!(!new.exists());
    site.ids();
}
