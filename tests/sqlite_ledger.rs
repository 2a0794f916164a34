//! A ledger balances in every dump that is made while another process books: each transaction's bookings sum to nothing,
//! and the accounts are the sums of their bookings.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod proof;
mod sqlite_kit;

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sqlite_kit::{Chunks, Desk};
use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run, Sink};
use tillstick::source::Source;

/// So many of the newest transactions stay in the ledger, so that it does not grow while thousands are booked.
const KEPT: u64 = 300;

const LEDGER: &str = "
    CREATE TABLE accounts(id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
    CREATE TABLE bookings(id INTEGER PRIMARY KEY AUTOINCREMENT, tx INTEGER NOT NULL, account INTEGER NOT NULL,
                          cents INTEGER NOT NULL, text TEXT);
    CREATE INDEX by_tx ON bookings(tx);";

/// The sqlite3 shell, which books one transaction after the other until it is dropped.
struct Clerk {
    shell: Child,
    feeder: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Clerk {
    fn hire(desk: &Desk) -> Self {
        let mut shell = Command::new("sqlite3")
            .args(["-batch", "-init", "/dev/null"])
            .arg(desk.db())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the sqlite3 shell is installed");
        let mut stdin = shell.stdin.take().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let feeder = std::thread::spawn(move || {
            writeln!(stdin, ".bail on\nPRAGMA busy_timeout=20000;\nPRAGMA synchronous=OFF;").unwrap();
            for tx in 1_u64.. {
                if stopped.load(Ordering::Relaxed) || writeln!(stdin, "{}", booking(tx)).is_err() {
                    break;
                }
                // A shop is busy, but a database without a log must get a gap to be read in.
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        Self { shell, feeder: Some(feeder), stop }
    }
}

impl Clerk {
    /// Lets the clerk finish; what it was told must have been done.
    fn dismiss(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.feeder.take().unwrap().join().unwrap();
        assert!(self.shell.wait().unwrap().success(), "a booking failed");
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// A transaction between four accounts that also drops an old one and writes all accounts anew.
fn booking(tx: u64) -> String {
    let (sale, vat) = (tx * 7919 % 100_000, tx * 104_729 % 900);
    let text = "Brötchen ".repeat(20 + (tx % 10) as usize);
    let old = tx.saturating_sub(KEPT);
    format!(
        "BEGIN IMMEDIATE; DELETE FROM bookings WHERE tx <= {old};
         INSERT INTO bookings(tx, account, cents, text) VALUES
           ({tx}, {a}, {sale}, '{text}'), ({tx}, {b}, -{sale}, '{text}'), ({tx}, 98, {vat}, NULL), ({tx}, 99, -{vat}, NULL);
         DELETE FROM accounts; INSERT INTO accounts SELECT account, sum(cents) FROM bookings GROUP BY account; COMMIT;",
        a = tx % 7,
        b = 7 + tx % 5,
    )
}

/// The newest transaction in a dump, after everything in it was seen to balance.
fn balanced(text: &str) -> i64 {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(text).unwrap();
    let none = |what: &str, sql: &str| {
        let wrong = sqlite_kit::all(&db, sql);
        assert!(wrong.is_empty(), "{what}: {wrong:?}");
    };
    none("do not balance", "SELECT tx, sum(cents) FROM bookings GROUP BY tx HAVING sum(cents) <> 0 OR count(*) <> 4");
    none(
        "accounts are not the sums of their bookings",
        "SELECT * FROM accounts EXCEPT SELECT account, sum(cents) FROM bookings GROUP BY account",
    );
    none(
        "bookings without an account",
        "SELECT account, sum(cents) FROM bookings GROUP BY account EXCEPT SELECT * FROM accounts",
    );
    let count = "SELECT count(DISTINCT tx), ifnull(max(tx), 0), ifnull(min(tx), 1) FROM bookings";
    let (count, max, min): (i64, i64, i64) =
        db.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(count, max + 1 - min, "a transaction between others is missing");
    max
}

/// Waits until more than `seen` is booked; the newest transaction.
fn wait_for_news(db: &Connection, seen: i64) -> i64 {
    let begin = Instant::now();
    loop {
        let newest = db.query_row("SELECT ifnull(max(tx), 0) FROM bookings", [], |row| row.get(0)).unwrap();
        if newest > seen {
            return newest;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "the clerk has stopped");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A sink that lets the clerk book something while the dump is under way.
struct Slow<'d> {
    chunks: Chunks,
    db: &'d Connection,
    has_waited: bool,
}

impl Sink for Slow<'_> {
    fn text(&mut self) -> &mut Vec<u8> {
        self.chunks.text()
    }

    fn boundary(&mut self, key: u64) -> bool {
        self.chunks.boundary(key)
    }

    fn cut(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.has_waited, true) {
            let newest = wait_for_news(self.db, -1);
            wait_for_news(self.db, newest);
        }
        self.chunks.cut()
    }
}

fn balances_while_another_process_books(journal_mode: &str) {
    let desk = Desk::with(&format!("PRAGMA journal_mode={journal_mode}; {LEDGER}"));
    let clerk = Clerk::hire(&desk);
    let db = desk.open();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let cancel = Cancel::default();
    let mut seen = 0;
    for _ in 0..proof::cases(60, 1_000) {
        let before = wait_for_news(&db, seen);
        let mut sink = Slow { chunks: Chunks::new(4 << 10), db: &db, has_waited: false };
        desk.source().dump(&mut sink, &Run { monitor: &Quiet, cancel: &cancel }).unwrap();
        seen = balanced(&sink.chunks.whole());
        assert!(seen >= before, "the dump shows an older ledger than there was when it began");
        assert!(wait_for_news(&db, -1) > seen, "the dump shows what was booked when it had begun to write");
    }
    clerk.dismiss();
}

/// 1,000 dumps in full mode, 60 beside a change.
#[test]
fn a_ledger_balances_in_every_dump_while_another_process_books_in_wal_mode() {
    balances_while_another_process_books("wal");
}

/// 1,000 dumps in full mode, 60 beside a change.
#[test]
fn a_ledger_balances_in_every_dump_while_another_process_books_with_a_rollback_journal() {
    balances_while_another_process_books("delete");
}
