//! Decisions: facts in, verdict with its reason out. No I/O, no clock, no log.

pub mod automount;
pub mod clock;
pub mod dating;
pub mod delta;
pub mod enrol;
pub mod format;
pub mod health;
pub mod provenance;
pub mod redact;
pub mod reread;
pub mod retention;
pub mod retry;
pub mod rows;
pub mod schedule;
pub mod select;
pub mod set_aside;
pub mod signal;
pub mod signal_words;
pub mod slot;
pub mod space;
pub mod stick;
pub mod telling;
pub mod tse;
