//! Virtual tables come back with their content, loaded by the real sqlite3 shell.

mod sqlite_kit;

use sqlite_kit::{Desk, all, shell};

#[test]
fn fts5_tables_come_back_with_rows_settings_and_the_same_answers() {
    let desk = Desk::with(
        "CREATE TABLE z(a); CREATE VIRTUAL TABLE \"f\"\"t\" USING fts5(title, body, code UNINDEXED, tokenize = 'porter');
         INSERT INTO \"f\"\"t\"(rowid, title, body, code) VALUES(-5, 'Käse', 'running ''fast''', 7), (90, 'b', NULL, x'00ff');
         INSERT INTO \"f\"\"t\"(\"f\"\"t\", rank) VALUES('rank', 'bm25(10.0, ''5'')'), ('automerge', 8), ('pgsz', 512);
         CREATE VIRTUAL TABLE words USING fts5vocab(\"f\"\"t\", row);",
    );
    let (text, facts) = desk.round_trip();
    let rows: Vec<_> = facts.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("z", 0), ("f\"t", 2)]);
    assert!(!text.contains("_data\""), "shadow tables are not dumped: {text}");
    let ask = "SELECT rowid, code, typeof(code) FROM \"f\"\"t\" WHERE \"f\"\"t\" MATCH 'run OR b' ORDER BY rowid";
    assert_eq!(all(&desk.loaded(), ask), all(&desk.open(), ask));
    let settings = "SELECT k, v FROM \"f\"\"t_config\" ORDER BY k";
    assert_eq!(all(&desk.loaded(), settings), all(&desk.open(), settings));
    assert_eq!(all(&desk.loaded(), "SELECT term FROM words"), all(&desk.open(), "SELECT term FROM words"));
    desk.loaded().execute_batch("INSERT INTO \"f\"\"t\"(\"f\"\"t\") VALUES('integrity-check')").unwrap();
}

#[test]
fn an_fts5_table_over_another_table_or_view_is_built_anew() {
    let desk = Desk::with(
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, note TEXT);
         INSERT INTO item VALUES(3, 'coffee', 'hot'), (8, 'tea', 'cold');
         CREATE VIEW shown AS SELECT id AS k, upper(name) AS name FROM item;
         CREATE VIRTUAL TABLE of_table USING fts5(name, note, content='item', content_rowid='id');
         CREATE VIRTUAL TABLE of_view USING fts5(name, content=shown, content_rowid=k);
         INSERT INTO of_table(of_table) VALUES('rebuild'); INSERT INTO of_view(of_view) VALUES('rebuild');
         CREATE TRIGGER item_new AFTER INSERT ON item BEGIN
           INSERT INTO of_table(rowid, name, note) VALUES(new.id, new.name, new.note); END;",
    );
    desk.round_trip();
    for ask in ["SELECT rowid FROM of_table WHERE of_table MATCH 'cold'", "SELECT rowid FROM of_view('coffee')"] {
        assert_eq!(all(&desk.loaded(), ask), all(&desk.open(), ask));
        assert_eq!(all(&desk.loaded(), ask).len(), 1);
    }
    desk.loaded().execute_batch("INSERT INTO of_table(of_table) VALUES('integrity-check')").unwrap();
}

#[test]
fn contentless_and_orphaned_fts5_tables_come_back_with_the_same_answers() {
    let desk = Desk::with_shell(
        "CREATE VIRTUAL TABLE bare USING fts5(a, b, content='');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO bare(rowid, a, b) SELECT i * 3, 'word' || (i % 10), 'other ' || i FROM n;
         CREATE TABLE gone(x); CREATE VIRTUAL TABLE orphan USING fts5(x, content='gone');
         INSERT INTO gone VALUES('lost text'); INSERT INTO orphan(orphan) VALUES('rebuild'); DROP TABLE gone;",
    );
    let (_, facts) = desk.round_trip();
    assert!(facts.warnings.is_empty(), "{:?}", facts.warnings);
    for ask in [
        "SELECT rowid FROM bare WHERE bare MATCH 'word7 AND other' ORDER BY bm25(bare), rowid",
        "SELECT count(*) FROM bare",
        "SELECT count(*), sum(length(block)) FROM bare_data",
    ] {
        assert_eq!(all(&desk.loaded(), ask), all(&desk.open(), ask), "{ask}");
    }
    assert_eq!(shell(&desk.path("loaded.db"), b"SELECT count(*) FROM bare('word3');"), "50\n");
    assert_eq!(
        all(&desk.loaded(), "SELECT id FROM orphan_docsize"),
        all(&desk.open(), "SELECT id FROM orphan_docsize")
    );
    desk.loaded().execute_batch("INSERT INTO bare(bare) VALUES('integrity-check')").unwrap();
}

