//! A small shop with backups in its primary and on its stick, which is as it was before every strike.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::kit::{MIB, Ran, names, ran, scratch, sql, tillstick, tool};
use crate::proof;
use crate::strace::{Call, Fault, Program, first_of_each};

/// A till whose last sale is in its write-ahead log, and a stock without one.
const TILL: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE receipts(id INTEGER PRIMARY KEY, clerk TEXT NOT NULL, cents INTEGER NOT NULL);
    CREATE INDEX receipts_clerk ON receipts(clerk);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO receipts SELECT i, 'Anna', i * 97 % 1999 FROM n;";
const STOCK: &str = "CREATE TABLE products(name TEXT PRIMARY KEY, stock INTEGER) WITHOUT ROWID;
    INSERT INTO products VALUES('Müsli', 7), ('Käse', 3), ('O''Brien', 1);";
const LAST_SALE: &str = ".dbconfig no_ckpt_on_close on\nINSERT INTO receipts VALUES(301, 'Zoë', 250);\n";

/// How many strikes there are in each test beside a change.
const SAMPLE: usize = 40;

/// Every file below a folder with its content.
pub(crate) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// What its backups are copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stick {
    Image,
    Folder,
}

pub(crate) struct Shop {
    dir: TempDir,
    stick: Stick,
    /// The ids of the backups that it has before a strike.
    pub(crate) ids: Vec<String>,
    before: Tree,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::with(Stick::Image)
    }

    /// A shop that copies into a plain folder.
    pub(crate) fn with_a_folder() -> Self {
        Self::with(Stick::Folder)
    }

    fn with(stick: Stick) -> Self {
        let mut shop = Self { dir: scratch(), stick, ids: Vec::new(), before: Tree::new() };
        fs::create_dir(shop.place()).unwrap();
        sql(&shop.path("kasse.db"), TILL);
        sql(&shop.path("lager.db"), STOCK);
        shop.configure();
        shop.make_stick();
        for day in 0..2 {
            sql(&shop.path("kasse.db"), &format!("INSERT INTO receipts(clerk, cents) VALUES('Søren', {day})"));
            ran(shop.backup()).exits(0);
        }
        shop.ids = shop.finished();
        sql(&shop.path("kasse.db"), "DELETE FROM receipts WHERE id > 300");
        shop.sell_and_lose_power();
        tool("cp", &["-a", shop.place().to_str().unwrap(), shop.template().to_str().unwrap()]);
        shop.before = tree(&shop.template().join("backups"));
        shop
    }

    fn make_stick(&self) {
        let path = self.stick();
        match self.stick {
            Stick::Folder => fs::create_dir(path).unwrap(),
            Stick::Image => {
                fs::File::create(&path).unwrap().set_len(48 * MIB).unwrap();
                tool("mkfs.vfat", &["-F", "32", "-s", "1", path.to_str().unwrap()]);
            }
        }
    }

    fn configure(&self) {
        let text = format!(
            "customer = \"004711\"\nbox = \"kasse-1\"\nlang = \"en\"\ntime_zone = \"Europe/Berlin\"\nstate = {state:?}\n\
             [primary]\ndir = {dir:?}\nmin_free = \"1MB\"\n[dump]\nthreads = 1\n\
             [sources.kasse]\ntype = \"sqlite\"\npath = {kasse:?}\n\
             [sources.lager]\ntype = \"sqlite\"\npath = {lager:?}\n",
            state = self.path("state"),
            dir = self.primary(),
            kasse = self.path("kasse.db"),
            lager = self.path("lager.db"),
        );
        fs::write(self.path("tillstick.toml"), text).unwrap();
    }

    /// The last sale is in the log alone, as when the power fails.
    fn sell_and_lose_power(&self) {
        let script = self.dir.path().join("sale.sql");
        fs::write(&script, LAST_SALE).unwrap();
        let mut shell = Command::new("sqlite3");
        shell.arg(self.path("kasse.db")).stdin(fs::File::open(script).unwrap());
        assert!(shell.status().unwrap().success());
        assert!(self.path("kasse.db-wal").exists());
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("shop")
    }

    fn template(&self) -> PathBuf {
        self.dir.path().join("template")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place().join(name)
    }

    pub(crate) fn primary(&self) -> PathBuf {
        self.path("backups")
    }

    pub(crate) fn stick(&self) -> PathBuf {
        self.path(if self.stick == Stick::Image { "stick.img" } else { "stick" })
    }

    /// Runs a command on the stick.
    pub(crate) fn run_on_stick(&self, args: &[&str]) -> Ran {
        ran(self.command_on_stick(args))
    }

    fn command_on_stick(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.arg("--stick").arg(self.stick());
        if self.stick == Stick::Folder {
            command.arg("--plain-folder");
        }
        command
    }

    /// Makes a change that a strike finds, and that [`reset`](Self::reset) brings back.
    pub(crate) fn change(&self, change: &dyn Fn(&Self)) {
        change(self);
        fs::remove_dir_all(self.template()).unwrap();
        tool("cp", &["-a", self.place().to_str().unwrap(), self.template().to_str().unwrap()]);
    }

    /// Puts everything back as it was.
    pub(crate) fn reset(&self) {
        fs::remove_dir_all(self.place()).unwrap();
        tool("cp", &["-a", self.template().to_str().unwrap(), self.place().to_str().unwrap()]);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tillstick(args);
        command.arg("--config").arg(self.path("tillstick.toml"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args))
    }

    pub(crate) fn backup(&self) -> Command {
        self.command_on_stick(&["backup"])
    }

    /// Strikes each call of a command with each of the faults that `faults` names for it, and hands what came of it to
    /// `judge`.
    pub(crate) fn strike_all(
        &self,
        command: &dyn Fn() -> Command,
        faults: &dyn Fn(&Call) -> Vec<Fault>,
        judge: &dyn Fn(&str, Ran),
    ) {
        let log = self.dir.path().join("log");
        let place = self.place();
        let program = Program { command, below: &place, known: &self.ids, log: &log };
        let (mut struck, mut wrong, mut missed) = (0, 0, Vec::new());
        for (call, faults) in self.chosen(program.calls(), faults) {
            for fault in faults {
                self.reset();
                let what = format!("{fault:?} at {call}");
                match program.strike(&call, fault) {
                    Some(ran) => {
                        let judged = catch_unwind(AssertUnwindSafe(|| judge(&what, ran)));
                        wrong += usize::from(judged.is_err());
                    }
                    None => missed.push(what),
                }
                struck += 1;
            }
        }
        // Each was told where it was found.
        assert_eq!(wrong, 0, "so many of {struck} strikes went wrong");
        // A name that nobody could know before, or a folder that another process changed.
        assert!(missed.len() * 20 <= struck, "of {struck} strikes these met nothing: {missed:#?}");
    }

    /// What is struck, and how: see the head of this test. A call of a kind that came before is struck in one way, and
    /// killed at where that makes a difference.
    fn chosen(&self, calls: Vec<Call>, faults: &dyn Fn(&Call) -> Vec<Fault>) -> Vec<(Call, Vec<Fault>)> {
        let one_way = |n: usize, faults: Vec<Fault>| vec![faults[n % faults.len()]];
        let first = first_of_each(&calls, &self.ids);
        let all = calls.into_iter().zip(first).map(|(call, first)| (faults(&call), call, first));
        let all = all.filter(|(faults, ..)| !faults.is_empty());
        if proof::is_full() {
            let ways = |(n, (faults, call, first)): (usize, (Vec<Fault>, Call, bool))| {
                let kills = faults.contains(&Fault::Kills).then_some(Fault::Kills);
                let some = if first { faults } else { one_way(n, faults) };
                let missing = kills.filter(|kill| !some.contains(kill));
                (call, some.into_iter().chain(missing).collect())
            };
            return all.enumerate().map(ways).collect();
        }
        let kinds: Vec<(Vec<Fault>, Call, bool)> = all.filter(|(.., first)| *first).collect();
        let step = kinds.len().div_ceil(SAMPLE);
        let sample = kinds.into_iter().enumerate().step_by(step);
        sample.map(|(n, (faults, call, _))| (call, one_way(n, faults))).collect()
    }

    /// The ids of what looks like a finished backup in the primary, oldest first.
    pub(crate) fn finished(&self) -> Vec<String> {
        names(&self.primary()).into_iter().filter(|name| name.len() == 16 && name.ends_with('Z')).collect()
    }

    /// Nothing is left of a run that did not come to its end.
    #[track_caller]
    pub(crate) fn is_swept(&self, what: &str) {
        let primary: Vec<String> = names(&self.primary()).into_iter().filter(|name| name != ".lock").collect();
        assert_eq!(primary, self.finished(), "{what}");
        let rest =
            |name: &String| name.contains(".part") || name.contains("snapshot-") || name.contains("tillstick-new");
        let rests: Vec<PathBuf> =
            tree(&self.place()).into_keys().filter(|path| rest(&path.display().to_string())).collect();
        assert!(rests.is_empty(), "{what}: {rests:?}");
    }

    /// Every earlier backup in the primary is what it was, to the byte.
    #[track_caller]
    pub(crate) fn earlier_are_whole(&self, what: &str) {
        self.holds_the_earlier(&self.primary(), what);
    }

    /// The same of a primary that is somewhere else.
    #[track_caller]
    pub(crate) fn holds_the_earlier(&self, primary: &Path, what: &str) {
        let now = tree(primary);
        for (path, bytes) in &self.before {
            // Where copies are may be forgotten or learnt, and the lock says who had it last.
            if !path.ends_with("copies.json") && !path.ends_with(".lock") {
                assert!(now.get(path) == Some(bytes), "{what}: {path:?} is not what it was");
            }
        }
    }

    /// Everything that looks finished in the primary and on the stick is, and nothing that was there is gone.
    #[track_caller]
    pub(crate) fn all_is_whole(&self, what: &str) {
        self.earlier_are_whole(what);
        // A key that cannot be read stops no backup, which then is not signed.
        let check = ["check", "--json", "--trust-unknown"];
        for (place, checked) in [("the primary", self.run(&check)), ("the stick", self.run_on_stick(&check))] {
            assert_eq!(checked.code, Some(0), "{what}: on {place} it finds {} {}", checked.out, checked.err);
            for id in &self.ids {
                assert!(checked.out.contains(id), "{what}: on {place} it no longer sees {id}: {}", checked.out);
            }
        }
    }

    /// The next run of a person who tries again succeeds and sweeps.
    #[track_caller]
    pub(crate) fn next_backup_succeeds(&self, what: &str) {
        let next = ran(self.backup());
        assert_eq!(next.code, Some(0), "{what}: the next backup says {}{}", next.out, next.err);
        self.is_swept(what);
        let stick = match self.stick {
            Stick::Folder => format!("{:?}", tree(&self.stick()).into_keys()),
            Stick::Image => tool("mdir", &["-a", "-/", "-b", "-i", self.stick().to_str().unwrap(), "::/"]),
        };
        assert!(!stick.to_lowercase().contains(".part"), "{what}: {stick}");
    }
}

