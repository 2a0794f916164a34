//! A restore in the place of a database of MariaDB, killed before each of its statements; and what else stands in its way.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kit::{MARIADB, Mariadb, Ran, Shop, eventually, programs_with};
use crate::proof::is_full;

const SCHEMA: &str = "\
CREATE TABLE kunde(id int PRIMARY KEY, name varchar(20));
CREATE TABLE bon(id int PRIMARY KEY, k int, FOREIGN KEY(k) REFERENCES kunde(id));
INSERT INTO kunde VALUES (1, 'M');
INSERT INTO bon VALUES (1, 1);
CREATE VIEW vv AS SELECT k.name, b.id FROM kunde k JOIN bon b ON b.k = k.id;
CREATE TRIGGER tr BEFORE INSERT ON bon FOR EACH ROW SET new.k = 1;
CREATE TRIGGER ts BEFORE INSERT ON bon FOR EACH ROW FOLLOWS tr SET new.id = new.id + 1;
CREATE FUNCTION fu(x int) RETURNS int DETERMINISTIC RETURN x + 1;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM bon WHERE id < 0;
";

fn make(server: &Mariadb, name: &str) {
    server.sql(&format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}; USE {name}; {SCHEMA}"));
}

/// What was sold after the backup.
fn sell(server: &Mariadb, name: &str) {
    server.sql(&format!("USE {name}; INSERT INTO kunde VALUES (2, 'N'); CREATE TABLE later(a int);"));
}

/// Every row and definition.
fn content(server: &Mariadb, name: &str) -> String {
    let tables = server.sql(&format!("SHOW FULL TABLES IN `{name}`"));
    let text = server.sql(&format!(
        "USE `{name}`; SELECT * FROM kunde; SELECT * FROM bon; SELECT * FROM vv; SELECT fu(1); SHOW CREATE VIEW vv; SHOW CREATE TRIGGER tr;\
         SHOW CREATE TRIGGER ts; SHOW CREATE FUNCTION fu; SHOW CREATE EVENT ev;"
    ));
    let lines = text.lines().map(|line| line.split('\t').filter(|field| !field.starts_with("20")).collect::<Vec<_>>());
    let lines = lines.map(|fields| fields.join("\t").replace(&format!("{name}."), "").replace("DISABLE", "ENABLE"));
    tables + &lines.collect::<Vec<_>>().join("\n")
}

/// A client that hands on as many statements as `left` says, from the making of `_before_` on, and then kills who gave them.
fn killer(dir: &Path) -> std::path::PathBuf {
    programs_with(dir, "killer", |real| {
        format!(
            "#!/bin/bash\nin=$(mktemp -p {0})\ncat > $in\n\
             grep -q 'CREATE DATABASE `.*_before_' $in && touch {0}/armed\n\
             [ -e {0}/armed ] || exec {1} \"$@\" < $in\n\
             left=$(cat {0}/left) all=$(grep -c ';[[:space:]]*$' $in)\n\
             if [ $all -lt $left ]; then echo $((left - all)) > {0}/left; exec {1} \"$@\" < $in; fi\n\
             awk -v n=$left 'n == 0 {{ exit }} {{ print }} /;[ \\t]*$/ {{ if (++c == n) exit }}' $in | {1} \"$@\" > /dev/null\n\
             kill -9 $PPID\nsleep 60\n",
            dir.display(),
            real.join("mariadb").display()
        )
    })
}

struct Cut<'a> {
    server: &'a Mariadb,
    dir: tempfile::TempDir,
    shop: Shop,
    id: String,
    then: String,
    now: String,
}

impl<'a> Cut<'a> {
    fn new(server: &'a Mariadb) -> Self {
        make(server, "cut");
        let dir = tempfile::tempdir().unwrap();
        let folder = killer(dir.path());
        let source = server.source("cut").replace(Mariadb::programs().to_str().unwrap(), folder.to_str().unwrap());
        let shop = Shop::new(&source);
        fs::write(dir.path().join("left"), "0").unwrap();
        let id = shop.backup();
        let then = content(server, "cut");
        sell(server, "cut");
        let now = content(server, "cut");
        Self { server, dir, shop, id, then, now }
    }

    /// Restores, and is killed before the statement after so many.
    fn restore(&self, left: usize) -> Ran {
        for name in self.server.sql("SHOW DATABASES LIKE 'cut\\_%'").lines() {
            self.server.sql(&format!("DROP DATABASE `{name}`"));
        }
        make(self.server, "cut");
        sell(self.server, "cut");
        fs::write(self.dir.path().join("left"), left.to_string()).unwrap();
        let _ = fs::remove_file(self.dir.path().join("armed"));
        let ran = self.shop.run(&["restore", &self.id, "--in-place", "--yes"]);
        let _ = fs::remove_file(self.dir.path().join("armed"));
        ran
    }

    fn judge(&self, what: &str, finished: bool) {
        let aside = format!("cut_before_{}", self.id);
        if finished {
            assert_eq!(content(self.server, "cut"), self.then, "{what}");
            assert_eq!(content(self.server, &aside), self.now, "{what}");
            let event = self.server.sql(&format!("SHOW CREATE EVENT `{aside}`.ev"));
            assert!(event.contains("DISABLE"), "{what}: {event}");
        } else {
            assert_eq!(content(self.server, "cut"), self.now, "{what}");
        }
        let others = self.server.sql("SHOW DATABASES LIKE 'cut\\_%'");
        assert_eq!(others, if finished { format!("{aside}\n") } else { String::new() }, "{what}");
    }
}

