//! MariaDB: round trips, what goes on meanwhile, what goes wrong, and what a hostile dump tries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kit::{MARIADB, Mariadb, Shop, comes_back, cut_after, feed, tillstick};

/// Every kind of object, and values that dumps get wrong.
const SCHEMA: &str = r#"
SET sql_mode='';
CREATE TABLE kunde(id int PRIMARY KEY AUTO_INCREMENT, name varchar(50) CHARACTER SET latin1, wort varchar(50) CHARACTER SET utf8mb4,
  j json, b blob, bt bit(5), d decimal(20,5), ts timestamp NULL, dz date, t time(3), f double, e enum('a','b'), s set('x','y'),
  g int AS (d*2) STORED, v int AS (d*3) VIRTUAL, CHECK (f > -1)) COMMENT='it''s; a `table`';
INSERT INTO kunde(name,wort,j,b,bt,d,ts,dz,t,f,e,s) VALUES
  ('M\\ü\n''ller;','😀','{"a":"x\\ny"}',x'00ff0a27',b'101',1.5,'2020-01-01 00:00:00','0000-00-00','-12:00:00.125',0.1,'a','x,y'),
  ('b',NULL,NULL,'',NULL,-99999.12345,'2021-05-05 10:00:00','2020-00-00',NULL,1e300,NULL,'');
CREATE TABLE bon(id int PRIMARY KEY, k int, FOREIGN KEY(k) REFERENCES kunde(id));
CREATE TABLE a_first(id int PRIMARY KEY, b int, FOREIGN KEY(b) REFERENCES bon(id));
INSERT INTO bon VALUES(1,1),(2,2);
INSERT INTO a_first VALUES(1,2);
CREATE TABLE teil(id int, j int) PARTITION BY HASH(id) PARTITIONS 3;
INSERT INTO teil SELECT seq, seq*7 FROM seq_1_to_500;
CREATE SEQUENCE sq START WITH 5; SELECT NEXTVAL(sq);
CREATE VIEW vv AS SELECT k.name, b.id FROM kunde k JOIN bon b ON b.k=k.id;
CREATE VIEW aa AS SELECT * FROM vv;
DELIMITER ;;
CREATE TRIGGER tr BEFORE INSERT ON bon FOR EACH ROW BEGIN SET new.k = new.k; END;;
CREATE PROCEDURE p(x int) BEGIN SELECT "a;b
INSERT INTO `x` VALUES (1);
-- no comment"; END;;
CREATE FUNCTION fu(x int) RETURNS int DETERMINISTIC RETURN x+1;;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM bon WHERE id<0;;
DELIMITER ;
"#;

pub(crate) fn make(server: &Mariadb, name: &str) {
    server.sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4; USE {name};{SCHEMA}"));
}

