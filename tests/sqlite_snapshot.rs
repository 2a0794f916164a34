//! A dump shows one moment while others write, changes nothing of the source, and says plainly why it cannot.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod sqlite_kit;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sqlite_kit::{Chunks, Desk, all, shell};
use tillstick::error::{Error, Kind, Result};
use tillstick::model::{Cancel, Event, Monitor, Quiet, Run, Sink};
use tillstick::source::Source;
use tillstick::source::sqlite::Sqlite;

/// About 9 MB in which money only moves: at every moment the sum is 0, and the first table has as many rows as the
/// last one says.
const ACCOUNTS: &str = "
    CREATE TABLE log(id INTEGER PRIMARY KEY); CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, note TEXT);
    CREATE TABLE total(moves INTEGER); INSERT INTO total VALUES(0);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO account SELECT i, 0, printf('%0400d', i) FROM n;";

const MOVE: &str = "BEGIN IMMEDIATE; UPDATE account SET amount = amount - 1 WHERE id = 1 + abs(random()) % 100;
    UPDATE account SET amount = amount + 1 WHERE id = 20000 - abs(random()) % 100;
    INSERT INTO log DEFAULT VALUES; UPDATE total SET moves = moves + 1; COMMIT;";

/// Moves money until told to stop, with a pause after each move; gives the number of moves and the longest one.
fn keep_moving(db: &Path, stop: &AtomicBool, pause: Duration) -> (u64, Duration) {
    let db = Connection::open(db).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let (mut moves, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        db.execute_batch(MOVE).unwrap();
        longest = longest.max(start.elapsed());
        moves += 1;
        std::thread::sleep(pause);
    }
    (moves, longest)
}

/// Ends the writer also when a test fails, so that it shows why.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn dumps_of_a_busy_database_balance(mode: &str, pause: Duration) {
    let desk = Desk::with(&format!("PRAGMA journal_mode = {mode}; {ACCOUNTS}"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| keep_moving(&desk.db(), &stop, pause));
        let ended = Stop(&stop);
        for round in 0..3 {
            let (text, facts) = desk.dump();
            let loaded = desk.path(&format!("loaded-{round}.db"));
            assert_eq!(shell(&loaded, text.as_bytes()), "");
            let db = Connection::open(&loaded).unwrap();
            assert_eq!(all(&db, "SELECT sum(amount), count(*) FROM account"), ["i:0|i:20000"]);
            assert_eq!(all(&db, "SELECT count(*) FROM log"), all(&db, "SELECT moves FROM total"));
            assert_eq!(all(&db, "SELECT count(*) FROM log"), [format!("i:{}", facts.tables[0].rows)]);
            assert_eq!(facts.properties["journal_mode"], mode);
        }
        drop(ended);
        assert!(writer.join().unwrap().0 > 10, "the writer got in");
    });
}

#[test]
fn a_dump_in_wal_mode_shows_one_moment() {
    dumps_of_a_busy_database_balance("wal", Duration::ZERO);
}

#[test]
fn a_dump_with_a_rollback_journal_shows_one_moment() {
    dumps_of_a_busy_database_balance("delete", Duration::from_millis(1));
}

#[test]
fn a_dump_with_a_rollback_journal_ends_although_others_never_stop_writing() {
    dumps_of_a_busy_database_balance("delete", Duration::ZERO);
}

/// Every file beside the database with its bytes. Nothing in this process has the database open.
fn bytes_of(desk: &Desk) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(desk.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("till.db"))
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// A process that holds `sql` open in the database: killed, as by a power cut, when it is dropped.
struct Holder(std::process::Child);

impl Holder {
    fn new(desk: &Desk, sql: &str) -> Self {
        use std::io::{Read as _, Write as _};
        let mut child = std::process::Command::new("sqlite3")
            .args(["-batch", "-init", "/dev/null"])
            .arg(desk.db())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.as_mut().unwrap();
        writeln!(input, "{sql}\nSELECT 'ready';").unwrap();
        let mut said = Vec::new();
        let output = child.stdout.as_mut().unwrap();
        while !said.ends_with(b"ready\n") {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).unwrap(), 1, "the holder died");
            said.push(byte[0]);
        }
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn the_source_and_its_wal_stay_as_they_are() {
    let desk = Desk::with_shell("CREATE TABLE t(a); INSERT INTO t VALUES(1);");
    drop(Holder::new(&desk, "PRAGMA journal_mode = WAL; INSERT INTO t VALUES(2); INSERT INTO t VALUES(3);"));
    let before = bytes_of(&desk);
    assert_eq!(before.len(), 2, "a -wal file with rows that are not in the database yet");
    let (text, facts) = desk.dump();
    assert!(text.contains("(3,3)"), "{text}");
    assert_eq!(facts.properties["journal_mode"], "wal");
    assert!(bytes_of(&desk) == before, "the database or its -wal changed");
}

