//! A dump loads in the real sqlite3 shell without a word and gives the same database, whatever is in it.

mod sqlite_kit;

use rusqlite::params;
use sqlite_kit::{Chunks, Desk, all, shell};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::Source;

#[test]
fn a_till_comes_back_as_it_was() {
    let desk = Desk::with(
        "CREATE TABLE bon(id INTEGER PRIMARY KEY, at TEXT NOT NULL, total REAL, paid NUMERIC DEFAULT 0);
         CREATE TABLE item(bon INTEGER REFERENCES bon(id), pos INTEGER, text TEXT, PRIMARY KEY(bon, pos));
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO bon SELECT i, '2026-11-22 20:' || i, i * 1.19, i % 7 FROM n;
         INSERT INTO item SELECT id, 1, 'Café ''crème'' № ' || id FROM bon;
         CREATE INDEX bon_at ON bon(at);
         CREATE VIEW day AS SELECT substr(at, 1, 10) AS day, sum(total) AS total FROM bon GROUP BY 1;
         CREATE TRIGGER no_void BEFORE DELETE ON bon BEGIN SELECT RAISE(ABORT, 'never; ever'); END;",
    );
    let (text, facts) = desk.round_trip();
    assert_eq!(facts.kind, "sqlite");
    assert_eq!(facts.engine, rusqlite::version());
    let rows: Vec<_> = facts.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("bon", 3000), ("item", 3000)]);
    assert_eq!(facts.properties["journal_mode"], "delete");
    assert!(facts.warnings.is_empty(), "{:?}", facts.warnings);
    assert!(text.contains("\nINSERT INTO \"bon\" VALUES\n(1,'2026-11-22 20:1',1.19,1),\n(2,"), "{}", &text[..2000]);
}

#[test]
fn an_unchanged_database_gives_the_same_bytes() {
    let desk = Desk::with(
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE INDEX ta ON t(a); CREATE VIEW v AS SELECT 1;
         INSERT INTO t(a) VALUES('x'),('y'); INSERT INTO w VALUES('b',1),('a',2);",
    );
    let first = desk.dump().0;
    desk.open().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_eq!(desk.dump().0, first);
    desk.open().execute_batch("VACUUM; PRAGMA journal_mode = DELETE").unwrap();
    assert_eq!(desk.dump().0, first);
}

#[test]
fn header_values_come_back() {
    let desk = Desk::with(
        "PRAGMA page_size = 1024; PRAGMA auto_vacuum = 2; PRAGMA user_version = -7; PRAGMA application_id = 1195787588;
         CREATE TABLE t(a); INSERT INTO t VALUES(1);",
    );
    let (_, facts) = desk.round_trip();
    for (name, value) in
        [("page_size", "1024"), ("auto_vacuum", "2"), ("user_version", "-7"), ("application_id", "1195787588")]
    {
        assert_eq!(facts.properties[name], value);
    }
    Desk::with("PRAGMA auto_vacuum = 1; PRAGMA page_size = 65536; VACUUM; CREATE TABLE t(a)").round_trip();
}

#[test]
fn a_database_without_tables_comes_back() {
    Desk::with("PRAGMA user_version = 3").round_trip();
    Desk::with("CREATE TABLE t(a); DROP TABLE t").round_trip();
}

#[test]
fn generated_columns_are_computed_again_and_not_inserted() {
    let (text, _) = Desk::with(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, net REAL, gross REAL AS (net * 1.19) STORED, label TEXT AS (a || '!'), z);
         INSERT INTO t(net, z) VALUES(10.5, 'z'), (1e300, NULL);
         CREATE TABLE u(x, y AS (x + 1)); INSERT INTO u VALUES(1),(2); DELETE FROM u WHERE x = 1;
         CREATE TABLE w(k PRIMARY KEY, g AS (k || k)) WITHOUT ROWID; INSERT INTO w VALUES('a');",
    )
    .round_trip();
    assert!(text.contains("INSERT INTO \"t\"(\"a\",\"net\",\"z\") VALUES\n(1,10.5,'z')"), "{text}");
}

#[test]
fn strict_and_without_rowid_tables_come_back() {
    Desk::with(
        "CREATE TABLE s(i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT;
         INSERT INTO s VALUES(1, 2, '3', x'04', '0005'), (NULL, -0.0, '', x'', 5.0), (1, 1e5, 'x', x'00', 1);
         CREATE TABLE w(k TEXT, n BLOB, v ANY, PRIMARY KEY(n DESC, k)) WITHOUT ROWID, STRICT;
         INSERT INTO w VALUES('a', x'01', '1'), ('b', x'', 1), ('c', x'02', NULL);",
    )
    .round_trip();
}

