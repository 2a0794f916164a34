//! Databases of a gigabyte (a few megabytes beside a change): whole, with little memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::kit::{MARIADB, POSTGRESQL, feed};
use crate::proof::cases;

/// The most that the program may have in memory, in KiB: chunks of text for each thread, and a server's longest row.
const MEMORY_MAX: u64 = 96 << 10;

/// Runs the program, which must succeed, and gives its peak of memory in KiB.
fn peak(args: &[&str]) -> u64 {
    let script = "import resource, subprocess, sys\n\
        code = subprocess.run(sys.argv[1:]).returncode\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
        sys.exit(code)";
    // The server's own programs are its children: of all, the largest is told.
    let ran =
        feed(Command::new("python3").args(["-c", script, env!("CARGO_BIN_EXE_tillstick"), "--quiet"]).args(args), b"")
            .exits(0);
    ran.out.trim().parse().unwrap()
}

fn dumped_and_loaded(dir: &Path, url: &dyn Fn(&str) -> String, content: &dyn Fn(&str) -> String) {
    let file = dir.join("large.sql.gz").display().to_string();
    let dumped = peak(&["dump", &url("large"), "-o", &file]);
    let loaded = peak(&["load", &file, &url("large_back")]);
    assert_eq!(content("large_back"), content("large"));
    assert!(dumped.max(loaded) < MEMORY_MAX, "{dumped} KiB at the dump and {loaded} KiB at the load");
    fs::remove_file(file).unwrap();
}

#[test]
fn a_large_database_of_mariadb_comes_back_with_little_memory() {
    let server = &*MARIADB;
    let rows = cases(40_000, 8_000_000);
    server.sql(&format!(
        "CREATE DATABASE large; USE large; CREATE TABLE t(id int PRIMARY KEY AUTO_INCREMENT, bon int, at datetime, note varchar(90), KEY(bon));\
         INSERT INTO t SELECT seq, seq DIV 5, '2024-01-01' + INTERVAL seq SECOND, CONCAT(MD5(seq), SHA1(seq)) FROM seq_1_to_{rows}"
    ));
    let dir = tempfile::tempdir().unwrap();
    let content =
        |name: &str| server.sql(&format!("USE {name}; CHECKSUM TABLE t; SELECT COUNT(*) FROM t")).replace(name, "");
    dumped_and_loaded(dir.path(), &|name| server.url(name), &content);
    server.sql("DROP DATABASE large; DROP DATABASE large_back");
}

#[test]
fn a_large_database_of_postgresql_comes_back_with_little_memory() {
    let server = &*POSTGRESQL;
    let rows = cases(40_000, 8_000_000);
    server.sql("postgres", "CREATE DATABASE large");
    server.sql(
        "large",
        &format!(
            "CREATE TABLE t AS SELECT i AS id, i / 5 AS bon, timestamp '2024-01-01' + i * interval '1 second' AS at,\
             md5(i::text) || md5((i + 1)::text) AS note FROM generate_series(1, {rows}) i; ALTER TABLE t ADD PRIMARY KEY(id)"
        ),
    );
    let dir = tempfile::tempdir().unwrap();
    let content = |name: &str| server.sql(name, "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t");
    dumped_and_loaded(dir.path(), &|name| server.url(name), &content);
    server.sql("postgres", "DROP DATABASE large");
    server.sql("postgres", "DROP DATABASE large_back");
}