#[test]
fn a_hot_journal_is_recovered_in_a_copy_and_the_source_stays_as_it_is() {
    let desk = Desk::with_shell(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, 'kept' FROM n;",
    );
    let clean = desk.dump().0;
    drop(Holder::new(&desk, "PRAGMA cache_size = 2; PRAGMA synchronous = OFF; BEGIN; UPDATE t SET a = 'lost' || id;"));
    let before = bytes_of(&desk);
    assert_eq!(before.len(), 2, "a journal lies beside the database");
    assert!(before[0].1.windows(4).any(|window| window == b"lost"), "the change had begun to reach the database");
    desk.source().estimate().unwrap();
    assert!(desk.dump().0 == clean, "the dump shows the state before the crash");
    assert!(bytes_of(&desk) == before, "the database or its journal changed");
    assert_eq!(std::fs::read_dir(desk.path("spool")).unwrap().count(), 0);
}

fn failure(source: &Sqlite) -> Error {
    let error = sqlite_kit::dump(source).unwrap_err();
    assert!(error.remedy().is_some(), "no remedy: {}", error.report());
    assert!(error.report().contains(&format!("{:?}", source.path.file_name().unwrap()).trim_matches('"').to_owned()));
    assert_eq!(source.estimate().unwrap_err().kind(), error.kind(), "the estimate fails in the same way");
    error
}

#[test]
fn a_database_that_is_not_there_or_not_a_file_is_named() {
    let desk = Desk::new();
    let error = failure(&desk.source());
    assert_eq!((error.kind(), error.to_string()), (Kind::Missing, format!("there is no database at {:?}", desk.db())));
    assert!(!desk.db().exists(), "nothing was created");
    std::fs::create_dir(desk.db()).unwrap();
    let error = failure(&desk.source());
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("is a folder, not a database file"), "{error}");
}

#[test]
fn an_empty_file_is_not_taken_for_a_database() {
    let desk = Desk::new();
    std::fs::write(desk.db(), b"").unwrap();
    let error = failure(&desk.source());
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("is empty: 0 bytes"), "{error}");
}

#[test]
fn an_encrypted_or_other_file_is_told_by_its_first_bytes() {
    let desk = Desk::new();
    for bytes in [vec![0x5a; 8192], b"hello".to_vec(), b"%PDF-1.7 ........................".repeat(400)] {
        std::fs::write(desk.db(), &bytes).unwrap();
        let error = failure(&desk.source());
        assert_eq!(error.kind(), Kind::Damaged);
        assert!(error.to_string().contains("is not an SQLite database"), "{error}");
        assert!(error.remedy().unwrap().contains("encrypted"));
    }
}

#[test]
fn a_damaged_database_is_no_backup() {
    for (from, to) in [(0_usize, 100_usize), (16, 18), (2 * 4096, 40 * 4096)] {
        let desk = Desk::with(ACCOUNTS);
        let mut bytes = std::fs::read(desk.db()).unwrap();
        bytes[from.max(16)..to].fill(0xa5);
        std::fs::write(desk.db(), bytes).unwrap();
        let error = sqlite_kit::dump(&desk.source()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{}", error.report());
        assert!(error.remedy().unwrap().contains("restore"), "{}", error.report());
    }
    let desk = Desk::with(ACCOUNTS);
    let file = std::fs::OpenOptions::new().write(true).open(desk.db()).unwrap();
    file.set_len(1 << 20).unwrap();
    let error = sqlite_kit::dump(&desk.source()).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{}", error.report());
}

#[test]
fn a_lock_that_stays_is_an_error_after_the_wait_and_not_before() {
    let desk = Desk::with("CREATE TABLE t(a)");
    let source = Sqlite { lock_wait: Duration::from_millis(400), ..desk.source() };
    let holder = Holder::new(&desk, "BEGIN EXCLUSIVE;");
    let start = Instant::now();
    let error = failure(&source);
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains("locked"), "{error}");
    assert!((800..5000).contains(&start.elapsed().as_millis()), "{:?} for a dump and an estimate", start.elapsed());
    let patient = Sqlite { lock_wait: Duration::from_secs(20), ..desk.source() };
    std::thread::scope(|scope| {
        let dump = scope.spawn(|| sqlite_kit::dump(&patient));
        std::thread::sleep(Duration::from_millis(300));
        drop(holder);
        dump.join().unwrap().unwrap();
    });
}