#[test]
fn killed_before_any_statement_the_old_database_or_the_new_one_is_there_with_all_that_belongs_to_it() {
    let server = &*MARIADB;
    let cut = Cut::new(server);
    let (mut undone, mut finished, mut left) = (0, 0, 0);
    loop {
        let ran = cut.restore(left);
        if ran.code == Some(0) {
            break;
        }
        let what = format!("killed after {left} statements");
        assert_eq!(ran.code, None, "{what}: {}", ran.err);
        // Not a table is missing or doubled even before anybody looks.
        let tables = server.sql(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'cut' AND table_type = 'BASE TABLE'",
        );
        assert!(["3\n", "2\n"].contains(&tables.as_str()), "{what}: {tables}");
        let next = cut.shop.run(&["list"]).exits(0);
        let was_finished = next.err.contains("was finished");
        assert!(was_finished || next.err.contains("was undone"), "{what}: {}", next.err);
        assert_eq!(was_finished, tables == "2\n", "{what}");
        cut.judge(&what, was_finished);
        assert_eq!(cut.shop.run(&["list"]).exits(0).err, "", "{what}: it is told once");
        if was_finished {
            finished += 1;
        } else {
            undone += 1;
        }
        left += if is_full() { 1 } else { 11 };
    }
    cut.judge("undisturbed", true);
    assert!(undone >= 1 && finished >= 3, "{undone} were undone and {finished} finished of {left}");
}

#[test]
fn the_agent_finishes_what_was_cut_short_and_a_server_that_is_away_is_asked_again() {
    let server = Mariadb::start("away");
    let cut = Cut::new(&server);
    assert_eq!(cut.restore(8).code, None);
    let socket = server.dir.join("s");
    fs::rename(&socket, server.dir.join("hidden")).unwrap();
    cut.shop.run(&["list"]).exits(0).says(&["is not undone yet; it is tried again", "does not answer"]);
    cut.shop.run(&["restore", &cut.id, "--in-place", "--yes"]).exits(1);
    fs::rename(server.dir.join("hidden"), &socket).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_tillstick"));
    agent.arg("--config").arg(cut.shop.dir.path().join("tillstick.toml")).arg("agent");
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let restores = cut.shop.dir.path().join("state/restores");
    eventually("the agent", || fs::read_dir(&restores).unwrap().next().is_none());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let finished = !server.sql("SHOW DATABASES LIKE 'cut\\_%'").is_empty();
    cut.judge("by the agent", finished);
}

#[test]
fn a_restore_that_is_killed_while_it_loads_leaves_no_half_database() {
    let server = &*MARIADB;
    make(server, "half");
    let dir = tempfile::tempdir().unwrap();
    let folder = programs_with(dir.path(), "deadly", |real| {
        let real = real.join("mariadb");
        format!(
            "#!/bin/bash\nin=$(mktemp -p {0})\ncat > $in\ngrep -q 'INSERT INTO' $in && {{ sleep 0.2; kill -9 $PPID; sleep 60; }}\nexec {1} \"$@\" < $in\n",
            dir.path().display(),
            real.display()
        )
    });
    let shop = Shop::new(&server.source("half"));
    let id = shop.backup();
    let config = shop.dir.path().join("tillstick.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(Mariadb::programs().to_str().unwrap(), folder.to_str().unwrap())).unwrap();
    for arguments in [&["--into", "half_look"][..], &["--in-place", "--yes"]] {
        assert_eq!(shop.run(&[&["restore", &id], arguments].concat()).code, None);
        assert!(server.sql("SHOW DATABASES LIKE 'half\\_%'").contains("half_"), "something was made");
        shop.run(&["list"]).says(&["had not finished \"half_", "which was dropped"]);
        assert_eq!(server.sql("SHOW DATABASES LIKE 'half\\_%'"), "");
    }
}

#[test]
fn whoever_has_a_transaction_open_keeps_the_old_database_in_its_place() {
    let server = &*MARIADB;
    make(server, "open");
    let shop = Shop::new(&server.source("open"));
    let id = shop.backup();
    let mut client = Command::new(Mariadb::programs().join("mariadb"));
    client.args(["--no-defaults", "-uroot", "open", "-e", "BEGIN; SELECT * FROM bon; SELECT SLEEP(600)"]);
    let mut client = client.arg(format!("--socket={}/s", server.dir.display())).stdout(Stdio::null()).spawn().unwrap();
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'open' AND info LIKE '%SLEEP%' AND state LIKE 'User sleep%'";
    eventually("the transaction", || server.sql(waits) == "1\n");
    let before = content(server, "open");
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(1).says(&["somebody else locks", "try again later"]);
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(content(server, "open"), before);
    assert_eq!(server.sql("SHOW DATABASES LIKE 'open\\_%'"), "");
}

#[test]
fn a_view_that_broke_when_its_table_was_dropped_does_not_stand_in_the_way() {
    let server = &*MARIADB;
    make(server, "broken");
    let shop = Shop::new(&server.source("broken"));
    let (id, then) = (shop.backup(), content(server, "broken"));
    server.sql("USE broken; DROP TABLE bon;");
    shop.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
    assert_eq!(content(server, "broken"), then);
    let aside = format!("broken_before_{id}");
    assert_eq!(server.sql(&format!("SHOW FULL TABLES IN `{aside}`")), "kunde\tBASE TABLE\n");
}
