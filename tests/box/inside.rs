//! What this program does inside the machine: it is the shop's till, which sells while the agent works.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

/// Puts so many rows of a kilobyte each, which nothing makes smaller, into the database.
pub fn scans(arguments: &[String]) {
    let [database, rows] = arguments else { panic!("scans DATABASE ROWS") };
    let till = Connection::open(database).unwrap();
    till.execute_batch("CREATE TABLE scans(id INTEGER PRIMARY KEY, image BLOB)").unwrap();
    let add = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
        INSERT INTO scans(image) SELECT randomblob(1024) FROM n";
    till.execute(add, [rows.parse::<i64>().unwrap()]).unwrap();
}

/// Books receipts into the database, so many a second for so many seconds, each synced, and prints what that took.
pub fn till(arguments: &[String]) {
    let [database, seconds, rate] = arguments else { panic!("till DATABASE SECONDS RATE") };
    let (seconds, rate): (f64, f64) = (seconds.parse().unwrap(), rate.parse().unwrap());
    let till = Connection::open(database).unwrap();
    till.busy_timeout(Duration::from_secs(30)).unwrap();
    till.pragma_update(None, "synchronous", "FULL").unwrap();
    let book =
        "INSERT INTO receipts(till, clerk, at, total_cents, payment) VALUES (1, 'Anna', '2026-01-01', 1, 'cash')";
    let wal = Path::new(database).with_extension("db-wal");
    let (begun, mut took, mut wal_max) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed().as_secs_f64() < seconds {
        let at = Instant::now();
        till.execute(book, []).unwrap();
        took.push(at.elapsed().as_secs_f64() * 1000.0);
        wal_max = wal_max.max(wal.metadata().map_or(0, |meta| meta.len()));
        thread::sleep(Duration::from_secs_f64(1.0 / rate).saturating_sub(at.elapsed()));
    }
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{}",
        json!({ "commits": took.len(), "median_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "wal_bytes": wal_max })
    );
}