#[test]
fn a_file_without_permission_says_so() {
    let desk = Desk::with("CREATE TABLE t(a)");
    std::fs::set_permissions(desk.db(), std::fs::Permissions::from_mode(0o000)).unwrap();
    let error = std::thread::scope(|scope| {
        // Root may read everything; the file system user of one thread is somebody else.
        let asked = scope.spawn(|| {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            std::fs::set_permissions(desk.dir.path(), std::fs::Permissions::from_mode(0o755)).ok();
            sqlite_kit::dump(&desk.source()).unwrap_err()
        });
        std::fs::set_permissions(desk.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        asked.join().unwrap()
    });
    assert!(error.to_string().contains("no permission"), "{}", error.report());
    assert!(error.remedy().is_some());
}

#[test]
fn the_locked_pass_gives_up_in_time_and_leaves_nothing() {
    let desk = Desk::with(ACCOUNTS);
    let stop = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        let writer = scope.spawn(|| keep_moving(&desk.db(), &stop, Duration::ZERO));
        let ended = Stop(&stop);
        let source = Sqlite { locked_pass: Duration::ZERO, ..desk.source() };
        // The writer may leave a gap by chance; it does not do so again and again.
        let error = (0..20).find_map(|_| sqlite_kit::dump(&source).err());
        drop(ended);
        writer.join().unwrap();
        error.expect("the box of the locked pass was exceeded")
    });
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.remedy().unwrap().contains("journal_mode = WAL"), "{}", error.report());
    assert_eq!(std::fs::read_dir(desk.path("spool")).unwrap().count(), 0);
}

#[test]
fn a_copy_in_the_spool_is_private_and_goes_away_when_the_sink_fails() {
    struct Failing<'d>(&'d Desk, Vec<u8>, Option<u32>);
    impl Sink for Failing<'_> {
        fn text(&mut self) -> &mut Vec<u8> {
            &mut self.1
        }
        fn boundary(&mut self, _: u64) -> bool {
            self.1.len() > 100_000
        }
        fn cut(&mut self) -> Result<()> {
            let mut spool = std::fs::read_dir(self.0.path("spool")).unwrap();
            self.2 = Some(spool.next().unwrap().unwrap().metadata().unwrap().permissions().mode() & 0o777);
            Err(Error::new(Kind::NoSpace, "the stick is full"))
        }
    }
    let desk = Desk::with(ACCOUNTS);
    let cancel = Cancel::default();
    let mut sink = Failing(&desk, Vec::new(), None);
    let error = desk.source().dump(&mut sink, &Run { monitor: &Quiet, cancel: &cancel }).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (Kind::NoSpace, "the stick is full".into()));
    assert_eq!(sink.2, Some(0o600));
    assert_eq!(std::fs::read_dir(desk.path("spool")).unwrap().count(), 0);
}

#[test]
fn a_panic_of_the_sink_passes_through_sqlite_unharmed() {
    struct Panicking(Vec<u8>);
    impl Sink for Panicking {
        fn text(&mut self) -> &mut Vec<u8> {
            &mut self.0
        }
        fn boundary(&mut self, key: u64) -> bool {
            assert!(key < 700, "behind the seventh hundred");
            false
        }
        fn cut(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let desk = Desk::with(
        "CREATE TABLE t(id INTEGER PRIMARY KEY); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO t SELECT i FROM n",
    );
    let panic = std::panic::catch_unwind(|| {
        let cancel = Cancel::default();
        desk.source().dump(&mut Panicking(Vec::new()), &Run { monitor: &Quiet, cancel: &cancel }).map(drop)
    });
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"behind the seventh hundred"));
    assert_eq!(std::fs::read_dir(desk.path("spool")).unwrap().count(), 0);
    desk.round_trip();
}

#[test]
fn a_cancelled_dump_ends_soon_wherever_it_is() {
    struct CancelAt<'c>(&'c Cancel, u64, Mutex<u64>);
    impl Monitor for CancelAt<'_> {
        fn event(&self, event: Event) {
            if let Event::Progress { .. } = event {
                let mut seen = self.2.lock().unwrap();
                *seen += 1;
                if *seen == self.1 {
                    self.0.cancel();
                }
            }
        }
    }
    /// Reports its progress at each cut, as the packer does.
    struct Reporting<'r>(Chunks, Run<'r>);
    impl Sink for Reporting<'_> {
        fn text(&mut self) -> &mut Vec<u8> {
            self.0.text()
        }
        fn boundary(&mut self, key: u64) -> bool {
            self.0.boundary(key)
        }
        fn cut(&mut self) -> Result<()> {
            self.0.cut()?;
            self.1.progress(self.0.chunks.iter().map(|chunk| chunk.len() as u64).sum())
        }
    }
    let desk = Desk::with(ACCOUNTS);
    for at in [1, 5, 20] {
        let cancel = Cancel::default();
        let monitor = CancelAt(&cancel, at, Mutex::new(0));
        let mut sink = Reporting(Chunks::new(16 << 10), Run { monitor: &monitor, cancel: &cancel });
        let error = desk.source().dump(&mut sink, &Run { monitor: &monitor, cancel: &cancel }).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
        assert_eq!(*monitor.2.lock().unwrap(), at, "no further progress");
        assert_eq!(std::fs::read_dir(desk.path("spool")).unwrap().count(), 0);
    }
}

#[test]
fn the_estimate_is_about_the_size_of_the_text() {
    let desk = Desk::with(ACCOUNTS);
    let (estimate, text) = (desk.source().estimate().unwrap(), desk.dump().0.len() as u64);
    assert!(estimate > text / 2 && estimate < text * 2, "{estimate} for {text}");
}
