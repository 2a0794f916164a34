//! The box as a shop has it: a real kernel with udev in an emulated machine, USB sticks that are plugged in and pulled,
//! lights and a speaker. `make test-box` runs all scenarios, `make test-box ONLY=pulled` those with one of these words
//! in their name; `make box` opens the machine for a person.
#![allow(missing_docs, unreachable_pub, reason = "a program of tests")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong, and tells")]

#[path = "../fsck/mod.rs"]
mod fsck;
#[path = "../proof/mod.rs"]
pub mod proof;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "the demo uses the rest of it")]
mod till;

mod beep;
mod disk;
mod folder;
mod gadget;
mod guest;
mod inside;
mod interactive;
mod judge;
mod lot;
mod machine;
mod medium;
mod nbd;
mod qemu;
mod qmp;
mod rebooted;
mod runner;
mod scenarios;
mod signals;
mod snapshot;
mod stick;
#[path = "../publish_prefixes/yank.rs"]
mod yank;

use std::time::Duration;

/// How long something that must happen is waited for. It is far more than it takes, also on a busy machine: what is
/// waited for is an event, and this is only how long a scenario hangs that has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How many machines run at once: each is busy with one processor.
const MACHINES: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "till") {
        return inside::till(&arguments[1..]);
    }
    if arguments.first().is_some_and(|first| first == "scans") {
        return inside::scans(&arguments[1..]);
    }
    if arguments.iter().any(|argument| argument == "--interactive") {
        return interactive::run();
    }
    if arguments.iter().any(|argument| argument == "--soak") {
        return runner::soak(scenarios::turmoil::soak);
    }
    if arguments.iter().any(|argument| argument == "--bench") {
        std::process::exit(runner::run(&scenarios::bench::ALL.iter().collect::<Vec<_>>(), 1, &[]));
    }
    let only: Vec<String> = arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
    std::process::exit(runner::run(&scenarios::all(), MACHINES, &only));
}
