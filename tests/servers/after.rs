//! Around and after a restore: what stands still meanwhile, whose rights views and programs have, how long what was replaced stays.

use std::fs;

use crate::kit::{MARIADB, POSTGRESQL, Shop};

#[test]
fn definers_that_are_not_on_the_server_are_told_or_replaced() {
    let server = &*MARIADB;
    server.sql(
        "CREATE DATABASE whose; USE whose; CREATE USER gone@localhost; GRANT ALL ON whose.* TO gone@localhost; CREATE TABLE t(a int);\
         INSERT INTO t VALUES (7); CREATE DEFINER=gone@localhost VIEW v AS SELECT a FROM t;\
         CREATE DEFINER=gone@localhost TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET new.a = new.a + 1;\
         CREATE DEFINER=gone@localhost FUNCTION f() RETURNS varchar(50) RETURN 'DEFINER=`gone`@`localhost`';\
         CREATE DEFINER=gone@localhost EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM t;\
         CREATE DEFINER=root@localhost VIEW w AS SELECT a FROM t;",
    );
    let keep = Shop::new(&server.source("whose"));
    let id = keep.backup();
    server.sql("DROP USER gone@localhost");
    let ran = keep
        .run(&["restore", &id, "--into", "whose_keep"])
        .exits(0)
        .prints(&["gone@localhost", "are not on this server"]);
    assert!(!ran.out.contains("root@localhost"), "{}", ran.out);
    server.try_sql("SELECT * FROM whose_keep.v").exits(1).says(&["1449"]);

    let set = |definers: &str, from: &str, to: &str| {
        let path = keep.dir.path().join("tillstick.toml");
        let text = keep.config().replace(from, to);
        fs::write(
            &path,
            text.lines().filter(|line| !line.starts_with("definers")).collect::<Vec<_>>().join("\n")
                + &format!("\ndefiners = \"{definers}\"\n"),
        )
        .unwrap();
    };
    set("existing", "", "");
    keep.run(&["restore", &id, "--into", "whose_now"]).exits(0).prints(&["of gone@localhost belong to \"root\" now"]);
    let told = "SELECT DISTINCT definer FROM (SELECT definer FROM information_schema.views WHERE table_schema = 'DB' UNION ALL SELECT definer FROM \
        information_schema.triggers WHERE trigger_schema = 'DB' UNION ALL SELECT definer FROM information_schema.events WHERE event_schema = 'DB' \
        UNION ALL SELECT definer FROM information_schema.routines WHERE routine_schema = 'DB') d";
    assert_eq!(server.sql(&told.replace("DB", "whose_now")), "root@localhost\n");
    assert_eq!(
        server.sql("USE whose_now; INSERT INTO t VALUES (1); SELECT a FROM v; SELECT f()"),
        "7\n2\nDEFINER=`gone`@`localhost`\n"
    );

    // Who may not act for others restores what belongs to others.
    server.sql("CREATE USER modest@localhost; GRANT ALL ON `whose\\_%`.* TO modest@localhost; GRANT SET USER ON *.* TO root@localhost;");
    set("keep", "\"root\"", "\"modest\"");
    keep.run(&["restore", &id, "--into", "whose_modest"]).exits(2).says(&["may not do"]);
    set("own", "", "");
    keep.run(&["restore", &id, "--into", "whose_modest"]).exits(0).prints(&["belong to \"modest\" now"]);
    assert_eq!(server.sql(&told.replace("DB", "whose_modest")), "modest@localhost\n");
}

#[test]
fn what_a_restore_set_aside_goes_when_its_time_is_over_and_never_without_a_backup() {
    let server = &*MARIADB;
    server.sql(
        "CREATE DATABASE old_ones; CREATE TABLE old_ones.t(a int); CREATE DATABASE old_ones_before_20200101T000000Z",
    );
    let shop = Shop::new(&format!("{}keep_replaced = \"30d\"\n", server.source("old_ones")));
    let id = shop.backup();
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
    let aside = format!("old_ones_before_{id}");
    let there = || server.sql("SHOW DATABASES LIKE 'old\\_ones\\_before%'").contains(&aside);
    shop.run(&["prune", "--dry-run"]).exits(0).prints(&["keep  ", &aside, "for 30 days"]);
    // As if it had been long ago.
    let notes = shop.dir.path().join("state/set-aside.json");
    let text = fs::read_to_string(&notes).unwrap();
    let at = text.find("\"since\": \"").unwrap() + 10;
    fs::write(&notes, format!("{}2026-01-01{}", &text[..at], &text[at + 10..])).unwrap();
    let kept = fs::read_to_string(&notes).unwrap();
    let backups = shop.dir.path().join("backups");
    fs::rename(backups.join(&id), shop.dir.path().join("hidden")).unwrap();
    shop.run(&["prune"]).exits(0).prints(&["keep  ", "no good backup of what took its place"]);
    fs::rename(shop.dir.path().join("hidden"), backups.join(&id)).unwrap();
    shop.run(&["prune", "--dry-run"]).exits(0).prints(&["drop  ", "is backed up in"]);
    assert!(there());
    shop.run(&["backup"]).exits(0).prints(&["dropped the database", &aside, "days ago"]);
    assert!(!there());
    // What is only called so is nobody's business.
    assert_eq!(server.sql("SHOW DATABASES LIKE 'old\\_ones\\_before%'"), "old_ones_before_20200101T000000Z\n");
    // Somebody was faster.
    fs::write(&notes, kept).unwrap();
    shop.run(&["prune"]).exits(0).prints(&["drop  "]);
    shop.run(&["prune"]).exits(0);
    assert_eq!(fs::read_to_string(&notes).unwrap().trim(), "[]");
}

#[test]
fn services_stand_still_while_a_database_is_put_in_place_and_run_again() {
    MARIADB.sql("CREATE DATABASE still; CREATE TABLE still.t(a int)");
    POSTGRESQL.sql("postgres", "CREATE DATABASE still");
    POSTGRESQL.sql("still", "CREATE TABLE t(a int)");
    for source in [MARIADB.source("still"), POSTGRESQL.source("still")] {
        let shop = Shop::new(&source);
        let log = shop.dir.path().join("log");
        let path = shop.dir.path().join("tillstick.toml");
        let says = |word: &str| format!("[\"/bin/sh\", \"-c\", \"echo {word} >> {}\"]", log.display());
        let table = format!("\n[quiesce]\nbefore = [{}]\nafter = [{}]\n", says("stop"), says("start"));
        let text = shop.config();
        fs::write(&path, format!("{text}{table}")).unwrap();
        let id = shop.backup();
        let said = || fs::read_to_string(&log).unwrap();
        assert_eq!(said(), "stop\nstart\n", "the backup");
        // Beside the old one nothing has to stand still.
        shop.run(&["restore", &id, "--into", "still_beside"]).exits(0);
        assert_eq!(said(), "stop\nstart\n");
        shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
        assert_eq!(said(), "stop\nstart\n".repeat(2));
        // What cannot be stopped forbids it, and what was stopped runs again.
        let broken = table.replacen("before = [", "before = [[\"/bin/false\"], ", 1);
        fs::write(&path, format!("{text}{broken}")).unwrap();
        shop.run(&["restore", &id, "--in-place", "--yes"]).exits(1).says(&["/bin/false"]);
        assert_eq!(said(), format!("{}start\n", "stop\nstart\n".repeat(2)));
    }
}
