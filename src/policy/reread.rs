//! Which earlier backups on a stick are read again after a new one has come: a stick that lies about its size keeps the
//! new one and spoils an old one.

use crate::model::BackupId;

/// As much is always read again, in bytes: a few seconds of a slow stick.
const ALLOWANCE: u64 = 64 << 20;

/// The earlier backups to read again, with the reason. `earlier` are those on the stick with their sizes in bytes; `new` is
/// the one that has come, of `new_size` bytes.
///
/// At least one is read. More are as long as all of them are no larger than the new one or than 64 MiB. Where not all can be,
/// the lot falls by the new one's id, so that none is passed over for ever.
pub fn choose<T: Clone>(earlier: &[(T, u64)], new: &BackupId, new_size: u64) -> Vec<(T, &'static str)> {
    let allowed = new_size.max(ALLOWANCE);
    let first = lot(new).checked_rem(earlier.len()).unwrap_or(0);
    let (before, from) = earlier.split_at(first);
    let all = earlier.iter().map(|(_, size)| *size).fold(0, u64::saturating_add) <= allowed;
    let reason = if all { "all of them are read within seconds" } else { "the lot fell on it" };
    let (mut chosen, mut sum) = (Vec::new(), 0_u64);
    for (backup, size) in from.iter().chain(before) {
        sum = sum.saturating_add(*size);
        if chosen.is_empty() || sum <= allowed {
            chosen.push((backup.clone(), reason));
        }
    }
    chosen
}

/// FNV-1a: spreads ids that differ in little.
fn lot(id: &BackupId) -> usize {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    (id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 17) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(day: usize, hour: usize) -> BackupId {
        format!("202611{day:02}T{hour:02}0002Z").parse().unwrap()
    }

    fn names(chosen: &[(char, &str)]) -> String {
        chosen.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn small_ones_are_all_read_and_of_large_ones_at_least_one() {
        assert!(choose::<char>(&[], &id(1, 7), 5).is_empty());
        let mut all = names(&choose(&[('a', 20 << 20), ('b', 20 << 20), ('c', 24 << 20)], &id(1, 7), 5)).into_bytes();
        all.sort_unstable();
        assert_eq!(all, b"abc");
        assert_eq!(choose(&[('a', 1 << 40)], &id(1, 7), 5).len(), 1);
        assert_eq!(
            choose(&[('a', 1 << 30), ('b', 1 << 30), ('c', u64::MAX)], &id(1, 7), 2 << 30)[0].1,
            "the lot fell on it"
        );
    }

    #[test]
    fn none_is_passed_over_for_ever() {
        let earlier: Vec<(usize, u64)> = (0..7).map(|n| (n, 1 << 30)).collect();
        let mut read = [0; 7];
        for (day, hour) in (1..=30).flat_map(|day| [(day, 7), (day, 21)]) {
            for (n, _) in choose(&earlier, &id(day, hour), 1) {
                read[n] += 1;
            }
        }
        assert!(read.iter().all(|times| (3..=20).contains(times)), "{read:?}");
    }
}
