//! tillstick puts a till's database on the USB stick that somebody plugs in, and proves that it can be read back.
//!
//! ```text
//! command, udev event
//!    -> policy decides        (pure: facts in, decision with its reason out)
//!    -> source.dump           (SQL text in b-tree order, one consistent snapshot)
//!    -> pack                  (chunks cut by content -> workers deflate -> one gzip member; known chunks are reused)
//!    -> primary               (fsynced; manifest last)
//!    -> stick                 (verified by reading back from the medium)
//! ```
//!
//! Restore runs the same way back. The modules below stand in reading order, from the story down to the nouns. A
//! module imports lower floors only, never a neighbour; only [`job`] joins them (`tests/architecture.rs` checks it).
//! ARCHITECTURE.md has the table, the reasons and what never happens.

pub mod cli;

pub mod agent;
pub mod job;

pub mod source;
pub mod store;

pub mod feedback;
pub mod journal;
pub mod pack;
pub mod primary;
pub mod stick;
pub mod trust;

pub mod host;

pub mod config;

pub mod policy;

pub mod lang;

pub mod error;
pub mod model;