/// The checksums of all tables, and every definition as the server tells it.
fn content(server: &Mariadb, name: &str) -> String {
    let list = |what: &str| server.sql(what);
    let tables = list(&format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema='{name}' AND table_type='BASE TABLE' ORDER BY 1"
    ));
    let mut sql = String::new();
    for table in tables.lines() {
        sql +=
            &format!("CHECKSUM TABLE `{table}` EXTENDED; SHOW CREATE TABLE `{table}`; SELECT COUNT(*) FROM `{table}`;");
    }
    sql += "SHOW CREATE VIEW vv; SHOW CREATE TRIGGER tr; SHOW CREATE PROCEDURE p; SHOW CREATE FUNCTION fu; SHOW CREATE EVENT ev;";
    sql += "SHOW CREATE SEQUENCE sq; SELECT next_not_cached_value FROM sq; SELECT * FROM aa; SELECT fu(1);";
    let text = server.sql(&format!("USE {name};{sql}"));
    // When it was made is no part of it.
    let lines = text.lines().map(|line| line.split('\t').filter(|field| !field.starts_with("20")).collect::<Vec<_>>());
    lines.map(|fields| fields.join("\t").replace(&format!("{name}."), "")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_of_object_comes_back_and_the_text_tells_of_the_database_alone() {
    let server = &*MARIADB;
    make(server, "every");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = comes_back(dir.path(), |database| server.url(database), |database| content(server, database));

    // An auditor's own client needs nothing of ours.
    server.sql("CREATE DATABASE every_plain CHARACTER SET utf8mb4");
    let mut client = Command::new(Mariadb::programs().join("mariadb"));
    client.args(["--no-defaults", "-uroot", "every_plain"]).arg(format!("--socket={}/s", server.dir.display()));
    feed(&mut client, &text).exits(0);
    assert_eq!(content(server, "every_plain"), content(server, "every"));

    // What is there is not overwritten.
    tillstick(["load", &path("1.sql.gz"), &server.url("every_back")]).exits(1).says(&["nothing is overwritten"]);
    // What the server's own dump program writes is loaded as well.
    let mut program = Command::new(Mariadb::programs().join("mariadb-dump"));
    program.args(["--no-defaults", "-uroot", "--routines", "--events", "every"]);
    let own = program.arg(format!("--socket={}/s", server.dir.display())).output().unwrap().stdout;
    fs::write(path("own.sql"), &own).unwrap();
    // It does not tell the database's character set.
    server.sql("CREATE DATABASE every_own CHARACTER SET utf8mb4");
    tillstick(["load", &path("own.sql"), &server.url("every_own")]).exits(0);
    assert_eq!(content(server, "every_own"), content(server, "every"));
    // Half of one is none, and leaves none.
    for (name, text) in [("half.sql", &own), ("half_ours.sql", &text)] {
        fs::write(path(name), &text[..text.len() - 200]).unwrap();
        tillstick(["load", &path(name), &server.url("every_half")]).exits(1).says(&["the dump ends"]);
        assert_eq!(server.sql("SHOW DATABASES LIKE 'every_half'"), "");
    }
}

#[test]
fn a_backup_is_drilled_looked_at_and_put_in_place_and_the_old_database_stays() {
    let server = &*MARIADB;
    make(server, "place");
    let shop = Shop::new(&server.source("place"));
    let before = content(server, "place");
    let id = shop.backup();
    shop.run(&["check", "--drill"]).exits(0);
    assert_eq!(server.sql("SHOW DATABASES LIKE 'tillstick%'"), "", "the scratch database is gone");
    let preview = shop.run(&["restore", &id, "--in-place", "--dry-run"]).exits(0);
    assert!(preview.out.contains("nothing was changed") && preview.out.contains("kunde"), "{}", preview.out);

    server
        .sql("USE place; DELETE FROM a_first; CREATE TABLE later(a int); INSERT INTO later VALUES (7); DROP VIEW aa;");
    shop.run(&["restore", &id, "--into", "place_look"]).exits(0);
    assert_eq!(content(server, "place_look"), before);
    shop.run(&["restore", &id, "--in-place"]).exits(2).says(&["--yes"]);
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
    assert_eq!(content(server, "place"), before);
    assert_eq!(server.sql("USE place; SHOW TABLES LIKE 'later'"), "");
    let aside = format!("place_before_{id}");
    assert_eq!(server.sql(&format!("SELECT a FROM `{aside}`.later; SELECT COUNT(*) FROM `{aside}`.a_first")), "7\n0\n");
    let kept = server.sql(&format!(
        "USE `{aside}`; SHOW TRIGGERS; SHOW CREATE VIEW vv; SHOW CREATE FUNCTION fu; SHOW CREATE EVENT ev;"
    ));
    assert!(kept.contains("tr\t") && kept.contains("VIEW `vv`"), "{kept}");
    assert_eq!(server.sql("SHOW DATABASES LIKE 'place_new%'"), "");
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
    assert_eq!(server.sql(&format!("SHOW DATABASES LIKE '{aside}%'")), format!("{aside}\n{aside}_2\n"));
    shop.run(&["restore", &id, "--in-place", "--yes", "--drop-old"]).exits(0);
    assert_eq!(server.sql(&format!("SHOW DATABASES LIKE '{aside}%'")), format!("{aside}\n{aside}_2\n"));
    assert_eq!(content(server, "place"), before);
    // Referring rows still refer, on both sides.
    server.try_sql("INSERT INTO place.bon VALUES (9, 99)").exits(1).says(&["foreign key constraint fails"]);
}

#[test]
fn a_ledger_balances_while_it_is_written() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE ledger; USE ledger; CREATE TABLE a(id int PRIMARY KEY, v bigint); CREATE TABLE z(id int PRIMARY KEY, v bigint);\
        CREATE TABLE filler(id int PRIMARY KEY, t varchar(200)); INSERT INTO filler SELECT seq, REPEAT('x', 150) FROM seq_1_to_20000;\
        INSERT INTO a SELECT seq, 0 FROM seq_1_to_50; INSERT INTO z SELECT seq, 0 FROM seq_1_to_50;");
    let stop = AtomicBool::new(false);
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut step = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let booking = |step: u64| format!("BEGIN; UPDATE ledger.a SET v=v+{step} WHERE id={}; UPDATE ledger.z SET v=v-{step} WHERE id={}; COMMIT;", step % 50 + 1, step % 49 + 1);
                server.sql(&(step..step + 200).map(booking).collect::<String>());
                step += 200;
            }
        });
        for round in 0..4 {
            let file = dir.path().join(format!("{round}.sql.gz")).display().to_string();
            tillstick(["dump", &server.url("ledger"), "-o", &file]).exits(0);
            let name = format!("ledger_{round}");
            tillstick(["load", &file, &server.url(&name)]).exits(0);
            let sums = server.sql(&format!("USE {name}; SELECT (SELECT SUM(v) FROM a) + (SELECT SUM(v) FROM z), (SELECT SUM(v) FROM a) <> 0 OR {round} = 0"));
            assert_eq!(sums.split('\t').next(), Some("0"), "{sums}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn wrong_passwords_missing_rights_and_missing_servers_are_told_with_their_remedy() {
    let server = &*MARIADB;
    make(server, "rights");
    server.sql(
        "CREATE USER weak@localhost IDENTIFIED BY 'right \"word\\\\'; GRANT SELECT ON rights.* TO weak@localhost;",
    );
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.sql.gz");
    let password = dir.path().join("pw");
    let dump = |more: &str| {
        let url = format!("{}&password_file={}{more}", server.url_as("weak", "rights"), password.display());
        tillstick(["dump", &url, "-o", &out.display().to_string()])
    };
    let set = |text: &str, mode: u32| {
        fs::write(&password, text).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(mode)).unwrap();
    };
    set("right \"word\\\n", 0o644);
    dump("").exits(2).says(&["others may read", "chmod 600"]);
    set("wrong\n", 0o600);
    dump("").exits(2).says(&["does not let \"weak\" in", "password_file"]);
    set("right \"word\\\n", 0o600);
    let grants = "GRANT TRIGGER, EVENT, SHOW VIEW ON `rights`.* TO `weak`@`localhost`; GRANT SELECT ON mysql.proc TO `weak`@`localhost`;";
    dump("").exits(2).says(&["would leave things out", grants]);
    server.sql(grants);
    dump("").exits(0);
    assert!(out.exists());
    fs::remove_file(&out).unwrap();

    tillstick(["dump", &server.url("nowhere"), "-o", &out.display().to_string()])
        .exits(1)
        .says(&["no database \"nowhere\""]);
    let gone = server.url("rights").replace("/s&", "/gone&");
    tillstick(["dump", &gone, "-o", &out.display().to_string()])
        .exits(1)
        .says(&["does not answer", "is the server running"]);
    tillstick(["dump", "mariadb://u:secret@h/d", "-o", "x"]).exits(2).says(&["mode 0600"]);
    assert!(!out.exists(), "nothing is left of a dump that failed");
}

