//! Where a chunk ends: decided by the rows' keys and sizes alone, so that an unchanged row falls into an unchanged chunk.

/// Decides chunk ends for one text. Pure: the same units give the same ends.
#[derive(Debug)]
pub(super) struct Chunker {
    min: usize,
    forced: usize,
    max: usize,
    /// The chance of an end per byte of a unit, in 1/2^32.
    chance: u64,
    /// Where the last unit ended, in bytes from the chunk's start.
    unit_end: usize,
}

impl Chunker {
    /// Chunks of about `target` bytes, at least a quarter of it where units allow, and never more than three times it.
    pub(super) fn new(target: usize) -> Self {
        let min = target / 4;
        let max = target * 3;
        // Forced early, so that an ordinary row never pushes a chunk past `max` and leaves a crumb behind.
        let forced = max - min;
        // Units that end past `min` end the chunk with a chance that grows with their size: `target - min` more bytes
        // on average, whether rows are short or long.
        Self { min, forced, max, chance: (1 << 32) / (target - min) as u64, unit_end: 0 }
    }

    /// Tells whether the chunk ends after the unit `key`, which ends at `length` bytes from the chunk's start.
    pub(super) fn boundary(&mut self, key: u64, length: usize) -> bool {
        let unit = length.saturating_sub(self.unit_end) as u64;
        self.unit_end = length;
        length >= self.forced || length >= self.min && mix(key) >> 32 < unit.saturating_mul(self.chance)
    }

    /// A new chunk begins.
    pub(super) fn restart(&mut self) {
        self.unit_end = 0;
    }

    /// The most bytes of text in a chunk; a longer text is split at multiples of it.
    pub(super) fn max(&self) -> usize {
        self.max
    }
}

/// Spreads keys evenly, as row ids are dense (the finalizer of `SplitMix64`).
fn mix(key: u64) -> u64 {
    let mut x = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TARGET: usize = 4096;

    /// The chunks that units of (key, size) fall into.
    fn chunks(units: &[(u64, usize)]) -> Vec<Vec<(u64, usize)>> {
        let mut chunker = Chunker::new(TARGET);
        let (mut all, mut chunk, mut length) = (Vec::new(), Vec::new(), 0);
        for &(key, size) in units {
            length += size;
            chunk.push((key, size));
            if chunker.boundary(key, length) {
                all.push(std::mem::take(&mut chunk));
                chunker.restart();
                length = 0;
            }
        }
        all.push(chunk);
        all
    }

    fn bytes(chunk: &[(u64, usize)]) -> usize {
        chunk.iter().map(|unit| unit.1).sum()
    }

    #[test]
    fn chunks_are_as_large_as_promised_whether_rows_are_short_or_long() {
        for size in [20, 100, 900] {
            let units: Vec<_> = (0..400_000 / size as u64 * 10).map(|id| (id, size)).collect();
            let chunks = chunks(&units);
            let (_, whole) = chunks.split_last().unwrap();
            assert!(whole.iter().all(|chunk| (TARGET / 4..=TARGET * 3).contains(&bytes(chunk))));
            let mean = whole.iter().map(|chunk| bytes(chunk)).sum::<usize>() / whole.len();
            assert!((TARGET * 8 / 10..TARGET * 13 / 10).contains(&mean), "rows of {size} bytes: {mean}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_row_changes_only_a_few_chunks(
            sizes in prop::collection::vec(10_usize..400, 2000..4000),
            seed: u64,
            at: prop::sample::Index,
            edit in 0_u8..3,
        ) {
            let before: Vec<_> = sizes.iter().enumerate().map(|(i, &size)| (seed.wrapping_add(i as u64), size)).collect();
            let mut after = before.clone();
            let at = at.index(after.len());
            match edit {
                0 => { after.remove(at); }
                1 => after.insert(at, (!seed, 123)),
                _ => after[at].1 += 57,
            }
            let (old, new) = (chunks(&before), chunks(&after));
            prop_assert_eq!(&old, &chunks(&before));
            let known: std::collections::HashSet<_> = old.iter().collect();
            let changed = new.iter().filter(|chunk| !known.contains(chunk)).count();
            // Two chunkings meet again at the first end that both reach: a matter of luck, never of the text's length.
            prop_assert!(changed <= 16, "{} of {} chunks changed", changed, new.len());
        }
    }
}
