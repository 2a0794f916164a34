//! What the SQLite tests share: making databases, dumping them, loading with the real shell, comparing.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

pub mod fill;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run, Sink, SourceFacts};
use tillstick::source::Source;
use tillstick::source::sqlite::{END_MARK, Sqlite};

/// A folder with a database in it, and a spool.
pub struct Desk {
    pub dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        // In memory where that is possible: these tests are not about the disk, and it is slow to sync.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        Self { dir }
    }

    /// A desk whose database was made by `sql`, run in the library.
    pub fn with(sql: &str) -> Self {
        let desk = Self::new();
        desk.open().execute_batch(sql).unwrap();
        desk
    }

    /// A desk whose database was made by `sql`, run in the real shell.
    pub fn with_shell(sql: &str) -> Self {
        let desk = Self::new();
        assert_eq!(shell(&desk.db(), sql.as_bytes()), "");
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.path("till.db")
    }

    pub fn open(&self) -> Connection {
        Connection::open(self.db()).unwrap()
    }

    pub fn source(&self) -> Sqlite {
        source(&self.db(), &self.path("spool"))
    }

    pub fn dump(&self) -> (String, SourceFacts) {
        dump(&self.source()).unwrap()
    }

    /// Dumps, loads with the shell, compares everything, dumps what was loaded, and gives the text and the facts.
    pub fn round_trip(&self) -> (String, SourceFacts) {
        let (text, facts) = self.dump();
        let loaded = self.path("loaded.db");
        let _ = std::fs::remove_file(&loaded);
        assert_eq!(shell(&loaded, text.as_bytes()), "", "the shell must have nothing to say to:\n{text}");
        same(&self.db(), &loaded);
        let again = dump(&source(&loaded, &self.path("spool"))).unwrap().0;
        assert!(again == text, "the second dump differs\n--- first:\n{text}\n--- second:\n{again}");
        assert_eq!(std::fs::read_dir(self.path("spool")).unwrap().count(), 0, "the spool is left empty");
        (text, facts)
    }

    /// A connection to the database that the last round trip loaded.
    pub fn loaded(&self) -> Connection {
        Connection::open(self.path("loaded.db")).unwrap()
    }
}

pub fn source(path: &Path, spool: &Path) -> Sqlite {
    Sqlite {
        path: path.to_owned(),
        spool: spool.to_owned(),
        lock_wait: Duration::from_secs(5),
        locked_pass: Duration::from_secs(5),
    }
}

pub fn dump(source: &Sqlite) -> Result<(String, SourceFacts)> {
    let cancel = Cancel::default();
    let mut sink = Chunks::new(4 << 10);
    let facts = source.dump(&mut sink, &Run { monitor: &Quiet, cancel: &cancel })?;
    let text = sink.whole();
    assert!(text.ends_with(&format!("\nCOMMIT;\n{END_MARK}\n")), "the end mark is missing");
    Ok((text, facts))
}

/// Runs `sql` in the real shell; what it says on either stream, and that it failed.
pub fn shell(db: &Path, sql: &[u8]) -> String {
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-init", "/dev/null"])
        .arg(db)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the sqlite3 shell is installed");
    let mut input = child.stdin.take().unwrap();
    let sql = sql.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(&sql));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        said.push_str(&format!("\n{}", output.status));
    }
    said
}

