//! Formatting: what comes out, what a pulled stick leaves, and which sticks are never formatted.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../proof/mod.rs"]
mod proof;

mod disk;
mod layout;
mod prefixes;
mod refusals;
mod results;
