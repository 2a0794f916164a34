//! PostgreSQL: round trips, what goes wrong, and what a hostile dump tries.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kit::{POSTGRESQL, Postgresql, Shop, comes_back, cut_after, feed, tillstick};

const SCHEMA: &str = r#"
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA lager;
CREATE TYPE farbe AS ENUM ('rot', 'blau');
CREATE DOMAIN plz AS text CHECK (value ~ '^[0-9]{5}$');
CREATE TABLE kunde(id serial PRIMARY KEY, name text NOT NULL, p plz, f farbe, j jsonb, b bytea, bt bit(5), d numeric(20,5),
  ts timestamptz, t time, r float8, a int[], g numeric GENERATED ALWAYS AS (d * 2) STORED, i int GENERATED ALWAYS AS IDENTITY);
INSERT INTO kunde(name,p,f,j,b,bt,d,ts,t,r,a) VALUES
 (E'M\\ü\n''\tller; \\. \\! x','12345','rot','{"a":"x\ny"}',E'\\x00ff0a27',B'10101',1.5,'2020-01-01 00:00+00','12:00',0.1,'{1,NULL,3}'),
 ('\.',NULL,NULL,NULL,'',NULL,'NaN','infinity',NULL,'-Infinity','{}');
CREATE TABLE lager.bon(id int PRIMARY KEY, k int REFERENCES kunde(id));
INSERT INTO lager.bon VALUES (1,1),(2,2);
CREATE TABLE teil(id int, x int) PARTITION BY RANGE(id);
CREATE TABLE teil_1 PARTITION OF teil FOR VALUES FROM (0) TO (250);
CREATE TABLE teil_2 PARTITION OF teil FOR VALUES FROM (250) TO (1000);
INSERT INTO teil SELECT i, i*7 FROM generate_series(1,500) i;
CREATE VIEW vv AS SELECT k.name, b.id FROM kunde k JOIN lager.bon b ON b.k = k.id;
CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS n FROM lager.bon;
CREATE INDEX ix ON kunde (lower(name)) WHERE id > 0;
CREATE SEQUENCE sq START 5; SELECT nextval('sq');
CREATE FUNCTION fu(x int) RETURNS int LANGUAGE plpgsql AS $body$ BEGIN
COPY t FROM stdin;
\! touch x
RETURN x + 1; END $body$;
CREATE OR REPLACE FUNCTION fu(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN x > 0 THEN x + 1 END; SELECT x + 1; END;
CREATE FUNCTION trf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER tr BEFORE INSERT ON lager.bon FOR EACH ROW EXECUTE FUNCTION trf();
CREATE RULE ru AS ON DELETE TO vv DO INSTEAD (DELETE FROM lager.bon WHERE id = old.id; SELECT 1);
ALTER TABLE kunde ENABLE ROW LEVEL SECURITY;
CREATE POLICY po ON kunde USING (true);
COMMENT ON TABLE kunde IS 'it''s; \! nothing';
SELECT lo_from_bytea(0, '\x00ff');
"#;

pub(crate) fn make(server: &Postgresql, name: &str) {
    server.sql("postgres", &format!("CREATE DATABASE {name}"));
    let schema = SCHEMA.replace("\nCOPY t FROM stdin;\n\\! touch x\n", "\n-- COPY t FROM stdin;\n-- \\! touch x\n");
    server.sql(name, &schema);
}

/// Every row, in order, hashed; and the values of sequences.
fn content(server: &Postgresql, name: &str) -> String {
    let tables = ["kunde", "lager.bon", "teil", "teil_1", "mv", "vv"];
    let hash = |table: &&str| {
        format!("SELECT '{table}', count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t;")
    };
    let mut sql: String = tables.iter().map(hash).collect();
    sql +=
        "SELECT last_value, is_called FROM sq; SELECT fu(1); SELECT encode(lo_get(loid), 'hex') FROM pg_largeobject;";
    server.sql(name, &sql)
}

#[test]
fn every_kind_of_object_comes_back_and_the_text_tells_of_the_database_alone() {
    let server = &*POSTGRESQL;
    make(server, "every");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = comes_back(dir.path(), |database| server.url(database), |database| content(server, database));

    // An auditor's own psql needs nothing of ours.
    server.sql("postgres", "CREATE DATABASE every_plain");
    let mut psql = std::process::Command::new(Postgresql::programs().join("psql"));
    psql.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "every_plain", "-h"])
        .arg(&server.dir);
    feed(&mut psql, &text).exits(0);
    assert_eq!(content(server, "every_plain"), content(server, "every"));

    tillstick(["load", &path("1.sql.gz"), &server.url("every_back")]).exits(1).says(&["nothing is overwritten"]);
    let mut own = std::process::Command::new(Postgresql::programs().join("pg_dump"));
    let own = own.args(["-U", "postgres", "-h"]).arg(&server.dir).arg("every").output().unwrap().stdout;
    fs::write(path("own.sql"), &own).unwrap();
    tillstick(["load", &path("own.sql"), &server.url("every_own")]).exits(0);
    assert_eq!(content(server, "every_own"), content(server, "every"));
    for (name, text) in [("half.sql", &own), ("half_ours.sql", &text)] {
        fs::write(path(name), &text[..text.len() - 300]).unwrap();
        tillstick(["load", &path(name), &server.url("every_half")]).exits(1).says(&["the dump ends"]);
        assert_eq!(server.sql("postgres", "SELECT 1 FROM pg_database WHERE datname='every_half'"), "");
    }
}

