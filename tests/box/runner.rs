//! Runs the scenarios, two at a time, each in a machine of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::folder::Folder;
use crate::machine::{Machine, Payload};
use crate::snapshot::Snapshot;

/// How many machines run at once: each is busy with one processor.
const MACHINES: usize = 2;

/// A sentence that a user would understand, and what shows that it is true.
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&mut Machine<'_>),
}

/// Runs all whose name contains `only`; gives the exit code.
pub fn run(all: &[&'static Scenario], only: &str) -> i32 {
    let begun = Instant::now();
    let wanted: Vec<_> = all.iter().copied().filter(|scenario| scenario.name.contains(only)).collect();
    if wanted.is_empty() {
        println!("no scenario has {only:?} in its name");
        return 2;
    }
    let snapshot = Snapshot::get(&cache());
    let payload = Payload::new();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..MACHINES {
            scope.spawn(|| {
                while let Some(scenario) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !passes(scenario, &snapshot, &payload.disk) {
                        failed.lock().unwrap().push(scenario.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!(
        "{} scenarios passed, {} failed, {:.0} s",
        wanted.len() - failed.len(),
        failed.len(),
        begun.elapsed().as_secs_f32()
    );
    for name in &failed {
        println!("failed: {name}; its logs: {}", logs(name).display());
    }
    i32::from(!failed.is_empty())
}

fn passes(scenario: &Scenario, snapshot: &Snapshot, payload: &Path) -> bool {
    let begun = Instant::now();
    let folder = Folder::new(logs(scenario.name));
    let ran = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&mut Machine::start(snapshot, payload, &folder))));
    let word = if ran.is_ok() { "ok" } else { "FAILED" };
    println!("{word:6} {:6.1} s  {}", begun.elapsed().as_secs_f32(), scenario.name);
    if ran.is_ok() {
        folder.remove();
    }
    ran.is_ok()
}

/// Where a scenario leaves its logs and the images of its sticks when it fails.
pub fn logs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("box").join(name)
}

/// The folder that prepare.sh has filled.
pub fn cache() -> PathBuf {
    std::env::var_os("BOX_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("box-cache"), PathBuf::from)
}