#[test]
fn no_password_is_seen_in_arguments_or_environment() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE secret; CREATE TABLE secret.t(a int); CREATE USER keeper@localhost IDENTIFIED BY 'geheimes-wort'; GRANT ALL ON *.* TO keeper@localhost;");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("pw"), "geheimes-wort").unwrap();
    fs::set_permissions(at("pw"), fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["mariadb", "mariadb-dump"] {
        let real = Mariadb::programs().join(name);
        let log = at("log");
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >> {0}\nenv >> {0}\nexec {1} \"$@\"\n",
            log.display(),
            real.display()
        );
        fs::write(at(name), script).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let url = format!(
        "mariadb://keeper@localhost/secret?socket={}/s&password_file={}&programs={}",
        server.dir.display(),
        at("pw").display(),
        dir.path().display()
    );
    tillstick(["-vv", "dump", &url, "-o", &at("o.sql.gz").display().to_string()]).exits(0);
    let log = fs::read_to_string(at("log")).unwrap();
    assert!(log.contains("--single-transaction") && log.contains("--defaults-file=/proc/self/fd/"), "{log}");
    assert!(!log.contains("geheim") && !log.contains("HOME="), "{log}");
}

#[test]
fn tables_without_a_snapshot_are_named_and_locked_or_refused() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE old; CREATE TABLE old.m(a int) ENGINE=MyISAM; INSERT INTO old.m VALUES (1);");
    let shop = Shop::new(&server.source("old"));
    shop.run(&["backup"]).exits(0).says(&["\"m\" (MyISAM)"]);
    let strict = Shop::new(&format!("{}no_snapshot = \"refuse\"\n", server.source("old")));
    strict.run(&["backup"]).exits(1).says(&["\"m\" (MyISAM)", "ENGINE=InnoDB"]);
}

