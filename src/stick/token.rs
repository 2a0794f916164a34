//! The token of a box on a stick: one small file in the box's own folder.

use std::io::Read;

use super::copy::write_small;
use super::fs::StickFs;
use super::layout;
use crate::error::{Context, Result};
use crate::model::FileName;

/// Reads the token of this box, or its first `limit` bytes; `None` when there is none.
pub fn read(fs: &mut dyn StickFs, box_name: &FileName, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = layout::token(box_name);
    let (dir, name) = layout::split(&path);
    let in_sight = fs.list(dir)?.iter().any(|entry| !entry.is_dir && !entry.hidden && layout::same(&entry.name, name));
    if !in_sight {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let reader = fs.read(&path)?;
    reader.take(limit).read_to_end(&mut bytes).context(|| format!("cannot read {path:?} on the stick"))?;
    Ok(Some(bytes))
}

/// Puts this token in the place of an earlier one.
pub fn write(fs: &mut dyn StickFs, box_name: &FileName, token: &[u8]) -> Result<()> {
    fs.make_dir(layout::HOME)?;
    fs.make_dir(&layout::box_dir(box_name))?;
    replace(fs, &layout::token(box_name), token)
}

/// Writes a small file in the place of an earlier one, and of what an interrupted writing left. A pull in between leaves none.
pub fn replace(fs: &mut dyn StickFs, path: &str, bytes: &[u8]) -> Result<()> {
    let (dir, name) = layout::split(path);
    let part = format!("{name}{}", layout::PART);
    for entry in fs.list(dir)? {
        if !entry.is_dir && (layout::same(&entry.name, name) || layout::same(&entry.name, &part)) {
            fs.remove(&layout::join(dir, &entry.name))?;
        }
    }
    write_small(fs, path, bytes)?;
    fs.sync()
}
