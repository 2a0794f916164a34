//! The box as a shop has it: a real kernel with udev in an emulated machine, USB sticks that are plugged in and pulled,
//! lights and a speaker. `make test-box` runs all scenarios, `make test-box ONLY=pulled` those with this word in their
//! name; `make box` opens the machine for a person.
#![allow(missing_docs, unreachable_pub, reason = "a program of tests")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong, and tells")]

#[path = "../fsck/mod.rs"]
mod fsck;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "the demo uses the rest of it")]
mod till;

mod beep;
mod folder;
mod guest;
mod interactive;
mod machine;
mod medium;
mod nbd;
mod qemu;
mod qmp;
mod replay;
mod runner;
mod scenarios;
mod signals;
mod snapshot;
mod stick;

use std::time::Duration;

/// How long something that must happen is waited for. It is far more than it takes, also on a busy machine: what is
/// waited for is an event, and this is only how long a scenario hangs that has failed.
pub const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--interactive") {
        return interactive::run();
    }
    let only = arguments.iter().find(|argument| !argument.starts_with('-'));
    std::process::exit(runner::run(&scenarios::all(), only.map_or("", String::as_str)));
}