#[test]
fn a_backup_is_drilled_looked_at_and_put_in_place_and_the_old_database_stays() {
    let server = &*POSTGRESQL;
    make(server, "place");
    let shop = Shop::new(&server.source("place"));
    let before = content(server, "place");
    let id = shop.backup();
    shop.run(&["check", "--drill"]).exits(0);
    assert_eq!(server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'tillstick%'"), "");
    server.sql("place", "DELETE FROM lager.bon; CREATE TABLE later(a int); INSERT INTO later VALUES (7);");
    shop.run(&["restore", &id, "--into", "place_look"]).exits(0);
    assert_eq!(content(server, "place_look"), before);
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
    assert_eq!(content(server, "place"), before);
    assert_eq!(
        server.sql(&format!("place_before_{id}"), "SELECT a FROM later; SELECT count(*) FROM lager.bon"),
        "7\n0\n"
    );
    assert_eq!(server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'place_new%'"), "");
}

#[test]
fn a_database_in_use_stays_in_service() {
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE busy");
    server.sql("busy", "CREATE TABLE t(a int); INSERT INTO t VALUES (1)");
    let shop = Shop::new(&server.source("busy"));
    let id = shop.backup();
    let mut psql = std::process::Command::new(Postgresql::programs().join("psql"));
    psql.args(["-XqAt", "-U", "postgres", "-d", "busy", "-c", "SELECT pg_sleep(60)", "-h"]).arg(&server.dir);
    let mut user = psql.spawn().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'busy'";
    crate::kit::eventually("a session", || server.sql("postgres", sessions) == "1\n");
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(1).says(&["is in use", "stop the application"]);
    assert_eq!(server.sql("busy", "SELECT a FROM t"), "1\n");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'busy%'"), "1\n");
    user.kill().unwrap();
    user.wait().unwrap();
}

#[test]
fn a_ledger_balances_while_it_is_written() {
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE ledger");
    server.sql(
        "ledger",
        "CREATE TABLE a AS SELECT i AS id, 0::bigint AS v FROM generate_series(1,50) i; CREATE TABLE z AS TABLE a;\
        CREATE TABLE filler AS SELECT i, repeat('x', 150) AS t FROM generate_series(1,20000) i;",
    );
    let stop = AtomicBool::new(false);
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut step = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let booking = |step: u64| {
                    format!(
                        "BEGIN; UPDATE a SET v=v+{step} WHERE id={}; UPDATE z SET v=v-{step} WHERE id={}; COMMIT;",
                        step % 50 + 1,
                        step % 49 + 1
                    )
                };
                server.sql("ledger", &(step..step + 200).map(booking).collect::<String>());
                step += 200;
            }
        });
        for round in 0..4 {
            let file = dir.path().join(format!("{round}.sql.gz")).display().to_string();
            tillstick(["dump", &server.url("ledger"), "-o", &file]).exits(0);
            let name = format!("ledger_{round}");
            tillstick(["load", &file, &server.url(&name)]).exits(0);
            assert_eq!(server.sql(&name, "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM z)"), "0\n");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_goes_wrong_is_told_with_its_remedy() {
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE rights; CREATE ROLE weak LOGIN;");
    server.sql("rights", "CREATE TABLE t(a int); CREATE TABLE u(a int); ALTER TABLE u ENABLE ROW LEVEL SECURITY;");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.sql.gz");
    let dump = |url: &str| tillstick(["dump", url, "-o", &out.display().to_string()]);
    dump(&server.url_as("weak", "rights")).exits(2).says(&["may not do", "GRANT pg_read_all_data"]);
    server.sql("postgres", "GRANT pg_read_all_data TO weak");
    dump(&server.url_as("weak", "rights")).exits(2).says(&["policies for rows", "ALTER ROLE \"weak\" BYPASSRLS"]);
    server.sql("postgres", "ALTER ROLE weak BYPASSRLS");
    dump(&server.url_as("weak", "rights")).exits(0);
    fs::remove_file(&out).unwrap();
    dump(&server.url("nowhere")).exits(1).says(&["no database \"nowhere\""]);
    let gone = server.url("rights").replace("/p&", "/gone&");
    dump(&gone).exits(1).says(&["does not answer"]);
    assert!(!out.exists());
}

#[test]
fn a_hostile_dump_starts_nothing_and_leaves_nothing() {
    let server = &*POSTGRESQL;
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark").display().to_string();
    for (number, hostile) in [
        format!("\\! touch {mark}\n"),
        format!("CREATE TABLE t(a int);\nSELECT 1 \\! touch {mark}\n"),
        format!("CREATE TABLE t(a text);\n\\copy t FROM PROGRAM 'touch {mark}'\n"),
        format!("CREATE TABLE t(a text);\nCOPY t FROM PROGRAM 'touch {mark}';\n"),
        "CREATE ROLE eve SUPERUSER;\n".into(),
        "DROP DATABASE postgres;\n".into(),
        format!("DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {mark}'''; END $$;\n"),
    ]
    .iter()
    .enumerate()
    {
        let file = dir.path().join("h.sql");
        fs::write(&file, hostile).unwrap();
        let name = format!("hostile_{number}");
        let ran = tillstick(["load", &file.display().to_string(), &server.url(&name)]).exits(1);
        assert!(!Path::new(&mark).exists(), "{hostile}");
        let left = server.sql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname='{name}'"));
        assert_eq!(left, "", "{hostile}: {}", ran.err);
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname='eve'"), "0\n");
}

#[test]
fn a_connection_that_drops_leaves_no_dump() {
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE dropped");
    server.sql("dropped", "CREATE TABLE t AS SELECT i, repeat('x', 900) AS x FROM generate_series(1, 10000) i");
    let port = cut_after(server.dir.join(".s.PGSQL.5432"), 3_000_000);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("o.sql.gz");
    let url = format!("postgresql://postgres@127.0.0.1:{port}/dropped?programs={}", Postgresql::programs().display());
    tillstick(["dump", &url, "-o", &out.display().to_string()]).exits(1).says(&["went away in the middle"]);
    assert!(!out.exists());
}
