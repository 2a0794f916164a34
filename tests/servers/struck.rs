//! Servers that die in the middle, and disks that fill up: nothing half is taken for whole, and what was there stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{MARIADB, Mariadb, POSTGRESQL, Postgresql, Shop, eventually, feed};

/// A small disk; `None` where one may not be had.
struct Small(PathBuf);

impl Small {
    fn at(path: PathBuf, size: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            // Only root mounts one.
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=777");
        feed(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path), b"").exits(0);
        Some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A folder with PostgreSQL's programs, of which `pg_dump` waits in the middle.
fn slow_dump(dir: &Path) -> PathBuf {
    let (folder, real) = (dir.join("slow"), Postgresql::programs());
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "#!/bin/bash\n{1}/pg_dump \"$@\" | {{ head -c 20000000; touch {0}/half; sleep 3; cat; }}\nexit ${{PIPESTATUS[0]}}\n",
        folder.display(),
        real.display()
    );
    fs::write(folder.join("pg_dump"), script).unwrap();
    fs::set_permissions(folder.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(real.join("psql"), folder.join("psql")).unwrap();
    folder
}

#[test]
fn a_server_of_postgresql_that_dies_leaves_no_dump_and_no_half_restore() {
    let mut server = Postgresql::start("pdying");
    server.sql("postgres", "CREATE DATABASE d");
    server.sql("d", "CREATE TABLE t AS SELECT i, repeat('x', 900) AS x FROM generate_series(1, 60000) i");
    let whole = Shop::new(&server.source("d"));
    let id = whole.backup();
    let dir = tempfile::tempdir().unwrap();
    let folder = slow_dump(dir.path());
    let out = dir.path().join("o.sql.gz");
    let url = server.url("d").replace(Postgresql::programs().to_str().unwrap(), folder.to_str().unwrap());
    let running = {
        let out = out.display().to_string();
        std::thread::spawn(move || crate::kit::tillstick(["dump", &url, "-o", &out]))
    };
    eventually("half a dump", || folder.join("half").exists());
    // As a crash of one of its processes would have it: all end at once.
    feed(Command::new("kill").args(["-QUIT", &server.child.id().to_string()]), b"").exits(0);
    server.child.wait().unwrap();
    running.join().unwrap().exits(1).says(&["went away in the middle"]);
    assert!(!out.exists());

    // The same under a restore.
    server.again();
    let restoring = {
        let config = whole.dir.path().join("tillstick.toml").display().to_string();
        let id = id.clone();
        std::thread::spawn(move || crate::kit::tillstick(["--config", &config, "restore", &id, "--in-place", "--yes"]))
    };
    let new = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = 'd_new_{id}' AND state = 'active'");
    eventually("a restore", || server.try_sql("postgres", &new).out == "1\n");
    feed(Command::new("kill").args(["-QUIT", &server.child.id().to_string()]), b"").exits(0);
    server.child.wait().unwrap();
    restoring.join().unwrap().exits(1);
    server.again();
    assert_eq!(server.sql("d", "SELECT count(*) FROM t"), "60000\n");
    whole.run(&["list"]).exits(0);
    assert_eq!(server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'd\\_%'"), "");
    whole.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
}

/// The primary's disk is full: told, with the way out, and the backup before stays good.
fn full_primary(source: &str, url: &str, fill: &dyn Fn()) {
    let shop = Shop::new(source);
    let Some(_small) = Small::at(shop.dir.path().join("backups"), "12m") else { return };
    let id = shop.backup();
    fill();
    shop.run(&["backup"]).exits(1).says(&["bytes", "help:"]);
    assert_eq!(shop.newest(), id);
    shop.run(&["check"]).exits(0);
    // Where nothing was estimated before.
    let out = shop.dir.path().join("backups/x.sql.gz").display().to_string();
    crate::kit::tillstick(["dump", url, "-o", &out]).exits(1).says(&["No space left on device"]);
    let left = fs::read_dir(shop.dir.path().join("backups")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("x.sql")), "nothing is left of it");
}

#[test]
fn a_full_disk_under_a_dump_is_told_and_the_backup_before_stays() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE fill; CREATE TABLE fill.t(id int PRIMARY KEY, x varbinary(1000)); INSERT INTO fill.t VALUES (1, 'x')");
    full_primary(&server.source("fill"), &server.url("fill"), &|| {
        server.sql(
            "USE fill; INSERT INTO fill.t SELECT seq, RANDOM_BYTES(900) FROM seq_2_to_20000; ANALYZE TABLE fill.t",
        );
    });
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE fill");
    server.sql("fill", "CREATE TABLE t(id int, x text); INSERT INTO t VALUES (1, 'x'); CREATE EXTENSION pgcrypto");
    full_primary(&server.source("fill"), &server.url("fill"), &|| {
        server.sql(
            "fill",
            "INSERT INTO t SELECT i, encode(gen_random_bytes(900), 'base64') FROM generate_series(1, 20000) i",
        );
    });
}

