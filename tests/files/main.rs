//! Files as an archive and back: trees of every kind with GNU tar as the judge, and archives that mean harm.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod hostile;
mod kit;
mod trees;

#[path = "../proof/mod.rs"]
mod proof;