/// Every file below a folder with its content; paths are relative to it.
pub(crate) fn tree(dir: &Path) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                // The image is big and has its own checks.
                false if path.ends_with("stick.img") => {}
                false => drop(found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// What can happen to a call in the real world.
pub(crate) fn errors(call: &Call) -> Vec<Fault> {
    let mut faults = vec![Fault::Fails("EIO")];
    if call.needs_room() {
        faults.push(Fault::Fails("ENOSPC"));
    }
    if call.waits() {
        faults.push(Fault::Fails("EINTR"));
    }
    if call.looks_up() {
        faults.push(Fault::Fails("ENOENT"));
    }
    // std takes a folder that cannot be closed for a bug; no file system has one.
    if call.name == "close" && call.is_on_a_folder {
        faults.clear();
    }
    // A configuration that is cut off at the end of a line is another one.
    if call.moves_bytes() && !call.path.ends_with(".toml") {
        faults.push(Fault::DoesNothing);
    }
    faults
}

/// Death where it makes a difference.
pub(crate) fn kill(call: &Call) -> Vec<Fault> {
    if call.changes() { vec![Fault::Kills] } else { Vec::new() }
}

/// A failure says in the house's words what could not be done to what; a success or a failure never panics.
#[track_caller]
pub(crate) fn speaks_well(what: &str, ran: &Ran) {
    assert!(!ran.err.contains("panicked") && !ran.err.contains("RUST_BACKTRACE"), "{what}: {}", ran.err);
    if ran.code == Some(0) {
        return;
    }
    let lines: Vec<&str> = ran.err.lines().collect();
    let known = ["error: ", " -> ", " help: ", "warning: ", "[WARN "];
    if ran.code == Some(2) {
        // Mistakes in a configuration are told file by file.
        assert!(ran.err.contains("tillstick.toml: ") || ran.err.contains("conf.d: "), "{what}: {}", ran.err);
        return;
    }
    assert!(lines.iter().all(|line| known.iter().any(|start| line.starts_with(start))), "{what}: {}", ran.err);
    let error = lines.iter().find_map(|line| line.strip_prefix("error: "));
    assert!(error.is_some_and(|error| error.starts_with(|c: char| !c.is_uppercase())), "{what}: {}", ran.err);
    let names_a_backup = ran.err.contains("the backup 20") || ran.err.contains("manifest of 20");
    assert!(names_a_backup || ran.err.contains(['"', '`', '/']), "{what}: it names nothing: {}", ran.err);
}
