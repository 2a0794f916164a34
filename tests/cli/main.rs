//! The program as a person or a script uses it: the real binary, real databases, images of sticks made with the system's
//! own tools; asserted is what can be seen from outside.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "the demo uses the rest of it")]
mod till;

mod kit;

mod apart;
mod asked;
mod backup;
mod changed;
mod check;
mod clock;
mod files;
mod format;
mod init;
mod interrupted;
mod json;
mod newer;
mod prune;
mod quiesce;
mod recover;
mod restore;
mod room;
mod runs;
mod sealed;
mod signed;
mod sources;
mod told;
mod wrong_sticks;