#[test]
fn fts3_and_fts4_tables_come_back() {
    let desk = Desk::with(
        "CREATE VIRTUAL TABLE f3 USING fts3(a, b); INSERT INTO f3(docid, a, b) VALUES(7, 'x y', 1.0), (-2, 'y', NULL);
         CREATE VIRTUAL TABLE f4 USING fts4(a, languageid=\"lid\", prefix='2', notindexed=a);
         INSERT INTO f4(a, lid) VALUES('hallo', 49), ('hello', 44);
         CREATE TABLE item(id INTEGER PRIMARY KEY, name); INSERT INTO item VALUES(4, 'tea'), (6, 'milk');
         CREATE VIRTUAL TABLE over USING fts4(content=\"item\", name); INSERT INTO over(over) VALUES('rebuild');
         CREATE VIRTUAL TABLE bare USING fts4(content='', a); INSERT INTO bare(docid, a) VALUES(11, 'only index');",
    );
    desk.round_trip();
    for ask in [
        "SELECT docid, a, b, typeof(b) FROM f3 WHERE f3 MATCH 'y'",
        "SELECT docid, lid FROM f4",
        "SELECT docid FROM over WHERE over MATCH 'milk'",
        "SELECT docid FROM bare WHERE bare MATCH 'index'",
    ] {
        assert_eq!(all(&desk.loaded(), ask), all(&desk.open(), ask), "{ask}");
        assert!(!all(&desk.loaded(), ask).is_empty(), "{ask}");
    }
}

#[test]
fn r_trees_come_back_with_their_extra_columns() {
    let desk = Desk::with(
        "CREATE VIRTUAL TABLE shops USING rtree(\"id\", x0, x1, y0, y1, +name, +extra BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO shops SELECT (i * 7919) % 1009, i * 0.1, i * 0.1 + 1, -i, -i / 3.0 + 9, 'shop ''' || i, x'00' FROM n;
         CREATE VIRTUAL TABLE grid USING rtree_i32(id, a, b); INSERT INTO grid VALUES(5, -3, 8), (-1, 2, 2);",
    );
    let (_, facts) = desk.round_trip();
    assert_eq!((facts.tables[0].rows, facts.tables[1].rows), (500, 2));
    for ask in ["SELECT * FROM shops ORDER BY id", "SELECT * FROM grid ORDER BY id"] {
        assert_eq!(all(&desk.loaded(), ask), all(&desk.open(), ask));
    }
    assert_eq!(all(&desk.loaded(), "SELECT rtreecheck('shops')"), ["t:ok"]);
}

#[test]
fn a_virtual_table_of_an_unknown_module_leaves_a_comment_and_its_tables() {
    let desk = Desk::with("CREATE TABLE \"odd\nname_data\"(id INTEGER PRIMARY KEY, block); CREATE TABLE t(a)");
    let db = desk.open();
    db.execute_batch("INSERT INTO \"odd\nname_data\" VALUES(1, x'00')").unwrap();
    db.pragma_update(None, "writable_schema", true).unwrap();
    db.execute_batch(
        "INSERT INTO sqlite_schema VALUES('table', 'odd\nname', 'odd\nname', 0,
         'CREATE VIRTUAL TABLE \"odd\nname\" USING spellfix1(a)')",
    )
    .unwrap();
    drop(db);
    let (text, facts) = desk.dump();
    let loaded = desk.path("loaded.db");
    assert_eq!(shell(&loaded, text.as_bytes()), "");
    assert!(text.contains("-- virtual table \"odd\\nname\" is left out: \"no such module: spellfix1\""), "{text}");
    assert_eq!(facts.warnings.len(), 1, "{:?}", facts.warnings);
    assert!(!facts.warnings[0].contains('\n'));
    assert_eq!(all(&desk.loaded(), "SELECT * FROM \"odd\nname_data\""), ["i:1|b:[00]"]);
}

#[test]
fn an_fts5_table_with_an_unknown_tokenizer_keeps_its_tables() {
    let desk = Desk::with("CREATE VIRTUAL TABLE ft USING fts5(a, tokenize='unicode61'); INSERT INTO ft VALUES('text')");
    let db = desk.open();
    db.pragma_update(None, "writable_schema", true).unwrap();
    db.execute_batch("UPDATE sqlite_schema SET sql = replace(sql, 'unicode61', 'snowball') WHERE name = 'ft'").unwrap();
    drop(db);
    let (text, facts) = desk.dump();
    let loaded = desk.path("loaded.db");
    assert_eq!(shell(&loaded, text.as_bytes()), "");
    assert!(facts.warnings[0].contains("snowball") || facts.warnings[0].contains("tokenizer"), "{:?}", facts.warnings);
    assert_eq!(all(&desk.loaded(), "SELECT c0 FROM ft_content"), ["t:text"]);
}

#[test]
fn settings_that_an_old_shell_does_not_know_are_left_out_with_a_warning() {
    let desk = Desk::with(
        "CREATE VIRTUAL TABLE ft USING fts5(a); INSERT INTO ft(ft, rank) VALUES('secure-delete', 1);
         INSERT INTO ft VALUES('text');",
    );
    let (text, facts) = desk.dump();
    assert_eq!(shell(&desk.path("loaded.db"), text.as_bytes()), "");
    assert!(facts.warnings.iter().any(|warning| warning.contains("secure-delete")), "{:?}", facts.warnings);
    assert_eq!(all(&desk.loaded(), "SELECT a FROM ft('text')"), ["t:text"]);
}

#[test]
fn a_collation_of_the_tills_own_is_a_warning_and_the_rows_are_dumped() {
    let desk = Desk::with(
        "CREATE TABLE t(a TEXT COLLATE nocase UNIQUE); INSERT INTO t VALUES('Ä');
         CREATE TABLE w(k TEXT COLLATE nocase PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES('ö');",
    );
    let db = desk.open();
    db.pragma_update(None, "writable_schema", true).unwrap();
    db.execute_batch("UPDATE sqlite_schema SET sql = replace(sql, 'nocase', 'german')").unwrap();
    drop(db);
    let (text, facts) = desk.dump();
    assert!(text.contains("(1,'Ä')") && text.contains("('ö')"), "{text}");
    assert_eq!(facts.warnings.len(), 2, "{:?}", facts.warnings);
    assert!(facts.warnings[0].contains("\"german\""));
}
