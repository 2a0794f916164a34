//! How much room a file system has.

use std::io;
use std::path::Path;

use crate::error::{Context, Result};

/// Bytes that we may still write to the file system of `path`.
pub fn free(path: &Path) -> Result<u64> {
    // Not of the C library, whose 32 bits on 32-bit ARM do not hold the blocks of a disk of 16 TiB.
    let stat = rustix::fs::statvfs(path)
        .map_err(io::Error::from)
        .context(|| format!("cannot ask for the free space of {path:?}"))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
