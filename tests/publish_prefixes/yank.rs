//! The states in which a pulled stick may be left, made from what was written to it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::disk::{Disk, SECTOR, Step};

/// A write of one sector: what a disk does whole or not at all.
type SectorWrite<'a> = (u64, &'a [u8]);

/// What was written between two flushes, and what the disk held before.
struct Epoch<'a> {
    before: Disk,
    writes: Vec<(u64, &'a [u8])>,
}

impl<'a> Epoch<'a> {
    fn all(start: &Disk, steps: &'a [Step]) -> Vec<Self> {
        let (mut epochs, mut disk) = (Vec::new(), start.clone());
        for epoch in steps.split(|step| matches!(step, Step::Flush)) {
            let write = |step: &'a Step| match step {
                Step::Write(pos, bytes) => Some((*pos, bytes.as_slice())),
                Step::Flush => None,
            };
            let writes: Vec<_> = epoch.iter().filter_map(write).collect();
            let before = disk.clone();
            writes.iter().for_each(|(pos, bytes)| disk.write(*pos, bytes));
            if !writes.is_empty() {
                epochs.push(Self { before, writes });
            }
        }
        epochs
    }

    fn sectors(&self) -> Vec<SectorWrite<'a>> {
        sectors_of(&self.writes)
    }

    fn with(&self, sectors: &[SectorWrite]) -> Disk {
        let mut disk = self.before.clone();
        sectors.iter().for_each(|(pos, bytes)| disk.write(*pos, bytes));
        disk
    }
}

/// Pulls the stick out before the first write and after every single one; tells how often.
pub fn every_prefix(start: &Disk, steps: &[Step], mut each: impl FnMut(&str, &Disk)) -> usize {
    let (mut disk, mut count) = (start.clone(), 1);
    each("before the first write", &disk);
    for step in steps {
        if let Step::Write(pos, bytes) = step {
            disk.write(*pos, bytes);
            each(&format!("after write {count}, to {pos}"), &disk);
            count += 1;
        }
    }
    count
}

/// Pulls the stick out `count` times with the sectors since the last flush written in another order and in part: each
/// write alone, each write missing, then by lot. All states are different; fewer come when there are no more.
pub fn reordered(start: &Disk, steps: &[Step], count: usize, mut each: impl FnMut(&str, &Disk)) -> usize {
    let epochs = Epoch::all(start, steps);
    let mut draw = Lot(1);
    let (mut seen, mut done) = (HashSet::new(), 0);
    for (number, epoch) in epochs.iter().enumerate() {
        for len in 0..=epoch.writes.len() {
            seen.insert((number, left(&sectors_of(&epoch.writes[..len]))));
        }
    }
    let mut pull = |number: usize, sectors: &[SectorWrite], what: &str| {
        if seen.insert((number, left(sectors))) && done < count {
            done += 1;
            each(&format!("epoch {number}, {what}"), &epochs[number].with(sectors));
        }
        done
    };
    for (number, epoch) in epochs.iter().enumerate() {
        for n in 0..epoch.writes.len() {
            pull(number, &sectors_of(&epoch.writes[n..=n]), &format!("write {n} alone"));
            let others = [&epoch.writes[..n], &epoch.writes[n + 1..]].concat();
            pull(number, &sectors_of(&others), &format!("write {n} missing"));
        }
    }
    let sizes: Vec<usize> = epochs.iter().map(|epoch| epoch.sectors().len()).collect();
    for turn in 0..count * 200 {
        // Epochs of many sectors have more orders, so they are drawn more often.
        let mut at = draw.below(sizes.iter().sum());
        let number = sizes.iter().position(|size| at.checked_sub(*size).map(|rest| at = rest).is_none()).unwrap();
        let mut sectors = epochs[number].sectors();
        for i in (1..sectors.len()).rev() {
            sectors.swap(i, draw.below(i + 1));
        }
        sectors.truncate(draw.below(sectors.len() + 1));
        if pull(number, &sectors, &format!("{} of {} sectors by lot {turn}", sectors.len(), sizes[number])) == count {
            break;
        }
    }
    done
}

fn sectors_of<'a>(writes: &[(u64, &'a [u8])]) -> Vec<SectorWrite<'a>> {
    let split = |(pos, bytes): &(u64, &'a [u8])| {
        let (pos, bytes): (u64, &'a [u8]) = (*pos, bytes);
        (pos..).step_by(SECTOR).zip(bytes.chunks(SECTOR))
    };
    writes.iter().flat_map(split).collect()
}

/// Stands for what the sectors are in the end, whatever their order was.
fn left(sectors: &[SectorWrite]) -> u64 {
    let left: BTreeMap<_, _> = sectors.iter().copied().collect();
    let mut hasher = DefaultHasher::new();
    left.hash(&mut hasher);
    hasher.finish()
}

/// Numbers by lot that are the same in every run (splitmix64).
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