/// Both databases hold the same: pragmas, schema, and every value with its class, bits, row id and place.
pub fn same(left: &Path, right: &Path) {
    let (left, right) = (Connection::open(left).unwrap(), Connection::open(right).unwrap());
    assert_eq!(all(&right, "PRAGMA integrity_check"), all(&left, "PRAGMA integrity_check"));
    for pragma in ["page_size", "encoding", "auto_vacuum", "user_version", "application_id"] {
        let sql = format!("PRAGMA {pragma}");
        assert_eq!(all(&left, &sql), all(&right, &sql), "{pragma}");
    }
    // A comment that closes an index's SQL needs a line feed after it.
    let schema = "SELECT type, name, tbl_name, rtrim(replace(sql, char(13,10), char(10)), char(10)) FROM sqlite_schema
                  WHERE name <> 'sqlite_stat4' ORDER BY type, name";
    assert_eq!(all(&left, schema), all(&right, schema));
    // As a pragma: a table may have the name of the pragma's function.
    let mut statement = left.prepare("PRAGMA main.table_list").unwrap();
    let listed = statement.query_map([], |row| Ok((row.get::<_, String>("name")?, row.get::<_, String>("type")?)));
    for (name, class) in listed.unwrap().map(|listed| listed.unwrap()) {
        if class == "table" && !["sqlite_schema", "sqlite_stat4"].contains(&name.as_str()) {
            let (left, right) = (content(&left, &name), content(&right, &name));
            if let Some((was, is)) = left.iter().zip(&right).find(|(was, is)| was != is) {
                panic!("table {name:?}: {} was {}", difference(is, was), difference(was, is));
            }
            assert_eq!(left.len(), right.len(), "rows of table {name:?}");
        }
    }
}

/// The part of a row in which it differs from another.
fn difference(row: &str, other: &str) -> String {
    let same = row.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    row.chars().skip(same.saturating_sub(40)).take(100).collect()
}

/// Every value of a table in the order of its b-tree, generated ones too, with the row ids where there are any.
pub fn content(db: &Connection, table: &str) -> Vec<String> {
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let mut columns: Vec<String> = Vec::new();
    let mut statement = db.prepare(&format!("PRAGMA table_xinfo({quoted})")).unwrap();
    let names: Vec<String> =
        statement.query_map([], |row| row.get("name")).unwrap().map(|name| name.unwrap()).collect();
    for rowid in ["rowid", "_rowid_", "oid"] {
        let free = names.len() < 2000 && !names.iter().any(|name| name.eq_ignore_ascii_case(rowid));
        if free && db.prepare(&format!("SELECT {rowid} FROM {quoted}")).is_ok() {
            columns.push(rowid.to_owned());
            break;
        }
    }
    for name in names {
        let name = format!("\"{}\"", name.replace('"', "\"\""));
        // The bytes of text as they are stored, whatever the encoding.
        columns
            .push(format!("CASE typeof({name}) WHEN 'text' THEN 'text:' || hex(CAST({name} AS BLOB)) ELSE {name} END"));
    }
    all(db, &format!("SELECT {} FROM {quoted} NOT INDEXED", columns.join(",")))
}

/// The rows of a query, each as text that tells classes and bits.
pub fn all(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let count = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<String> = (0..count)
            .map(|i| match row.get_ref(i).unwrap() {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(value) => format!("i:{value}"),
                ValueRef::Real(value) => format!("r:{value:?}/{:x}", value.to_bits()),
                ValueRef::Text(text) => format!("t:{}", String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => format!("b:{bytes:02x?}"),
            })
            .collect();
        found.push(values.join("|"));
    }
    found
}

/// A sink that cuts by the keys, as the packer does, into chunks of about `target` bytes.
pub struct Chunks {
    pub chunks: Vec<Vec<u8>>,
    text: Vec<u8>,
    target: usize,
    before: usize,
}

impl Chunks {
    pub fn new(target: usize) -> Self {
        Self { chunks: Vec::new(), text: Vec::new(), target, before: 0 }
    }

    pub fn whole(&self) -> String {
        assert!(self.text.is_empty(), "the last chunk was not cut");
        String::from_utf8(self.chunks.concat()).expect("a dump is UTF-8 whatever the database holds")
    }
}

impl Sink for Chunks {
    fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    fn boundary(&mut self, key: u64) -> bool {
        let grown = self.text.len() - self.before;
        self.before = self.text.len();
        let hash = key.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
        self.text.len() >= 3 * self.target
            || (self.text.len() >= self.target / 4 && hash < (grown as u64) * ((1 << 32) / self.target as u64))
    }

    fn cut(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        assert!(
            text.ends_with(b";\n") || text.ends_with(format!("{END_MARK}\n").as_bytes()),
            "a statement spans chunks"
        );
        self.chunks.push(text);
        self.before = 0;
        Ok(())
    }
}
