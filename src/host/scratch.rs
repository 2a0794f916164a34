//! A file without a name: it is gone with whoever has it open, however that ends.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::entropy;
use crate::error::{Context, Result};

/// A new one in the folder `dir`, for its owner alone.
pub fn nameless(dir: &Path) -> Result<File> {
    let name = format!(".nameless-{:016x}", u64::from_le_bytes(entropy::bytes()?));
    let path = dir.join(name);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.context(|| format!("cannot make a file in {dir:?}"))?;
    fs::remove_file(&path).context(|| format!("cannot remove {path:?}"))?;
    Ok(file)
}
