//! How much room a file system has.

use std::path::Path;

use crate::error::{Context, Result};

/// Bytes that we may still write to the file system of `path`.
pub fn free(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).context(|| format!("cannot ask for the free space of {path:?}"))?;
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "32 bits on some boxes")]
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}
