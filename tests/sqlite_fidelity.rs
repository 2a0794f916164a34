//! Whatever a database holds comes back: generated schemas and values, loaded by this program and by the sqlite3 shell.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod proof;
mod sqlite_kit;

use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::sqlite::{LoadOptions, load};

use sqlite_kit::{Desk, dump, same, source};

/// How many generated tables share a database: each is a case.
const TABLES: usize = 20;

/// A value as somebody binds it.
#[derive(Debug, Clone)]
enum Bound {
    Plain(Value),
    /// Bytes that a careless program stored as text.
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    declared: usize,
    rest: &'static str,
}

/// What makes rows of a table one row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    None,
    Integer,
    AutoIncrement,
    IntegerDescending,
    First,
    WithoutRowid,
}

const KEYS: [Key; 6] =
    [Key::None, Key::Integer, Key::AutoIncrement, Key::IntegerDescending, Key::First, Key::WithoutRowid];

#[derive(Debug, Clone)]
struct Table {
    name: String,
    columns: Vec<Column>,
    key: Key,
    strict: bool,
    beside: Vec<&'static str>,
    rows: Vec<(i64, Vec<Bound>)>,
}

#[derive(Debug, Clone)]
struct Database {
    page_size: u32,
    encoding: &'static str,
    auto_vacuum: u8,
    numbers: (i32, i32),
    journal_mode: &'static str,
    tables: Vec<Table>,
}

/// Types as people declare them, and those that a STRICT table allows.
const DECLARED: [&str; 12] = [
    "INTEGER",
    "TEXT",
    "REAL",
    "BLOB",
    "INT",
    "NUMERIC",
    "",
    "VARCHAR(20)",
    "DOUBLE PRECISION",
    "DECIMAL(10,2)",
    "BOOLEAN",
    "\"not a, type\"",
];
const STRICT: [&str; 6] = ["INTEGER", "TEXT", "REAL", "BLOB", "INT", "ANY"];

/// What stands beside a table `@t` whose first column is `@c`; what would change rows is made after them.
const BESIDE: [&str; 9] = [
    "CREATE INDEX @n ON @t(@c DESC)",
    "CREATE INDEX @n ON @t(@c COLLATE NOCASE, typeof(@c) DESC)",
    "CREATE INDEX @n ON @t(@c) WHERE @c IS NOT NULL -- the known ones",
    "CREATE INDEX @n ON @t(typeof(@c) || 'x')",
    "CREATE VIEW @n AS SELECT @c AS \"a \"\"b\", 'it''s; ' AS c FROM @t",
    "CREATE VIEW @n(x) AS WITH q AS (SELECT @c FROM @t) SELECT * FROM q /* ; */",
    "CREATE TRIGGER @n AFTER INSERT ON @t BEGIN DELETE FROM @t; SELECT ';'; END",
    "CREATE TRIGGER @n BEFORE DELETE ON @t WHEN old.@c > 5 BEGIN SELECT RAISE(ABORT, 'no;'); END",
    "CREATE TRIGGER @n AFTER UPDATE OF @c ON @t BEGIN INSERT INTO @t(@c) VALUES(CASE WHEN 1 THEN 2 END); END",
];

const RESTS: [&str; 9] = [
    "",
    "",
    "",
    " NOT NULL",
    " DEFAULT 'it''s'",
    " COLLATE NOCASE",
    " DEFAULT (abs(-3) || ')')",
    " CHECK(typeof(@c) <> 'x')",
    " /* , ) */ NOT NULL DEFAULT x'00'",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,8}",
        1 => "\\PC{0,6}",
        1 => select(&["select", "a\"b", "it's", "a b", "[x]", "`y`", "a\nb", "a;b", "--c", "rowid ", "Größe", "値"][..])
            .prop_map(str::to_owned),
    ]
    .prop_filter("reserved", |name| !name.to_lowercase().starts_with("sqlite"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 '\";,()\\-]{0,20}",
        "[a\r\n\t]{0,8}",
        "\\PC{0,12}",
        "[\\x00-\\x1f\\x7f]{0,4}",
        "[0-9]{1,19}(\\.[0-9]{0,3})?",
        select(&["1e3", " 5", "0x10", "-0", "inf", "NULL", "9223372036854775808", "\u{feff}a", "\u{fffe}", "\u{10ffff}"][..])
            .prop_map(str::to_owned),
        (0..20_000_usize).prop_map(|len| "Käse".chars().cycle().take(len).collect()),
    ]
}

