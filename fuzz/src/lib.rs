//! What is fuzzed: for each target one function that takes any bytes and panics where a promise does not hold, and one
//! that changes an input with its form in mind.
//!
//! libFuzzer calls them (`bins`), and so do the seeded loops of `tests/fuzz_seeded.rs`, which includes this file.
#![allow(missing_docs, unreachable_pub, reason = "a library for the fuzzer and a module of a test")]
#![allow(clippy::unwrap_used, reason = "a panic is what tells that something is wrong")]

mod chunks;
mod config;
mod dice;
mod image;
mod load;
mod manifest;
mod mutate;
mod probe;
mod split;
mod stick;

pub use chunks::text_index;
pub use config::JOINT as CONFIG_JOINT;
pub use dice::Dice;
pub use image::{Image, SECTOR};

use std::sync::LazyLock;

use tillstick::model::{Cancel, Quiet, Run};

/// One thing that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Panics where a promise does not hold for this input.
    pub run: fn(&[u8]),
    /// Changes an input a little.
    pub mutate: fn(&mut Vec<u8>, &mut Dice),
    /// The longest input that is worth its time, in bytes.
    pub max_len: usize,
}

pub const PROBE: Target = Target { name: "probe", run: probe::run, mutate: image::mutate, max_len: 48 << 10 };
pub const STICK: Target = Target { name: "stick", run: stick::run, mutate: image::mutate, max_len: 48 << 10 };
pub const MANIFEST: Target =
    Target { name: "manifest", run: manifest::run, mutate: manifest::mutate, max_len: 16 << 10 };
pub const CONFIG: Target = Target { name: "config", run: config::run, mutate: config::mutate, max_len: 24 << 10 };
pub const CHUNKS: Target = Target { name: "chunks", run: chunks::run, mutate: chunks::mutate, max_len: 8 << 10 };
pub const SPLIT: Target = Target { name: "split", run: split::run, mutate: split::mutate, max_len: 4 << 10 };
pub const LOAD: Target = Target { name: "load", run: load::run, mutate: load::mutate, max_len: 16 << 10 };

pub const ALL: [Target; 7] = [PROBE, STICK, MANIFEST, CONFIG, CHUNKS, SPLIT, LOAD];

/// A folder in memory where there is one: an input may make several files.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn quiet() -> Run<'static> {
    static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::default);
    Run { monitor: &Quiet, cancel: &CANCEL }
}
