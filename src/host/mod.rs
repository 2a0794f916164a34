//! The door to the operating system: durable files, locks, space, clock, signals, block devices, child processes.
//! `unsafe` and the spawning of processes live here (and in the raw SQLite reader) alone.

pub mod apart;
pub mod block;
pub mod child;
pub mod confine;
pub mod durable;
pub mod entropy;
pub mod fat_attr;
pub mod hook;
pub mod in_use;
pub mod keys;
pub mod lock;
pub mod mount;
#[cfg(any(feature = "ftp", feature = "sftp", feature = "web"))]
pub mod net;
pub mod notify;
pub mod piped;
pub mod process;
pub mod scratch;
pub mod secret;
pub mod signals;
#[cfg(any(feature = "ftp", feature = "sftp", feature = "web"))]
pub mod socket;
pub mod space;
pub mod terminal;
#[cfg(feature = "web")]
mod transport;
pub mod tree;
pub mod wake;
#[cfg(feature = "web")]
pub mod web;
#[cfg(not(feature = "web"))]
#[path = "web_off.rs"]
pub mod web;
pub mod xattr;
