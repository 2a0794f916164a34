//! Lets every system call of the real program fail in turn, and kills it before each, while it backs up, restores and
//! recovers; asserted is what a user would see. `strace` does it: the program and its SQLite are what is delivered.
//!
//! Beside a change one call of each kind on each kind of file is struck, in one way; `make test-proofs` strikes every
//! call in every way.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest of it")]
mod kit;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "these tests make a smaller till of their own")]
mod till;

#[path = "../proof/mod.rs"]
mod proof;

mod shop;
mod strace;

mod backup;
mod files;
mod purge;
mod recover;
mod restore;
mod room;
