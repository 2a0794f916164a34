//! The agent as a real process: its socket, its schedule, its end. Sticks come and go on the emulated box (`tests/box`),
//! because that takes a kernel of its own.
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod kit;
mod running;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod till;

mod cycle;
mod ending;
mod owed;
mod schedule;
mod socket;