#[test]
fn a_server_that_dies_a_client_that_is_killed_and_an_altered_table_leave_no_dump() {
    let mut server = Mariadb::start("dying");
    server.sql("CREATE DATABASE d; USE d; CREATE TABLE d.t(id int PRIMARY KEY, x varchar(1000)); INSERT INTO d.t SELECT seq, REPEAT('x', 900) FROM seq_1_to_60000;");
    let dir = tempfile::tempdir().unwrap();
    // A dump program that is slow, so that there is time to strike.
    let slow = |kill: &str| {
        let folder = dir.path().join(kill);
        fs::create_dir(&folder).unwrap();
        let real = Mariadb::programs();
        let script = format!(
            "#!/bin/bash\necho $$ > {0}/pid\n{1}/mariadb-dump \"$@\" | {{ head -c 20000000; touch {0}/half; sleep 3; cat; }}\nexit ${{PIPESTATUS[0]}}\n",
            folder.display(),
            real.display()
        );
        fs::write(folder.join("mariadb-dump"), script).unwrap();
        fs::set_permissions(folder.join("mariadb-dump"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(real.join("mariadb"), folder.join("mariadb")).unwrap();
        folder
    };
    let out = dir.path().join("o.sql.gz");
    let dump = |folder: &Path| {
        let url = format!("mariadb://root@localhost/d?socket={}/s&programs={}", server.dir.display(), folder.display());
        let out = out.display().to_string();
        std::thread::spawn(move || tillstick(["dump", &url, "-o", &out]))
    };
    let client = slow("client");
    let running = dump(&client);
    crate::kit::eventually("half a dump", || client.join("half").exists());
    let pid = fs::read_to_string(client.join("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    running.join().unwrap().exits(1);
    assert!(!out.exists());

    server.sql("CREATE TABLE d.zz(a int); INSERT INTO d.zz VALUES (1);");
    let folder = slow("altered");
    let running = dump(&folder);
    crate::kit::eventually("half a dump", || folder.join("half").exists());
    server.sql("ALTER TABLE d.zz ADD COLUMN b int, ALGORITHM=COPY;");
    running.join().unwrap().exits(1).says(&["changed, made or dropped meanwhile", "1412"]);
    assert!(!out.exists());

    let folder = slow("server");
    let running = dump(&folder);
    crate::kit::eventually("half a dump", || folder.join("half").exists());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    running.join().unwrap().exits(1).says(&["went away"]);
    assert!(!out.exists());
}

#[test]
fn a_hostile_dump_starts_nothing_and_leaves_nothing() {
    let server = &*MARIADB;
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark").display().to_string();
    for (number, hostile) in [
        format!("\\! touch {mark}\n"),
        format!("system touch {mark}\n"),
        format!("CREATE TABLE t(a int);\n\\! touch {mark}\n;"),
        format!("source {mark}\n"),
        "DROP DATABASE mysql;".into(),
        "/*!50000 CREATE USER eve */;".into(),
        format!("SELECT 1 INTO OUTFILE '{mark}';"),
        "CREATE TABLE t(a text);\nLOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;".into(),
        "CREATE TABLE t(a int); SET GLOBAL general_log=1;".into(),
    ]
    .iter()
    .enumerate()
    {
        let file = dir.path().join("h.sql");
        fs::write(&file, hostile).unwrap();
        let name = format!("hostile_{number}");
        let ran = tillstick(["load", &file.display().to_string(), &server.url(&name)]).exits(1);
        assert!(!Path::new(&mark).exists(), "{hostile}");
        assert_eq!(server.sql(&format!("SHOW DATABASES LIKE '{name}'")), "", "{hostile}: {}", ran.err);
    }
    assert_eq!(server.sql("SELECT COUNT(*) FROM mysql.user WHERE user='eve'"), "0\n");
}

#[test]
fn a_connection_that_drops_leaves_no_dump() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE dropped; USE dropped; CREATE TABLE t(id int PRIMARY KEY, x varchar(1000)); INSERT INTO t SELECT seq, REPEAT('x', 900) FROM seq_1_to_10000;");
    let port = cut_after(server.dir.join("s"), 3_000_000);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("o.sql.gz");
    let url = format!("mariadb://root@127.0.0.1:{port}/dropped?programs={}", Mariadb::programs().display());
    tillstick(["dump", &url, "-o", &out.display().to_string()]).exits(1).says(&["went away in the middle"]);
    assert!(!out.exists());
}