/// Reals of any bits, amounts, and numbers that people enter or that come out of a division.
fn real() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => any::<u64>().prop_map(f64::from_bits),
        2 => any::<i32>().prop_map(|cents| f64::from(cents) / 100.0),
        1 => (any::<i64>(), 0..25_i32).prop_map(|(digits, down)| digits as f64 / 10_f64.powi(down)),
        1 => (any::<u32>(), any::<u16>()).prop_map(|(a, b)| f64::from(a) / f64::from(b)),
        1 => select(&[0.0, -0.0, 0.1 + 0.2, 1e15, 1e16, 1e17, 9.007_199_254_740_993e15, f64::MAX, f64::MIN_POSITIVE, 5e-324,
                      f64::INFINITY, f64::NEG_INFINITY, 9.223_372_036_854_775e18, -9.223_372_036_854_776e18][..]),
    ]
    .prop_filter("SQLite stores no NaN", |real| !real.is_nan())
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![-300..300_i64, any::<i64>(), select(&[i64::MIN, i64::MAX, 1 << 53, -(1 << 31), 1 << 47][..])]
}

fn value() -> impl Strategy<Value = Bound> {
    let bytes = || {
        prop_oneof![9 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => (0..9000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len])]
    };
    prop_oneof![
        1 => Just(Bound::Plain(Value::Null)),
        3 => integer().prop_map(|value| Bound::Plain(Value::Integer(value))),
        3 => real().prop_map(|value| Bound::Plain(Value::Real(value))),
        3 => text().prop_map(|value| Bound::Plain(Value::Text(value))),
        1 => bytes().prop_map(|value| Bound::Plain(Value::Blob(value))),
        1 => bytes().prop_map(Bound::Bytes),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    let column = (name(), 0..DECLARED.len(), select(&RESTS[..]));
    let column = column.prop_map(|(name, declared, rest)| Column { name, declared, rest });
    let rowid = prop_oneof![Just(0_i64), -5..100_i64, integer()];
    (
        name(),
        proptest::collection::vec(column, 1..7),
        select(&KEYS[..]),
        any::<bool>(),
        proptest::collection::vec(select(&BESIDE[..]), 0..3),
        proptest::collection::vec((rowid, proptest::collection::vec(value(), 7)), 0..9),
    )
        .prop_map(|(name, columns, key, strict, beside, rows)| Table { name, columns, key, strict, beside, rows })
}