#[test]
fn a_full_disk_under_mariadb_is_told_and_the_old_database_stays() {
    let server = &*MARIADB;
    server.sql("CREATE DATABASE big; USE big; CREATE TABLE big.t(id int PRIMARY KEY, x varchar(1000)); INSERT INTO big.t SELECT seq, REPEAT('x', 900) FROM seq_1_to_100000");
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("big.sql.gz").display().to_string();
    crate::kit::tillstick(["dump", &server.url("big"), "-o", &file]).exits(0);
    let Some(small_disk) = Small::at(crate::kit::home().join("small"), "180m") else { return };
    let small = Mariadb::start_in("fullm", &small_disk.0);
    small.sql("CREATE DATABASE shop; CREATE TABLE shop.t(id int PRIMARY KEY, x varchar(1000)); INSERT INTO shop.t VALUES (1, 'here')");
    let shop = Shop::new(&small.source("shop"));
    let ran = shop.run(&["restore", &file, "--source", "shop", "--in-place", "--yes"]).exits(1);
    assert!(ran.err.contains("has no room left"), "{}", ran.err);
    // Of a backup it is known beforehand.
    let known = Shop::new(&server.source("big"));
    let id = known.backup();
    let path = known.dir.path().join("tillstick.toml");
    fs::write(&path, known.config().replace(server.dir.to_str().unwrap(), small.dir.to_str().unwrap())).unwrap();
    let filler = small_disk.0.join("filler");
    feed(Command::new("fallocate").args(["-l", "30m"]).arg(&filler), b"").exits(0);
    known.run(&["restore", &id, "--into", "shop_look"]).exits(1).says(&["needs about", "are free there"]);
    assert_eq!(small.sql("SELECT x FROM shop.t"), "here\n");
    assert_eq!(small.sql("SHOW DATABASES LIKE 'shop\\_%'"), "");
}

#[test]
fn a_full_disk_under_postgresql_is_told_and_the_old_database_stays() {
    let server = &*POSTGRESQL;
    server.sql("postgres", "CREATE DATABASE big");
    server.sql("big", "CREATE TABLE t AS SELECT i, repeat('x', 900) AS x FROM generate_series(1, 100000) i");
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("big.sql.gz").display().to_string();
    crate::kit::tillstick(["dump", &server.url("big"), "-o", &file]).exits(0);
    let Some(small) = Small::at(crate::kit::home().join("psmall"), "130m") else { return };
    // Rows of a table that its own transaction made then need no log, whose disk would be full first.
    let settings = ["wal_level=minimal", "max_wal_senders=0", "max_wal_size=32MB", "min_wal_size=32MB"];
    let more: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
    let fresh = Postgresql::start_in("fullp", &small.0.join("data"), &more);
    fresh.sql("postgres", "CREATE DATABASE shop");
    fresh.sql("shop", "CREATE TABLE t(x text); INSERT INTO t VALUES ('here')");
    let shop = Shop::new(&fresh.source("shop"));
    let ran = shop.run(&["restore", &file, "--source", "shop", "--in-place", "--yes"]).exits(1);
    assert!(ran.err.contains("has no room left"), "{}", ran.err);
    assert_eq!(fresh.sql("shop", "SELECT x FROM t"), "here\n");
    assert_eq!(fresh.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'shop\\_%'"), "");
}
