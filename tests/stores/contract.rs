//! What every kind of store must do, tried on the library's own interface.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tillstick::config::{StoreConfig, parse_str};
use tillstick::error::{Error, Kind};
use tillstick::model::{Cancel, Event, Monitor, Quiet, Run};
use tillstick::store::{Content, Store};

/// A store of some kind that is there and empty.
pub(crate) trait Subject {
    /// The lines of its table in tillstick.toml.
    fn table(&self) -> String;

    /// How much of a put that was cut off may be sent again, in bytes; `None` when the kind begins anew.
    fn sent_again(&self) -> Option<u64>;

    /// The paths of all files there, the unfinished too, where they can be looked at.
    fn files(&self) -> Option<Vec<String>>;
}

/// What the configuration makes of the lines.
pub(crate) fn config_of(table: &str) -> StoreConfig {
    let text = format!(
        "customer = \"1\"\nbox = \"b\"\ntime_zone = \"UTC\"\n[sources.k]\ntype = \"sqlite\"\npath = \"/k.db\"\n[stores.s]\n{table}\n"
    );
    let config = parse_str("t", &text).unwrap_or_else(|problems| panic!("{problems}"));
    config.stores.into_values().next().unwrap()
}

/// Opens it for as long as it takes.
pub(crate) fn open(config: &StoreConfig) -> Result<Box<dyn Store>, Error> {
    tillstick::store::open(config, &Cancel::default())
}

pub(crate) fn open_it(subject: &dyn Subject) -> Result<Box<dyn Store>, Error> {
    open(&config_of(&subject.table()))
}

pub(crate) fn opened(subject: &dyn Subject) -> Box<dyn Store> {
    open_it(subject).unwrap_or_else(|error| panic!("{}", error.report()))
}

pub(crate) fn quietly<T>(work: impl FnOnce(&Run) -> T) -> T {
    let cancel = Cancel::default();
    work(&Run { monitor: &Quiet, cancel: &cancel })
}

/// Bytes that no line compresses and that are the same each time.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn put(store: &mut dyn Store, path: &str, bytes: &[u8]) -> tillstick::store::Sent {
    quietly(|run| store.put(path, &Content::bytes(bytes.to_vec()), run))
        .unwrap_or_else(|error| panic!("{path}: {}", error.report()))
}