#[test]
fn rowids_come_back_with_gaps_negatives_and_a_descending_key() {
    let (text, _) = Desk::with(
        "CREATE TABLE plain(a); INSERT INTO plain(rowid, a) VALUES(-9223372036854775808, 'lowest'), (-3, 'c'), (7, 'd');
         CREATE TABLE key_desc(id INTEGER PRIMARY KEY DESC, a);
         INSERT INTO key_desc(rowid, id, a) VALUES(40, 2, 'x'), (50, 1, 'y');
         CREATE TABLE table_desc(id INTEGER, a, PRIMARY KEY(id DESC)); INSERT INTO table_desc VALUES(9, 1), (4, 2);
         CREATE TABLE int_key(id INT PRIMARY KEY, a); INSERT INTO int_key(rowid, id) VALUES(5, 1), (9, 0);
         CREATE TABLE taken(rowid, _ROWID_); INSERT INTO taken(oid, rowid) VALUES(77, 'not it');
         CREATE TABLE all_taken(rowid, _rowid_, oid); INSERT INTO all_taken VALUES(1, 2, 3), (4, 5, 6);
         CREATE TABLE alias(\"OID\" INTEGER PRIMARY KEY, rowid, _rowid_); INSERT INTO alias VALUES(-5, 1, 2), (8, 3, 4);",
    )
    .round_trip();
    assert!(text.contains("INSERT INTO \"key_desc\"(rowid,\"id\",\"a\") VALUES\n(40,2,'x'),\n(50,1,'y');"), "{text}");
    assert!(text.contains("INSERT INTO \"table_desc\" VALUES\n(4,2),\n(9,1);"), "{text}");
    assert!(text.contains("INSERT INTO \"taken\"(oid,\"rowid\",\"_ROWID_\") VALUES\n(77,'not it',NULL);"), "{text}");
}

#[test]
fn autoincrement_goes_on_where_it_stopped() {
    let desk = Desk::with(
        "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, x); INSERT INTO a VALUES(100, 'x'); DELETE FROM a;
         CREATE TABLE \"odd ' name\"(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO \"odd ' name\" VALUES(5);
         INSERT INTO sqlite_sequence VALUES('gone', 9), (NULL, 'text'), ('a''b', 2.5);
         UPDATE sqlite_sequence SET seq = 777 WHERE name = 'a';",
    );
    desk.round_trip();
    desk.loaded().execute_batch("INSERT INTO a(x) VALUES('next')").unwrap();
    assert_eq!(all(&desk.loaded(), "SELECT id FROM a"), ["i:778"]);
}

#[test]
fn counters_outlive_the_last_autoincrement_table() {
    let (text, _) = Desk::with(
        "CREATE TABLE tillstick_sequence_0(a); CREATE TABLE x(id INTEGER PRIMARY KEY AUTOINCREMENT);
         INSERT INTO x VALUES(3); DROP TABLE x; INSERT INTO sqlite_sequence VALUES('kept', 12);",
    )
    .round_trip();
    assert!(text.contains("CREATE TABLE \"tillstick_sequence_1\""), "{text}");
}

#[test]
fn what_analyze_found_comes_back() {
    let desk = Desk::with(
        "CREATE TABLE t(a, b); CREATE INDEX ta ON t(a); CREATE INDEX tab ON t(a, b);
         INSERT INTO t VALUES(1, 1), (1, 2), (2, 3); ANALYZE;
         INSERT INTO sqlite_stat1 VALUES('gone', 'gone_index', '5 1');",
    );
    desk.round_trip();
    assert_eq!(all(&desk.loaded(), "SELECT count(*) FROM sqlite_stat1"), ["i:3"]);
}

#[test]
fn names_may_be_anything() {
    let (_, facts) = Desk::with(
        "CREATE TABLE \"a\"\"b\"(\"c\"\"d\", [e.f], `g\nh`, \"select\", \"Größe €\"); INSERT INTO \"a\"\"b\" VALUES(1,2,3,4,5);
         CREATE TABLE \"main.t\"(a); INSERT INTO \"main.t\" VALUES(1);
         CREATE TABLE \"line\nfeed\"(\"it's\"); INSERT INTO \"line\nfeed\" VALUES('x');
         CREATE TABLE \"order\"(\"group\" INTEGER PRIMARY KEY, \"\"); INSERT INTO \"order\" VALUES(1, 2);
         CREATE TABLE \"Ünïcode\"(a); INSERT INTO \"Ünïcode\" VALUES(1);
         CREATE TABLE sqliteX(a); INSERT INTO sqliteX VALUES(1); CREATE TABLE \"\"(a); INSERT INTO \"\" VALUES(3);
         CREATE TABLE pragma_table_list(name, type); INSERT INTO pragma_table_list VALUES('x', 'virtual');
         CREATE TABLE \"; DROP TABLE x; --\"(\".quit\"); INSERT INTO \"; DROP TABLE x; --\" VALUES('.quit');
         CREATE INDEX \"index\" ON \"order\"(\"\"); CREATE VIEW \"view.\"\"x\" AS SELECT * FROM \"order\";",
    )
    .round_trip();
    assert_eq!(facts.tables.len(), 9);
}

#[test]
fn every_storage_class_comes_back_in_every_column() {
    let desk = Desk::with(
        "CREATE TABLE v(i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, x);
         CREATE TABLE empty(a, b);",
    );
    let db = desk.open();
    for value in [
        "NULL",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "5.0",
        "-0.0",
        "0.1",
        "1e15",
        "1e16",
        "1e100",
        "-1.5e-300",
        "9007199254740993.0",
        "9e999",
        "-9e999",
        "123456789012345678",
        "''",
        "'5'",
        "'5.0'",
        "'1e3'",
        "' 7 '",
        "'abc'",
        "'it''s'",
        "x''",
        "x'00ff'",
        "x'3132'",
        "CAST('12' AS BLOB)",
        "CAST(x'31320033' AS TEXT)",
        "'-- no comment'",
        "'a;\nb;\n.quit\n/\ngo\n'",
    ] {
        db.execute_batch(&format!("INSERT INTO v VALUES({})", [value; 6].join(","))).unwrap();
    }
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO v(r, x) SELECT round(i * 0.01, 2), round(i / 7.0, 6) FROM n;",
    )
    .unwrap();
    drop(db);
    let (text, _) = desk.round_trip();
    assert!(text.contains("9.0e+999") && text.contains("-9.0e+999"));
}

