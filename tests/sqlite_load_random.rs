//! Loading by chance: rows that are bound are stored as if they had been executed, and no bytes do harm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;
use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::sqlite::{LoadOptions as Options, Loaded, load};

/// One column of each affinity, and none.
const TABLE: &str = "CREATE TABLE t(i INTEGER, t TEXT, r REAL, b BLOB, n NUMERIC, x)";

/// Loads a text in its own folder, and hands the database over if there is one.
fn loaded(text: &[u8]) -> (Result<Loaded>, Option<Connection>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.db");
    let (cancel, mut reader) = (Cancel::default(), text);
    let options = Options { statement_max: 1 << 20, database_max: Some(16 << 20), ..Options::default() };
    let result = load(&mut reader, &path, &options, &Run { monitor: &Quiet, cancel: &cancel });
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()), "{result:?}");
    let database = result.is_ok().then(|| Connection::open(&path).unwrap());
    (result, database)
}

/// Every row with its rowid; reals by their bits, so that the sign of zero counts.
fn rows(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT rowid, * FROM t ORDER BY rowid").unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let value = |column| match row.get_ref(column).unwrap() {
            rusqlite::types::ValueRef::Text(text) => format!("{:?}", text.escape_ascii().to_string()),
            other => match Value::try_from(other).unwrap() {
                Value::Real(real) => format!("Real({real:?}, {:x})", real.to_bits()),
                value => format!("{value:?}"),
            },
        };
        lines.push((0..columns).map(value).collect::<Vec<_>>().join(" "));
    }
    lines
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Literals as our dumper and others write them.
fn literal() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[a-z0-9' ;(),\n]{0,12}", "[0-9]{1,3}(\\.[0-9]{1,2})?", "\\PC{0,8}", " ?-?[0-9]e[0-9] ?"];
    let hex = proptest::collection::vec(any::<u8>(), 0..9)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>());
    prop_oneof![
        Just("NULL".to_owned()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-300..300_i64).prop_map(|value| value.to_string()),
        prop::sample::select(&["-9223372036854775808", "9223372036854775808", "-9223372036854775809", "-0", "007"][..])
            .prop_map(str::to_owned),
        any::<f64>().prop_filter("finite", |real| real.is_finite()).prop_map(|real| format!("{real:?}")),
        (-1000..1000_i32).prop_map(|value| format!("{:?}", f64::from(value) / 8.0)),
        prop::sample::select(&["5.0", "9.0e+999", "-9.0e+999", "-0.0", "0.0", "1e3", ".5", "1."][..])
            .prop_map(str::to_owned),
        text.clone().prop_map(|text| quoted(&text)),
        hex.clone().prop_map(|hex| format!("X'{hex}'")),
        hex.prop_map(|hex| format!("CAST(X'{hex}' AS TEXT)")),
        text.clone().prop_map(|text| format!("replace({},char(10),char(13,10))", quoted(&text))),
        text.prop_map(|text| format!("replace(replace({},'a',char(13)),'\\n',char(10))", quoted(&text))),
    ]
}

/// Values that only SQLite can read.
fn unusual() -> impl Strategy<Value = String> {
    prop::sample::select(&["abs(-3)", "1+1", "0x10", "+5", "1_000", "unistr('\\u00e4')", "(NULL)", "x'' || 'a'"][..])
        .prop_map(str::to_owned)
}

fn row(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(value, 6).prop_map(|values| format!("({})", values.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn bound_rows_are_stored_as_executed_ones(
        rows_text in proptest::collection::vec(prop_oneof![9 => row(literal()), 1 => row(prop_oneof![literal(), unusual()])], 1..12),
        encoding in prop::sample::select(&["UTF-8", "UTF-16le"][..]),
        single in any::<bool>(),
    ) {
        // Bytes that are no text make SQLite itself store different things in UTF-16; that is its affair.
        let insert = "INSERT INTO t(i,t,r,b,n,x) VALUES\n";
        let separator = if single { format!(";\n{insert}") } else { ",\n".to_owned() };
        let inserts = format!("{insert}{};", rows_text.join(&separator));
        let text = format!("PRAGMA encoding='{encoding}';\nBEGIN;\n{TABLE};\n{inserts}\nCOMMIT;\n");
        let executed = Connection::open_in_memory().unwrap();
        executed.execute_batch(&text).unwrap();
        let (result, database) = loaded(text.as_bytes());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err().report());
        prop_assert_eq!(rows(&database.unwrap()), rows(&executed));
    }

    #[test]
    fn a_dump_with_changed_bytes_loads_or_fails_but_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut text = DUMP.as_bytes().to_vec();
        for (place, byte, how) in changes {
            if text.is_empty() {
                break;
            }
            let place = place.index(text.len());
            match how {
                0 => text[place] = byte,
                1 => text.insert(place, b"';\"(-/*.\n"[usize::from(byte) % 9]),
                2 => drop(text.remove(place)),
                _ => text.truncate(place.max(1)),
            }
        }
        let (result, database) = loaded(&text);
        prop_assert_eq!(result.is_ok(), database.is_some());
    }

    #[test]
    fn random_bytes_are_no_dump(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(loaded(&bytes).0.is_err());
    }
}

const DUMP: &str = "-- tillstick dump
PRAGMA foreign_keys=OFF;
PRAGMA user_version=7;
BEGIN TRANSACTION;
CREATE TABLE t(i INTEGER PRIMARY KEY, t TEXT);
INSERT INTO \"t\"(rowid,\"t\") VALUES
(1,'a''b'),
(2,X'00ff'),
(3,CAST(X'610062' AS TEXT)),
(4,replace('a
b',char(10),char(13,10))),
(5,-1.5e+300);
CREATE VIRTUAL TABLE ft USING fts5(a);
INSERT INTO ft(ft) VALUES('rebuild');
CREATE INDEX i ON t(t);
CREATE TRIGGER tr AFTER DELETE ON t BEGIN DELETE FROM t; SELECT 1; END;
COMMIT;
-- tillstick: end of dump
";