pub(crate) fn get(store: &mut dyn Store, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open(path).unwrap_or_else(|error| panic!("{}", error.report())).read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn names(store: &mut dyn Store, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = store.list(dir).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

/// Stops a put once so many bytes of it were read.
struct StopAfter {
    cancel: Cancel,
    bytes: u64,
    seen: AtomicU64,
}

impl Monitor for StopAfter {
    fn event(&self, event: Event) {
        if let Event::Progress { done } = event {
            self.seen.store(done, Ordering::Relaxed);
            if done >= self.bytes {
                self.cancel.cancel();
            }
        }
    }
}

/// The whole contract.
pub(crate) fn holds(subject: &dyn Subject) {
    what_is_put_is_there(subject);
    what_is_deleted_is_gone(subject);
    a_put_that_was_stopped_goes_on(subject);
}

fn what_is_put_is_there(subject: &dyn Subject) {
    let mut store = opened(subject);
    let store = store.as_mut();
    assert_eq!(names(store, ""), Vec::<String>::new().into_iter().chain(names(store, "")).collect::<Vec<_>>());
    assert!(store.list("nobody/nothing").unwrap().is_empty(), "a folder that is not there is empty");
    for (path, size) in [
        ("4711/kasse-1/box.json", 17),
        ("4711/kasse-1/20261122T200002Z/empty", 0),
        ("4711/kasse-1/20261122T200002Z/one", 1),
        ("4711/kasse-1/20261122T200002Z/104711_kasse.sql.gz", 1_300_000),
        ("4711/Theke 2 & Büro #1+%41/20261122T200002Z/größe=1, ('x').sql.gz", 70_000),
    ] {
        let bytes = noise(size, 7);
        let sent = put(store, path, &bytes);
        assert_eq!(sent.bytes, size as u64, "{path}");
        assert!(get(store, path) == bytes, "{path}");
        let (dir, name) = path.rsplit_once('/').unwrap();
        let listed = store.list(dir).unwrap();
        let entry = listed.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{path}: {listed:?}"));
        assert_eq!((entry.size, entry.is_dir), (size as u64, false), "{path}");
    }
    assert_eq!(names(store, "4711"), ["Theke 2 & Büro #1+%41", "kasse-1"]);
    assert!(store.list("4711").unwrap().iter().all(|entry| entry.is_dir));
    assert_eq!(names(store, "4711/kasse-1"), ["20261122T200002Z", "box.json"]);
    let missing = store.open("4711/kasse-1/missing").map(|_| ()).unwrap_err();
    assert_eq!(missing.kind(), Kind::Missing, "{}", missing.report());
    parts_can_be_read(store);
    // Other content takes the place of what was there.
    let other = noise(90_000, 8);
    put(store, "4711/kasse-1/box.json", &other);
    assert!(get(store, "4711/kasse-1/box.json") == other);
    // A second look with another connection.
    let mut again = opened(subject);
    assert!(get(again.as_mut(), "4711/kasse-1/box.json") == other);
}

/// Any bytes of a file, several files at once, and while the store does something else.
fn parts_can_be_read(store: &mut dyn Store) {
    let path = "4711/kasse-1/20261122T200002Z/104711_kasse.sql.gz";
    let bytes = noise(1_300_000, 7);
    let mut ranges = store.ranges();
    for (from, length) in [(0, 1), (1, 700_000), (699_999, 600_001), (1_299_999, 1), (1_299_000, 5000), (1_300_000, 1)]
    {
        let mut reader = ranges.open_range(path, from, length).unwrap_or_else(|error| panic!("{}", error.report()));
        assert!(!store.list("4711").unwrap().is_empty());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        let until = ((from + length) as usize).min(bytes.len());
        assert!(read == bytes[from as usize..until], "{from} {length}: {}", read.len());
    }
    let missing = ranges.open_range("4711/kasse-1/missing", 5, 5).map(|_| ()).unwrap_err();
    assert_eq!(missing.kind(), Kind::Missing, "{}", missing.report());
}

fn what_is_deleted_is_gone(subject: &dyn Subject) {
    let mut store = opened(subject);
    let store = store.as_mut();
    for name in ["a", "b", "deeper/c", "deeper/d/e"] {
        put(store, &format!("gone/{name}"), name.as_bytes());
    }
    put(store, "gone2", b"stays");
    store.delete("gone/a").unwrap();
    store.delete("gone/a").unwrap();
    store.delete("never/was").unwrap();
    assert_eq!(names(store, "gone"), ["b", "deeper"]);
    store.delete_dir("gone").unwrap();
    store.delete_dir("gone").unwrap();
    store.delete_dir("never").unwrap();
    assert!(store.list("gone").unwrap().is_empty());
    assert!(get(store, "gone2") == b"stays", "a neighbour whose name begins alike");
    store.delete("gone2").unwrap();
}

/// Wherever a put is stopped, nothing is in sight, and the next one sends no more than it must.
fn a_put_that_was_stopped_goes_on(subject: &dyn Subject) {
    let size = 12_000_000;
    let bytes = noise(size, 9);
    let path = "4711/kasse-1/20261122T200003Z/big.sql.gz";
    for stop in [1, 3_000_000, 11_900_000] {
        let monitor = StopAfter { cancel: Cancel::default(), bytes: stop, seen: AtomicU64::new(0) };
        let run = Run { monitor: &monitor, cancel: &monitor.cancel };
        let error = opened(subject).put(path, &Content::bytes(bytes.clone()), &run).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled, "{}", error.report());
        let mut store = opened(subject);
        assert!(!names(store.as_mut(), "4711/kasse-1/20261122T200003Z").contains(&"big.sql.gz".to_owned()));
        assert_eq!(store.open(path).map(|_| ()).unwrap_err().kind(), Kind::Missing);
        let sent = put(store.as_mut(), path, &bytes);
        assert_eq!(sent.bytes + sent.resumed, size as u64);
        if let Some(again) = subject.sent_again() {
            let least = monitor.seen.load(Ordering::Relaxed).saturating_sub(again);
            assert!(sent.resumed >= least, "stopped at {stop}: {sent:?}, and {least} were there");
        }
        assert!(Sha256::digest(get(store.as_mut(), path)) == Sha256::digest(&bytes), "stopped at {stop}");
        store.delete(path).unwrap();
    }
    // Other content under the same name takes nothing from the one that was cut off, and removes its rest.
    let monitor = StopAfter { cancel: Cancel::default(), bytes: 3_000_000, seen: AtomicU64::new(0) };
    let run = Run { monitor: &monitor, cancel: &monitor.cancel };
    opened(subject).put(path, &Content::bytes(bytes), &run).unwrap_err();
    let other = noise(400_000, 10);
    let mut store = opened(subject);
    assert_eq!(put(store.as_mut(), path, &other).resumed, 0);
    assert!(get(store.as_mut(), path) == other);
    let monitor = StopAfter { cancel: Cancel::default(), bytes: 3_000_000, seen: AtomicU64::new(0) };
    let run = Run { monitor: &monitor, cancel: &monitor.cancel };
    let third = noise(12_000_000, 11);
    opened(subject).put(path, &Content::bytes(third), &run).unwrap_err();
    let unfinished = |path: &String| path.contains("big.sql.gz.");
    let dir = path.rsplit_once('/').unwrap().0;
    store.give_up(dir, &|name| name == "big.sql.gz").unwrap();
    assert!(subject.files().is_none_or(|files| files.iter().any(unfinished)), "it was wanted");
    store.give_up(dir, &|name| name == "other").unwrap();
    assert!(get(store.as_mut(), path) == other, "what is finished stays");
    assert!(subject.files().is_none_or(|files| !files.iter().any(unfinished)), "{:?}", subject.files());
    store.delete(path).unwrap();
}
