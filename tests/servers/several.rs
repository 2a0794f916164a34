//! One source of several databases, or of all that a server has; and the server's accounts.

use std::fs;
use std::process::Command;

use crate::kit::{MARIADB, Mariadb, POSTGRESQL, Postgresql, Shop, feed, gunzip};

/// The names of the artifacts of a backup.
fn artifacts(shop: &Shop, id: &str) -> Vec<String> {
    let entries = fs::read_dir(shop.dir.path().join("backups").join(id)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".gz")).collect();
    names.sort();
    names
}

/// A shop whose source means `databases`.
fn shop_of(source: &str, databases: &str) -> Shop {
    Shop::new(&source.replace("database = \"x\"", databases))
}

/// What is the same on both servers: `all` is taken, a new one and one that is gone are told, each can be restored.
fn all_of_a_server(source: &str, sql: &dyn Fn(&str, &str) -> String, create: &str, drop: &str) {
    let make = |name: &str| {
        sql("", &create.replace("NAME", name));
        sql(name, &format!("CREATE TABLE t(a int); INSERT INTO t VALUES ({})", name.len()));
    };
    for name in ["one", "three", "scratch"] {
        make(name);
    }
    let shop = shop_of(source, "databases = \"all\"\nexcept = [\"scratch\"]");
    let id = shop.backup();
    assert_eq!(artifacts(&shop, &id), ["004711_one.sql.gz", "004711_three.sql.gz"]);
    shop.run(&["list"]).exits(0).prints(&[&id]);
    shop.run(&["check", "--drill"]).exits(0);
    shop.run(&["restore", &id, "--into", "look"]).exits(2).says(&["several artifacts", "--source: one, three"]);
    shop.run(&["restore", &id, "--source", "one", "--into", "look"]).exits(0);
    assert_eq!(sql("look", "SELECT a FROM t"), "3\n");
    sql("", &drop.replace("NAME", "look"));

    make("seven77");
    let ran = shop.run(&["backup"]).exits(0).says(&["the database `seven77` is new"]);
    assert!(!ran.err.contains("is gone"), "{}", ran.err);
    sql("one", "DELETE FROM t");
    shop.run(&["restore", &id, "--source", "one", "--in-place", "--yes"]).exits(0);
    assert_eq!(sql("one", "SELECT a FROM t"), "3\n");
    sql("", &drop.replace("NAME", "three"));
    let ran = shop
        .run(&["backup"])
        .exits(0)
        .says(&["the database `three` is gone from the server; it was last backed up in"]);
    // What the restore set aside is not one of the shop's databases.
    assert!(!ran.err.contains("is new"), "{}", ran.err);
    let newest = shop.newest();
    assert_eq!(artifacts(&shop, &newest), ["004711_one.sql.gz", "004711_seven77.sql.gz"]);
    assert_eq!(shop.run(&["backup"]).exits(0).err.matches("gone").count(), 0, "it is told once");
    // One that is gone can still be had.
    shop.run(&["restore", &id, "--source", "three", "--in-place", "--yes"]).exits(0);
    assert_eq!(sql("three", "SELECT a FROM t"), "5\n");
    // The file alone, by its database's name.
    let file = shop.dir.path().join("backups").join(&id).join("004711_three.sql.gz").display().to_string();
    shop.run(&["restore", &file, "--source", "three", "--into", "three_look"]).exits(0);
    assert_eq!(sql("three_look", "SELECT a FROM t"), "5\n");
}

#[test]
fn all_databases_of_mariadb_become_artifacts_of_their_own() {
    let server = Mariadb::start("all");
    let sql = |name: &str, sql: &str| match name {
        "" => server.sql(sql),
        name => server.sql(&format!("USE {name}; {sql}")),
    };
    all_of_a_server(&server.source("x"), &sql, "CREATE DATABASE NAME", "DROP DATABASE NAME");
    // Whom the server does not show all of them would leave some out without a word.
    server.sql("CREATE USER some@localhost; GRANT ALL ON one.* TO some@localhost; GRANT SELECT ON mysql.proc TO some@localhost");
    let weak = shop_of(&server.source("x").replace("\"root\"", "\"some\""), "databases = \"all\"");
    weak.run(&["backup"]).exits(2).says(&["does not show all databases", "GRANT SHOW DATABASES"]);
    server.sql("CREATE DATABASE `One`");
    let shop = shop_of(&server.source("x"), "databases = \"all\"");
    shop.run(&["backup"]).exits(2).says(&["two files would be called", "`except`"]);
}

#[test]
fn all_databases_of_postgresql_become_artifacts_of_their_own() {
    let server = Postgresql::start("pall");
    let sql = |name: &str, sql: &str| server.sql(if name.is_empty() { "postgres" } else { name }, sql);
    all_of_a_server(&server.source("x"), &sql, "CREATE DATABASE NAME", "DROP DATABASE NAME");
    // The one that every server has is taken once something is in it.
    sql("", "CREATE TABLE here(a int)");
    let shop = shop_of(&server.source("x"), "databases = \"all\"");
    let id = shop.backup();
    assert!(artifacts(&shop, &id).contains(&"004711_postgres.sql.gz".to_owned()));
}

