//! A stick that wraps: what is written beyond its real end lands at its beginning as well. Everything reads back as it was
//! written, and what was there before is gone.
//!
//! Such a stick shows at two places what was written once. Where all sectors of a stretch are known, one sector in each
//! stretch of that length is enough to find the second place, wherever the real end is.

use std::collections::HashMap;
use std::io;

use xxhash_rust::xxh3::xxh3_64;

use super::overlay::Overlay;

/// The longest stretch that is known sector by sector, in bytes.
const STRETCH_MAX: u64 = 16 << 20;
/// The most places that are looked at: about three seconds of a slow stick. A stretch that is short for its stick is then
/// looked for in one place of several, another one with each backup.
const LOOKS_MAX: u64 = 4096;

/// Whether the end of the file that begins with cluster `first` is shown at a second place of the stick. The file must be
/// ours and not yet in sight: one of its sectors is changed for a moment to see whether both places change.
pub(super) fn is_shown_twice(overlay: &mut Overlay, first: u32) -> io::Result<bool> {
    let sector = overlay.geometry.sector;
    let (start, len) = highest_stretch(overlay, first)?;
    let mut content = vec![0; len as usize];
    overlay.medium.read_at(start, &mut content)?;
    let sectors = (start..).step_by(sector as usize).zip(content.chunks_exact(sector as usize));
    let telling = sectors.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != bytes[0]));
    let known: HashMap<u64, u64> = telling.map(|(pos, bytes)| (xxh3_64(bytes), pos)).collect();
    let step = len.max((start / LOOKS_MAX).next_multiple_of(sector));
    let lot = u64::from(crc32fast::hash(&content)) % (step / sector) * sector;
    let mut seen = vec![0; sector as usize];
    for pos in (lot..start).step_by(step as usize) {
        overlay.medium.read_at(pos, &mut seen)?;
        // A backup of the day before has sectors in common with this one, so that alone says nothing.
        if let Some(own) = known.get(&xxh3_64(&seen))
            && change_together(overlay, *own, pos, &seen)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The neighbouring clusters of the chain that lie highest, in bytes; of a long stretch its end.
fn highest_stretch(overlay: &mut Overlay, first: u32) -> io::Result<(u64, u64)> {
    let (mut run, mut highest) = ((first, first), (first, first));
    while let Some(next) = overlay.next(run.1)? {
        run = if next == run.1 + 1 { (run.0, next) } else { (next, next) };
        if run.1 > highest.1 {
            highest = run;
        }
    }
    let end = overlay.geometry.at(highest.1) + overlay.geometry.cluster;
    let start = overlay.geometry.at(highest.0).max(end.saturating_sub(STRETCH_MAX));
    Ok((start, end - start))
}

fn change_together(overlay: &mut Overlay, own: u64, other: u64, content: &[u8]) -> io::Result<bool> {
    let changed: Vec<u8> = content.iter().map(|byte| !byte).collect();
    overlay.medium.write_at(own, &changed)?;
    let mut seen = vec![0; content.len()];
    overlay.medium.forget()?;
    overlay.medium.read_at(other, &mut seen)?;
    overlay.medium.write_at(own, content)?;
    overlay.medium.flush()?;
    Ok(seen == changed)
}