#[test]
fn text_with_line_ends_nul_and_invalid_utf_8_comes_back() {
    let desk = Desk::with("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b)");
    let db = desk.open();
    let texts: [&[u8]; 16] = [
        b"a\nb",
        b"a\r\nb",
        b"a\rb",
        b"\r\n",
        b"\n",
        b"\r",
        b"a\r\r\n",
        b"x\r\ny\n",
        b"\n\r",
        b"end\r",
        b"nul\0in\0",
        b"\0",
        b"\xff\xfe",
        b"caf\xe9",
        b"\xed\xa0\x80",
        b"it's\r\n'quoted'\r\n",
    ];
    for text in texts {
        db.execute("INSERT INTO t(a, b) VALUES(CAST(?1 AS TEXT), CAST(?1 AS TEXT))", params![text]).unwrap();
    }
    drop(db);
    desk.round_trip();
    assert_eq!(all(&desk.loaded(), "SELECT count(*) FROM t WHERE typeof(a) = 'text'"), ["i:16"]);
}

#[test]
fn a_utf_16_database_comes_back_unit_for_unit() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        let desk =
            Desk::with(&format!("PRAGMA encoding = '{encoding}'; CREATE TABLE \"tä\"(id INTEGER PRIMARY KEY, a)"));
        let db = desk.open();
        let texts: [&[u16]; 12] = [
            &[0x61],
            &[],
            &[0xe4, 0x20ac],
            &[0xd83e, 0xddc0],
            &[0xd83e],
            &[0xddc0, 0x61],
            &[0x61, 0, 0x62],
            &[0xfffe],
            &[0xffff],
            &[0xfeff, 0x61],
            &[0x61, 0x0d, 0x0a],
            &[0x27, 0x0d, 0x0d, 0x0a],
        ];
        for units in texts {
            let swap = encoding == "UTF-16be";
            let raw: Vec<u8> =
                units.iter().flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            db.execute("INSERT INTO \"tä\"(a) VALUES(CAST(?1 AS TEXT))", params![raw]).unwrap();
        }
        db.execute_batch("CREATE TABLE w(k TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES('ü'), ('a''b')")
            .unwrap();
        drop(db);
        let (text, facts) = desk.round_trip();
        assert_eq!(facts.properties["encoding"], encoding);
        assert!(text.contains("(3,'ä€')") && text.contains("(4,'🧀')"), "{text}");
    }
}

