//! Runs the scenarios, each on the next machine that is free. One in which a scenario failed is not used again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::folder::Folder;
use crate::machine::{Machine, Payload};
use crate::snapshot::Snapshot;

/// So many lines of a log are shown when a scenario has failed.
const LAST_LINES: usize = 60;

/// A sentence that a user would understand, and what shows that it is true.
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&mut Machine),
}

/// Runs all, or those whose name contains one of these words; gives the exit code.
pub fn run(all: &[&'static Scenario], machines: usize, only: &[String]) -> i32 {
    let begun = Instant::now();
    let is_wanted = |scenario: &&Scenario| only.is_empty() || only.iter().any(|word| scenario.name.contains(word));
    let wanted: Vec<_> = all.iter().copied().filter(is_wanted).collect();
    if wanted.is_empty() {
        println!("no scenario has {only:?} in its name");
        return 2;
    }
    let snapshot = Snapshot::get(&cache());
    let payload = Payload::new();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for number in 0..machines {
            let (next, failed, wanted, snapshot, payload) = (&next, &failed, &wanted, &snapshot, &payload.disk);
            scope.spawn(move || {
                let folder = || Folder::new(logs(&format!("machine-{number}")));
                let mut machine = None;
                while let Some(scenario) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = || Machine::start(snapshot, payload, folder());
                    if !passes(scenario, &mut machine, start) {
                        failed.lock().unwrap().push(scenario.name);
                    }
                }
                if let Some(machine) = machine {
                    machine.end();
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

fn passes(scenario: &Scenario, machine: &mut Option<Machine>, start: impl Fn() -> Machine) -> bool {
    let begun = Instant::now();
    let _ = fs::remove_dir_all(logs(scenario.name));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let delivered = as_delivered(machine.take(), start);
        (scenario.run)(machine.insert(delivered));
    }));
    let word = if ran.is_ok() { "ok" } else { "FAILED" };
    println!("{word:6} {:6.1} s  {}", begun.elapsed().as_secs_f32(), scenario.name);
    if ran.is_err()
        && let Some(machine) = machine.take()
    {
        leave(machine, &logs(scenario.name));
    }
    ran.is_ok()
}

/// The machine that the scenario before has left, cleaned, or a new one. One that cannot be cleaned is told, with what its
/// kernel waits for, and replaced: the scenario to come has no part in it.
fn as_delivered(before: Option<Machine>, start: impl Fn() -> Machine) -> Machine {
    if let Some(mut machine) = before {
        if catch_unwind(AssertUnwindSafe(|| machine.reset())).is_ok() {
            return machine;
        }
        println!("REPLACED: a machine could not be cleaned after its last scenario");
        leave(machine, &logs("replaced"));
    }
    let mut machine = start();
    machine.reset();
    machine
}

fn leave(machine: Machine, at: &Path) {
    machine.leave(at);
    print_the_end(&at.join("guest.log"));
    print_the_end(&at.join("serial.log"));
}

/// Where the logs cannot be looked at afterwards, their last lines tell the most.
fn print_the_end(log: &Path) {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    println!("the last lines of {}:", log.display());
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().for_each(|line| println!("    {line}"));
}

/// Runs one scenario that ends only when something does not hold.
pub fn soak(run: fn(&mut Machine)) {
    let (snapshot, payload) = (Snapshot::get(&cache()), Payload::new());
    let mut machine = Machine::start(&snapshot, &payload.disk, Folder::new(logs("soak")));
    println!("its logs are in {}", logs("soak").display());
    machine.reset();
    run(&mut machine);
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