fn database() -> impl Strategy<Value = Database> {
    let sizes = select(&[512, 1024, 4096, 4096, 8192, 32_768, 65_536][..]);
    let encoding = select(&["UTF-8", "UTF-8", "UTF-16le", "UTF-16be"][..]);
    let tables = proptest::collection::vec(table(), TABLES);
    (sizes, encoding, 0..3_u8, any::<(i32, i32)>(), select(&["wal", "delete"][..]), tables).prop_map(
        |(page_size, encoding, auto_vacuum, numbers, journal_mode, tables)| Database {
            page_size,
            encoding,
            auto_vacuum,
            numbers,
            journal_mode,
            tables,
        },
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A form of [`BESIDE`] with its names. In one go: a generated name may itself read like a place for one.
fn filled(form: &str, name: &str, table: &str, column: &str) -> String {
    let mut parts = form.split('@');
    let mut sql = parts.next().unwrap().to_owned();
    for part in parts {
        let (place, rest) = part.split_at(1);
        sql += match place {
            "n" => name,
            "t" => table,
            _ => column,
        };
        sql += rest;
    }
    sql
}

impl Table {
    /// Makes the table, its rows and what stands beside it. Rows that its own rules refuse are left out.
    fn make(&self, db: &Connection, number: usize) {
        let table = quoted(&format!("{}{number}", self.name));
        let names: Vec<String> =
            self.columns.iter().enumerate().map(|(i, column)| quoted(&format!("{}{i}", column.name))).collect();
        let mut parts: Vec<String> = (0..names.len()).map(|i| self.column(i, &names[i])).collect();
        let first = &names[0];
        parts.extend(match self.key {
            Key::Integer => Some("id INTEGER PRIMARY KEY".to_owned()),
            Key::AutoIncrement => Some("id INTEGER PRIMARY KEY AUTOINCREMENT".to_owned()),
            Key::IntegerDescending => Some("id INTEGER PRIMARY KEY DESC".to_owned()),
            Key::WithoutRowid => Some(format!("id INTEGER, PRIMARY KEY(id, {first} DESC)")),
            Key::First => Some(format!("id INT, UNIQUE({first}, id)")),
            Key::None => {
                Some(format!("id INT, half INT AS (id / 2) {}", if self.strict { "STORED" } else { "VIRTUAL" }))
            }
        });
        let mut options = Vec::new();
        options.extend((self.key == Key::WithoutRowid).then_some("WITHOUT ROWID"));
        options.extend(self.strict.then_some("STRICT"));
        let sql = format!("CREATE TABLE {table}({}){}", parts.join(",\n  "), options.join(", "));
        db.execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (id, values) in &self.rows {
            self.insert(db, &table, &names, *id, values);
        }
        for (i, beside) in self.beside.iter().enumerate() {
            let name = quoted(&format!("{} {number} {i}", self.name));
            let sql = filled(beside, &name, &table, first);
            db.execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    fn column(&self, i: usize, name: &str) -> String {
        let column = &self.columns[i];
        let declared = if self.strict { STRICT[column.declared % STRICT.len()] } else { DECLARED[column.declared] };
        format!("{name} {declared}{}", column.rest.replace("@c", name))
    }

    fn insert(&self, db: &Connection, table: &str, names: &[String], id: i64, values: &[Bound]) {
        // With no integer key the row id itself is chosen, and the column `id` stays a column.
        let id_name = if matches!(self.key, Key::None | Key::First) { "rowid" } else { "id" };
        let mut holes = vec!["?1".to_owned()];
        let mut bound = vec![Value::Integer(id)];
        for (i, value) in values.iter().take(names.len()).enumerate() {
            match value {
                Bound::Plain(value) => {
                    holes.push(format!("?{}", i + 2));
                    bound.push(value.clone());
                }
                Bound::Bytes(bytes) => {
                    holes.push(format!("CAST(?{} AS TEXT)", i + 2));
                    bound.push(Value::Blob(bytes.clone()));
                }
            }
        }
        let sql =
            format!("INSERT OR IGNORE INTO {table}({id_name}, {}) VALUES({})", names.join(", "), holes.join(", "));
        let mut statement = db.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        // What a STRICT table refuses is an error even so.
        let _ = statement.execute(params_from_iter(bound));
    }
}

impl Database {
    fn make(&self) -> Desk {
        let desk = Desk::new();
        let db = desk.open();
        let (user, application) = self.numbers;
        db.execute_batch(&format!(
            "PRAGMA page_size={}; PRAGMA encoding='{}'; PRAGMA auto_vacuum={}; PRAGMA user_version={user};
             PRAGMA application_id={application}; PRAGMA journal_mode={}; PRAGMA synchronous=OFF; BEGIN;",
            self.page_size, self.encoding, self.auto_vacuum, self.journal_mode
        ))
        .unwrap();
        for (number, table) in self.tables.iter().enumerate() {
            table.make(&db, number);
        }
        db.execute_batch("COMMIT").unwrap();
        desk
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: proof::cases(20, 520), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// 10,400 generated tables in full mode, 400 beside a change.
    #[test]
    fn any_schema_and_any_value_comes_back_by_load_and_by_the_shell(database in database()) {
        let desk = database.make();
        let (text, _) = desk.round_trip();
        let loaded = desk.path("by-load.db");
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let done = load(&mut text.as_bytes(), &loaded, &LoadOptions::default(), &run);
        prop_assert!(done.is_ok(), "{}\n{text}", done.unwrap_err().report());
        same(&desk.db(), &loaded);
        let again = dump(&source(&loaded, &desk.path("spool"))).unwrap().0;
        prop_assert!(again == text, "the dump of what was loaded differs");
    }
}

/// The shells that auditors have misread some decimal forms; which, is worked out in `src/source/sqlite/real.rs`.
#[test]
fn reals_of_any_bits_come_back_from_the_shell_to_the_bit() {
    let desk = Desk::with("CREATE TABLE t(r REAL, n NUMERIC, x)");
    let mut db = desk.open();
    let tx = db.transaction().unwrap();
    let mut insert = tx.prepare("INSERT INTO t VALUES(?1, ?2, ?3)").unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for i in 0..proof::cases(30_000, 500_000) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let bits = f64::from_bits(seed);
        let tiny = f64::from_bits(seed >> 12 >> (i % 52));
        // So many digits, at such a place: what people enter, and what comes out of a division.
        let entered = (seed >> (i % 62)) as f64 / 10_f64.powi((seed % 40) as i32);
        let near_one = f64::from_bits(seed >> 12 | 0x3ff0_0000_0000_0000) * 10_f64.powi((seed % 300) as i32 - 150);
        insert
            .execute([if bits.is_nan() { 0.5 } else { bits }, if i % 2 == 0 { tiny } else { near_one }, entered])
            .unwrap();
    }
    drop(insert);
    tx.commit().unwrap();
    desk.round_trip();
}
