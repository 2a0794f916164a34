//! Sticks: what lies on one (read-only, unmounted), and putting backups onto it so that a yank loses nothing.

mod alias;
mod chain;
mod confirm;
mod copy;
pub mod folder;
pub mod format;
pub mod fs;
pub mod generations;
mod geometry;
pub mod identify;
pub mod image;
pub mod layout;
mod lost;
pub mod medium;
pub mod mount;
mod note;
mod overlay;
pub mod probe;
pub mod publish;
mod readme;
pub mod remove;
pub mod repair;
mod shared;
mod stamp;
pub mod sums;
mod system;
pub mod token;
pub mod torn;
mod walker;
pub mod watch;

use std::path::PathBuf;

/// Where one file system lies: on an image file or a block device, perhaps inside a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The image file or block device.
    pub path: PathBuf,
    /// Where the file system begins, in bytes from the start of `path`.
    pub offset: u64,
    /// How many bytes belong to it.
    pub size: u64,
}