#[test]
fn named_databases_are_all_required() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE named_a; CREATE TABLE named_a.t(a int); CREATE DATABASE named_b; CREATE TABLE named_b.t(a int)");
    let shop = shop_of(&server.source("x"), "databases = [\"named_a\", \"named_b\"]");
    let id = shop.backup();
    assert_eq!(artifacts(&shop, &id), ["004711_named_a.sql.gz", "004711_named_b.sql.gz"]);
    shop.run(&["check", "--drill"]).exits(0);
    server.sql("DROP DATABASE named_b");
    shop.run(&["backup"]).exits(1).says(&["database `named_b` of source `shop`", "there is no database"]);
    for (wrong, why) in [
        ("databases = []", "it names none"),
        ("databases = \"every\"", "expected a list"),
        ("databases = [\"a:b\"]", "its file would be called after it"),
        ("database = \"a\"\ndatabases = [\"b\"]", "beside `databases`"),
        ("database = \"a\"\nexcept = [\"b\"]", "takes from `databases"),
    ] {
        shop_of(&server.source("x"), wrong).run(&["config", "check"]).exits(2).says(&[why]);
    }
}

#[test]
fn a_fresh_box_gets_its_servers_databases_back_in_one_step() {
    let server = Mariadb::start("recover");
    server.sql("CREATE DATABASE one; CREATE TABLE one.t(a int); INSERT INTO one.t VALUES (1); CREATE DATABASE two; CREATE TABLE two.t(a int)");
    let shop = shop_of(&server.source("x"), "databases = \"all\"\naccounts = \"grants\"");
    let stick = shop.dir.path().join("stick.img").display().to_string();
    feed(Command::new("mkfs.vfat").args(["-F", "32", "-C", &stick, "65536"]), b"").exits(0);
    shop.run(&["backup", "--stick", &stick]).exits(0);
    // The box is lost with all it had, and one of the databases.
    for name in ["state", "backups"] {
        fs::remove_dir_all(shop.dir.path().join(name)).unwrap();
    }
    fs::remove_file(shop.dir.path().join("tillstick.toml")).unwrap();
    server.sql("DROP DATABASE one; INSERT INTO two.t VALUES (5)");
    let ran = shop.run(&["recover", &stick, "--yes"]).exits(0);
    let beside = shop.dir.path().join("backups/recovered");
    ran.prints(&[
        "on its server  \"one\"",
        "004711_two.sql.gz",
        "nothing is overwritten",
        "--source two --in-place",
        "holds the accounts",
    ]);
    assert_eq!(server.sql("SELECT a FROM one.t; SELECT a FROM two.t"), "1\n5\n");
    let mut left: Vec<_> =
        fs::read_dir(beside).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["004711_shop_accounts.sql.gz", "004711_two.sql.gz"]);
}

#[test]
fn progress_is_told_by_the_servers_statistics_and_room_is_judged_before_a_dump() {
    MARIADB.sql("CREATE DATABASE told; USE told; CREATE TABLE told.t(id int PRIMARY KEY, x varchar(200)); INSERT INTO told.t SELECT seq, REPEAT('x', 100 + seq MOD 50) FROM seq_1_to_50000; ANALYZE TABLE told.t");
    POSTGRESQL.sql("postgres", "CREATE DATABASE told");
    POSTGRESQL.sql(
        "told",
        "CREATE TABLE t AS SELECT i, repeat('x', 100 + i % 50) AS x FROM generate_series(1, 50000) i; ANALYZE",
    );
    for source in [MARIADB.source("told"), POSTGRESQL.source("told")] {
        let shop = Shop::new(&source);
        let ran = shop.run(&["--json", "backup"]).exits(0);
        let events: Vec<serde_json::Value> =
            ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let begun = events.iter().find(|event| event["event"] == "begin" && event["stage"] == "dump").unwrap();
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let (promised, came) =
            (begun["total"].as_f64().unwrap(), report["artifacts"][0]["text_size"].as_f64().unwrap());
        assert!((0.4..2.5).contains(&(promised / came)), "{promised} were promised, and {came} came");
        let at = |event: &&serde_json::Value| event["event"] == "progress";
        let after = events.iter().skip_while(|event| *event != begun).take_while(|event| event["event"] != "end");
        let done: Vec<f64> = after.filter(at).map(|event| event["done"].as_f64().unwrap()).collect();
        assert!(!done.is_empty() && done.is_sorted() && *done.last().unwrap() <= came, "{done:?}");

        let path = shop.dir.path().join("tillstick.toml");
        fs::write(&path, shop.config().replace("min_free = \"1MB\"", "min_free = \"900TB\"")).unwrap();
        fs::remove_dir_all(shop.dir.path().join("backups")).unwrap();
        let ran = shop.run(&["--json", "backup"]).exits(1).says(&["this backup needs about"]);
        assert!(!ran.err.contains("\"dump\""), "nothing was begun: {}", ran.err);
        let needed: f64 = ran.err.split("about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(needed > came / 6.0 && needed < came * 2.0 + 2e7, "{needed} of {came}");
    }
}

/// What is said to whoever restores accounts, and what they get.
fn accounts(shop: &Shop, words: &[&str], hash: &str) -> String {
    let id = shop.backup();
    let name = "shop_accounts";
    let text = gunzip(&shop.dir.path().join("backups").join(&id).join(format!("004711_{name}.sql.gz")));
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.contains(hash), shop.config().contains("\"passwords\""), "{text}");
    shop.run(&["check", "--drill"])
        .exits(0)
        .prints(&["004711_shop.sql.gz  restored and equal", "004711_shop_accounts.sql.gz  good"]);
    shop.run(&["restore", &id, "--source", name, "--dry-run"]).exits(0).prints(words);
    shop.run(&["restore", &id, "--source", name, "--in-place", "--yes"])
        .exits(2)
        .says(&["are not put back by themselves", "--into"]);
    let file = shop.dir.path().join(format!("{id}.sql")).display().to_string();
    shop.run(&["restore", &id, "--source", name, "--into", &file]).exits(0);
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(written, text);
    shop.run(&["restore", &id, "--source", name, "--into", &file]).exits(1).says(&["is there"]);
    written
}

