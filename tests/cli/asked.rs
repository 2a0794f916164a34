//! Questions at a terminal: what is answered, and what is done then.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use crate::kit::{Box, names, tool_command};

/// Ctrl-C and ctrl-D, as a keyboard sends them.
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

const BACKUP: &str = "Back the database up now? [y/N] ";
const SEND: &str = "Send the database now? [y/N] ";

/// A program at a terminal of its own, and a person before it.
struct Terminal {
    process: Child,
    /// `None` once the window is closed.
    keyboard: Option<File>,
    screen: Arc<Mutex<String>>,
    is_watched: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    /// How much of the screen was read.
    read: usize,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        Self::start_by(&["setsid", "-c", "-w"], command)
    }

    /// By a program of its own, which makes it the first of the terminal: that is what makes ctrl-C a signal, as in a shell.
    fn start_by(by: &[&str], command: &Command) -> Self {
        // No other child may have it, or the window would stay open with that one.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut options = File::options();
        let options = options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let slave = || options.open(ptsname_r(&master).unwrap()).unwrap();
        let mut inside = tool_command(by[0], &by[1..]);
        inside.arg(command.get_program()).args(command.get_args()).env("LC_ALL", "C").env_remove("RUST_LOG");
        inside.stdin(slave()).stdout(slave()).stderr(slave());
        let process = inside.spawn().unwrap();
        drop(inside);
        let keyboard = File::from(OwnedFd::from(master));
        let (screen, mut output) = (Arc::new(Mutex::new(String::new())), keyboard.try_clone().unwrap());
        let is_watched = Arc::new(AtomicBool::new(true));
        let (shown, watched) = (screen.clone(), is_watched.clone());
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while watched.load(Ordering::SeqCst) {
                let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
                if poll(&mut fds, PollTimeout::from(50_u8)) == Ok(0) {
                    continue;
                }
                // At its end, which is an error, nobody is left who writes to it.
                let Ok(read @ 1..) = output.read(&mut piece) else { return };
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        Self { process, keyboard: Some(keyboard), screen, is_watched, reader: Some(reader), read: 0 }
    }

    fn seen(&self) -> String {
        self.screen.lock().unwrap()[self.read..].to_owned()
    }

    /// Waits until the text appears.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let seen = self.seen();
            if let Some(at) = seen.find(text) {
                self.read += at + text.len();
                return seen[..at].to_owned();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{text:?} does not come: {:?}", self.seen());
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.as_ref().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Closes the window: the kernel tells whoever sits in it.
    fn close(&mut self) {
        self.is_watched.store(false, Ordering::SeqCst);
        self.reader.take().unwrap().join().unwrap();
        self.keyboard = None;
    }

    /// Waits for its end: the exit code, and what it had to say since the last question. One that asks on gets no answer.
    #[track_caller]
    fn ends(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait().unwrap() {
                self.reader.take().map(JoinHandle::join);
                return (status.code(), self.seen());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end: {:?}", self.seen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A box with the store `away`.
fn with_store(site: &Box) -> PathBuf {
    let away = site.path("away");
    site.configure("", &format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\n"));
    fs::create_dir_all(&away).unwrap();
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    away.join("004711")
}

fn by_hand(site: &Box, args: &[&str]) -> Terminal {
    Terminal::start(&site.command(args))
}

#[test]
fn each_step_by_hand_waits_for_its_yes() {
    let site = Box::new();
    let away = with_store(&site);
    for yes in [["y\n", "yes\n"], ["J\n", "  sí \n"]] {
        let sent = || names(&away.join("kasse-1")).iter().filter(|name| *name != "box.json").count();
        let (made, before) = (site.ids().len(), sent());
        let mut run = by_hand(&site, &["backup", "--ask"]);
        run.shows(BACKUP);
        // Longer than a backup takes, or a copy.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(site.ids().len(), made, "not yet");
        run.types(yes[0]);
        run.shows("Database backed up.");
        run.shows(SEND);
        thread::sleep(Duration::from_secs(2));
        assert_eq!(sent(), before, "not yet");
        run.types(yes[1]);
        let (code, said) = run.ends();
        assert!(code == Some(0) && said.contains("Database sent! away"), "{code:?} {said}");
        assert_eq!((site.ids().len(), sent()), (made + 1, before + 1));
    }
}

/// What a person may do who does not want it: the exit code of the first question, of the second, and of `copy`.
const NO: [(&str, [i32; 3]); 5] =
    [("n\n", [1, 3, 1]), ("\n", [1, 3, 1]), ("yesterday\n", [1, 3, 1]), (CTRL_D, [1, 3, 1]), (CTRL_C, [130, 130, 130])];

#[test]
fn whoever_does_not_say_yes_gets_nothing_done() {
    let site = Box::new();
    let away = with_store(&site);
    for (keys, [first, second, copy]) in NO {
        let before = site.ids();
        let mut run = by_hand(&site, &["backup", "--ask"]);
        run.shows(BACKUP);
        run.types(keys);
        let (code, said) = run.ends();
        assert_eq!(code, Some(first), "{keys:?}: {said}");
        assert!(first > 1 || said.contains("no backup was made"), "{keys:?}: {said}");
        assert_eq!(site.ids(), before, "{keys:?}");

        let mut run = by_hand(&site, &["backup", "--ask"]);
        run.shows(BACKUP);
        run.types("y\n");
        run.shows(SEND);
        run.types(keys);
        let (code, said) = run.ends();
        assert_eq!(code, Some(second), "{keys:?}: {said}");
        assert!(second > 3 || said.contains("nothing was sent") && said.contains("tillstick copy"), "{keys:?}: {said}");
        assert_eq!(site.ids().len(), before.len() + 1, "the backup stays: {keys:?}");
        site.run(&["check"]).exits(0);

        let mut run = by_hand(&site, &["copy", "--ask"]);
        run.shows(SEND);
        run.types(keys);
        let (code, said) = run.ends();
        assert_eq!(code, Some(copy), "{keys:?}: {said}");
        assert!(!away.exists(), "{keys:?}: nothing was sent");
    }
    let mut run = by_hand(&site, &["copy", "--ask"]);
    run.shows(SEND);
    run.types("y\n");
    assert_eq!(run.ends().0, Some(0));
    assert!(away.exists());
}

#[test]
fn a_terminal_that_is_closed_is_no_yes() {
    let site = Box::new();
    with_store(&site);
    // Whoever is told by a signal ends by it; whoever does not hear it finds nobody to ask.
    for (by, code) in
        [(&["setsid", "-c", "-w"][..], Some(129)), (&["setsid", "-c", "-w", "env", "--ignore-signal=HUP"], Some(1))]
    {
        let mut run = Terminal::start_by(by, &site.command(&["backup", "--ask"]));
        run.shows(BACKUP);
        run.close();
        assert_eq!(run.ends().0, code, "{by:?}");
        assert_eq!(site.ids(), [] as [String; 0], "{by:?}");
    }
}

#[test]
fn without_a_terminal_there_is_nobody_to_ask() {
    let site = Box::new();
    with_store(&site);
    for args in [&["backup", "--ask"][..], &["copy", "--ask"]] {
        site.run(args).exits(2).says(&["no terminal", "--ask"]);
    }
    assert_eq!(site.ids(), [] as [String; 0]);
}

/// Three boxes of the customer in two stores, and another customer beside them.
fn many_boxes(site: &Box) -> (String, [PathBuf; 2]) {
    let stores = ["away", "nas"].map(|name| site.path(name));
    let tables: String = [("away", &stores[0]), ("nas", &stores[1])]
        .map(|(name, path)| format!("[stores.{name}]\ntype = \"directory\"\npath = {path:?}\n"))
        .concat();
    site.configure("", &tables);
    for (name, path) in ["away", "nas"].iter().zip(&stores) {
        fs::create_dir_all(path).unwrap();
        site.run(&["store", "init", name, "--same-disk"]).exits(0);
    }
    for (customer, name) in [("004711", "kasse-2"), ("004711", "theke"), ("009999", "kasse-1")] {
        let other = Box::new();
        other.configure_as(customer, name, "", &tables);
        other.run(&["backup"]).exits(0);
    }
    site.backup();
    site.backup();
    (tables, stores)
}

#[test]
fn a_purge_names_every_box_in_every_store_before_it_asks() {
    let site = Box::new();
    let (_, stores) = many_boxes(&site);
    let purge = ["store", "purge", "--customer", "004711"];
    let question = "All of it goes for good: 8 backups of 6 boxes of customer 004711.\r\nRemove it? [y/N] ";
    let count = || stores.each_ref().map(|store| names(&store.join("004711")));
    let all = ["kasse-1", "kasse-2", "theke"].map(str::to_owned);
    for (keys, code) in [("n\n", 1), (CTRL_D, 1), (CTRL_C, 130)] {
        let mut run = by_hand(&site, &purge);
        let told = run.shows(question);
        for (store, at) in ["away", "nas"].iter().zip(&stores) {
            for (name, backups) in [("kasse-1", "2 backups"), ("kasse-2", "1 backup"), ("theke", "1 backup")] {
                let line = format!("{store} ({}): box {name}: {backups}, the newest 20", at.display());
                assert!(told.contains(&line), "{line}\n{told}");
            }
        }
        assert!(!told.contains("009999"), "{told}");
        run.types(keys);
        let (ended, said) = run.ends();
        assert_eq!(ended, Some(code), "{said}");
        assert_eq!(count(), [all.to_vec(), all.to_vec()], "nothing was removed");
        assert!(names(&site.path("state/purges")).is_empty(), "and no record says so");
    }
    let mut run = by_hand(&site, &[&purge[..], &["--store", "nas"]].concat());
    run.shows("All of it goes for good: 4 backups of 3 boxes of customer 004711.");
    run.types("y\n");
    assert_eq!(run.ends().0, Some(0));
    assert_eq!(count(), [all.to_vec(), Vec::new()], "the store that was not named keeps all");
    let mut run = by_hand(&site, &purge);
    run.shows("4 backups of 3 boxes");
    run.types("y\n");
    assert_eq!(run.ends().0, Some(0));
    assert_eq!(count(), [Vec::<String>::new(), Vec::new()]);
    for store in &stores {
        assert_eq!(names(store).iter().filter(|name| *name == "009999").count(), 1, "another customer's stay");
    }
}

#[test]
fn the_record_of_a_purge_is_signed() {
    let site = Box::new();
    many_boxes(&site);
    let pem = site.path("box.pem");
    fs::write(&pem, site.run(&["key", "export"]).exits(0).out).unwrap();
    site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(0);
    let folder = site.path("state/purges");
    let [name, signature] = &names(&folder)[..] else { panic!("{:?}", names(&folder)) };
    assert_eq!(*signature, format!("{name}.sig"));
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let record: serde_json::Value = serde_json::from_slice(&fs::read(path(name)).unwrap()).unwrap();
    assert_eq!((&record["customer"], &record["done"]), (&"004711".into(), &true.into()), "{record}");
    let removed = record["removed"].as_array().unwrap();
    let boxes: Vec<(&str, &str, usize)> = removed
        .iter()
        .map(|one| {
            (one["store"].as_str().unwrap(), one["box"].as_str().unwrap(), one["backups"].as_array().unwrap().len())
        })
        .collect();
    let expected = ["away", "nas"].map(|store| [(store, "kasse-1", 2), (store, "kasse-2", 1), (store, "theke", 1)]);
    assert_eq!(boxes, expected.concat());

    let verify = || {
        let args = ["pkeyutl", "-verify", "-pubin", "-inkey", pem.to_str().unwrap(), "-rawin", "-in", &path(name)];
        tool_command("openssl", &[&args[..], &["-sigfile", &path(signature)]].concat()).output().unwrap().status
    };
    assert!(verify().success());
    let text = fs::read_to_string(path(name)).unwrap();
    for (was, becomes) in [("kasse-2", "kasse-3"), ("\"done\": true", "\"done\": false"), ("004711", "004712")] {
        assert!(text.contains(was));
        fs::write(path(name), text.replace(was, becomes)).unwrap();
        assert!(!verify().success(), "a record with {becomes} is not what was signed");
    }
    fs::write(path(name), text).unwrap();
    assert!(verify().success());
}