#[test]
fn wide_tables_come_back_up_to_the_last_column() {
    for (count, key) in [(99, ""), (1200, ""), (1200, "k INTEGER PRIMARY KEY, "), (2000, "")] {
        let names: Vec<String> = (0..count).map(|i| format!("c{i}")).collect();
        let values: Vec<String> = (0..count).map(|i| format!("{i}")).collect();
        let (names, values) = (names.join(","), values.join(","));
        let desk = Desk::with(&format!(
            "CREATE TABLE t({key}{names}); INSERT INTO t({names}) VALUES({values}); INSERT INTO t({names}) VALUES({values});"
        ));
        let (_, facts) = desk.round_trip();
        let warned = facts.warnings.iter().any(|warning| warning.contains("too wide"));
        assert_eq!(warned, count == 2000, "{:?}", facts.warnings);
    }
}

#[test]
fn keys_of_tables_without_rowid_may_be_text_or_blobs() {
    Desk::with(
        "CREATE TABLE w(a TEXT COLLATE NOCASE, b BLOB, v, PRIMARY KEY(a, b)) WITHOUT ROWID;
         INSERT INTO w VALUES('B', x'00', 1), ('a', x'ff', 2), ('a', x'', 3), ('Ä', 'text', NULL);",
    )
    .round_trip();
}

#[test]
fn views_triggers_and_indexes_come_back_verbatim() {
    let desk = Desk::with(
        "CREATE TABLE t(a, b UNIQUE, c COLLATE NOCASE, UNIQUE(a, c)); INSERT INTO t VALUES(1, 2, 'x'), (2, NULL, 'X');
         CREATE VIEW orphan AS SELECT * FROM nowhere; CREATE VIEW second AS SELECT * FROM first;
         CREATE VIEW first AS SELECT a FROM t;
         CREATE INDEX part ON t(a) WHERE b IS NOT NULL; CREATE INDEX expr ON t(a + 1, lower(c) DESC);
         CREATE UNIQUE INDEX u ON t(a);
         CREATE TRIGGER count AFTER INSERT ON t WHEN new.a > 5 BEGIN
           UPDATE t SET b = NULL WHERE a = new.a; -- it's; a; comment
           END;
         CREATE TRIGGER broken AFTER DELETE ON t BEGIN DELETE FROM nowhere; END;
         CREATE TRIGGER through INSTEAD OF INSERT ON first BEGIN INSERT INTO t(a) VALUES(new.a); END;",
    );
    desk.round_trip();
    desk.loaded().execute_batch("INSERT INTO first VALUES(3)").unwrap();
}

#[test]
fn statements_that_end_in_a_comment_are_ended() {
    let desk = Desk::with(
        "CREATE TABLE a(x) -- a till's note; with a semicolon
         ;
         CREATE TABLE b(x /* inner */, y) /* after */;
         CREATE VIEW v AS SELECT 1 -- no line feed",
    );
    desk.open().execute_batch("CREATE TABLE c(x) /* never closed").unwrap();
    desk.open().execute_batch("CREATE INDEX i ON a(x) -- index").unwrap();
    desk.round_trip();
}

#[test]
fn data_that_breaks_the_rules_is_still_dumped_and_loaded() {
    Desk::with(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
         CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(p REFERENCES parent(id) ON DELETE CASCADE, n CHECK(n > 0));
         INSERT INTO child VALUES(99, -5), (98, 0);",
    )
    .round_trip();
}

#[test]
fn the_shell_normalises_line_ends_of_the_schema_and_nothing_else() {
    let desk = Desk::with("CREATE TABLE t(a,\r\n b DEFAULT 'x'); INSERT INTO t VALUES('r\r\ns', 2)");
    let text = desk.dump().0;
    assert!(text.contains("CREATE TABLE t(a,\r\n b DEFAULT 'x');"), "{text}");
    let loaded = desk.path("loaded.db");
    assert_eq!(shell(&loaded, text.as_bytes()), "");
    sqlite_kit::same(&desk.db(), &loaded);
}

#[test]
fn the_growth_of_one_table_leaves_the_chunks_of_the_next_alone() {
    let desk = Desk::with(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(id INTEGER PRIMARY KEY, x);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 21000)
         INSERT INTO a SELECT i, 'row ' || i FROM n; INSERT INTO b SELECT id, x || '!' FROM a;",
    );
    let chunks = || {
        let cancel = Cancel::default();
        let mut sink = Chunks::new(64 << 10);
        desk.source().dump(&mut sink, &Run { monitor: &Quiet, cancel: &cancel }).unwrap();
        sink.chunks
    };
    let before = chunks();
    desk.open().execute_batch("INSERT INTO a(x) VALUES('one more'), ('two more'); DELETE FROM a WHERE id = 7").unwrap();
    let after = chunks();
    assert!(after.iter().any(|chunk| chunk.starts_with(b"CREATE TABLE b")), "a table begins a chunk");
    let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
    assert!(before.len() > 8 && new <= 3, "{new} of {} chunks are new", after.len());
}