#[test]
fn accounts_of_mariadb_are_shown_and_written_and_never_applied() {
    let server = Mariadb::start("acc");
    server.sql(
        "CREATE DATABASE x; CREATE TABLE x.t(a int); CREATE ROLE seller; GRANT SELECT ON x.* TO seller;\
         CREATE USER anna@localhost IDENTIFIED BY 'geheim'; GRANT INSERT ON x.t TO anna@localhost WITH GRANT OPTION; GRANT seller TO anna@localhost;",
    );
    let hash = server.sql("SELECT PASSWORD('geheim')").trim().to_owned();
    let words = [
        "CREATE USER IF NOT EXISTS `anna`@`localhost`",
        "GRANT `seller` TO `anna`@`localhost`",
        "CREATE ROLE IF NOT EXISTS `seller`",
    ];
    let grants = Shop::new(&format!("{}accounts = \"grants\"\n", server.source("x")));
    let without = accounts(&grants, &words, &hash);
    let passwords = Shop::new(&format!("{}accounts = \"passwords\"\n", server.source("x")));
    let with = accounts(&passwords, &words, &hash);
    let told = |server: &Mariadb| {
        server.sql("SHOW GRANTS FOR anna@localhost; SHOW CREATE USER anna@localhost; SHOW GRANTS FOR seller")
    };
    let before = told(&server);
    server.sql("DROP USER anna@localhost; DROP ROLE seller");
    server.sql(&with);
    assert_eq!(told(&server), before, "by hand it brings all of them back");
    // Without hashes nobody can log in until a password is set.
    server.sql("DROP USER anna@localhost; DROP ROLE seller");
    server.sql(&without);
    let mut client = Command::new(Mariadb::programs().join("mariadb"));
    client.args(["--no-defaults", "-uanna", "-e", "SELECT 1"]).arg(format!("--socket={}/s", server.dir.display()));
    feed(&mut client, b"").exits(1).says(&["Access denied"]);
}

#[test]
fn roles_of_postgresql_are_shown_and_written_and_never_applied() {
    let server = Postgresql::start("pacc");
    server.sql("postgres", "CREATE DATABASE x");
    server
        .sql("x", "CREATE TABLE t(a int); CREATE ROLE seller; CREATE ROLE anna LOGIN PASSWORD 'geheim' IN ROLE seller");
    let words = ["CREATE ROLE anna;", "GRANT seller TO anna"];
    let grants = Shop::new(&format!("{}accounts = \"grants\"\n", server.source("x")));
    accounts(&grants, &words, "SCRAM-SHA-256$");
    let passwords = Shop::new(&format!("{}accounts = \"passwords\"\n", server.source("x")));
    let with = accounts(&passwords, &words, "SCRAM-SHA-256$");
    let told = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('anna', 'seller') ORDER BY rolname; SELECT pg_has_role('anna', 'seller', 'MEMBER')";
    let before = server.sql("postgres", told);
    server.sql("postgres", "DROP ROLE anna; DROP ROLE seller");
    let own = "CREATE ROLE postgres;\n";
    server.sql("postgres", &with.replace(own, ""));
    assert_eq!(server.sql("postgres", told), before, "by hand it brings all of them back");
}
