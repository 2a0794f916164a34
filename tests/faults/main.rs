//! Lets every system call of the real program fail in turn, and kills it before each, while it backs up, restores and
//! recovers; asserted is what a user would see. `strace` does it: the program and its SQLite are what is delivered.
//!
//! Plain `cargo test` strikes each kind of call on each kind of file once; `TILLSTICK_PROOF=full` strikes every call.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest of it")]
mod kit;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "these tests make a smaller till of their own")]
mod till;

mod shop;
mod strace;

mod backup;
mod restore;
