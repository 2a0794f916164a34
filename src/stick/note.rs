//! The note of the clusters that a step is about to take or to free, as it lies on the stick.
//!
//! ```text
//! 0   16  what it is
//! 16   4  how many runs
//! 20   4  CRC-32 of the runs
//! 24  12  the first run: its first cluster, how many clusters, and what its last cluster links to
//! ```
//! Numbers are little-endian. A note that a yank tore does not match its sum; the step had not begun then.

/// What a note begins with.
const MAGIC: &[u8; 16] = b"tillstick note 1";
const RUNS_AT: usize = 24;
const RUN_LEN: usize = 12;
/// The longest note, in bytes.
const LEN_MAX: u64 = 4096;

/// Neighbouring clusters, each linked to the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) len: u32,
    /// What the last one's table entry says: the next cluster, or the end of the chain.
    pub(super) next: u32,
}

impl Run {
    pub(super) fn has(&self, cluster: u32) -> bool {
        cluster >= self.first && cluster - self.first < self.len
    }

    /// What the table says of one of its clusters.
    pub(super) fn link(&self, cluster: u32) -> u32 {
        if cluster - self.first == self.len - 1 { self.next } else { cluster + 1 }
    }
}

/// How long the note is on a stick with clusters of so many bytes: it never leaves its cluster.
pub(super) fn len(cluster: u64) -> usize {
    cluster.min(LEN_MAX) as usize
}

/// Joins clusters, in rising order and each with its link, to runs.
pub(super) fn runs(links: &[(u32, u32)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (cluster, next) in links {
        match runs.last_mut().filter(|run| run.next == *cluster && run.first + run.len == *cluster) {
            Some(run) => (run.len, run.next) = (run.len + 1, *next),
            None => runs.push(Run { first: *cluster, len: 1, next: *next }),
        }
    }
    runs
}

/// The note of these runs. When they are too many for it, it says nothing: a part of a chain proves nothing.
pub(super) fn to_bytes(runs: &[Run], len: usize) -> Vec<u8> {
    let fit = if RUNS_AT + runs.len() * RUN_LEN <= len { runs } else { &[] };
    let numbers = fit.iter().flat_map(|run| [run.first, run.len, run.next]);
    let content: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    let mut bytes = MAGIC.to_vec();
    bytes.extend((fit.len() as u32).to_le_bytes());
    bytes.extend(crc32fast::hash(&content).to_le_bytes());
    bytes.extend(content);
    bytes.resize(len, 0);
    bytes
}

/// The runs of a note; none when it was torn; `None` when it is no note.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Run>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let numbers: Vec<u32> =
        rest.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    let (count, sum) = (*numbers.first()? as usize, *numbers.get(1)?);
    let Some(content) = count.checked_mul(RUN_LEN).and_then(|len| bytes.get(RUNS_AT..RUNS_AT.checked_add(len)?)) else {
        return Some(Vec::new());
    };
    if crc32fast::hash(content) != sum {
        return Some(Vec::new());
    }
    let runs = numbers[2..2 + count * 3].chunks_exact(3);
    Some(runs.map(|run| Run { first: run[0], len: run[1], next: run[2] }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_a_torn_note_says_nothing() {
        let noted = runs(&[(5, 6), (6, 9), (9, 10), (10, 0x0fff_ffff), (11, 12), (12, 0x0fff_ffff)]);
        assert_eq!(noted.iter().map(|run| (run.first, run.len)).collect::<Vec<_>>(), [(5, 2), (9, 2), (11, 2)]);
        assert_eq!((noted[0].link(5), noted[0].link(6), noted[2].link(12)), (6, 9, 0x0fff_ffff));
        let mut bytes = to_bytes(&noted, 512);
        assert_eq!(parse(&bytes), Some(noted));
        bytes[30] ^= 1;
        assert_eq!(parse(&bytes), Some(Vec::new()));
        bytes[16..20].fill(0xff);
        assert_eq!(parse(&bytes), Some(Vec::new()));
        bytes[3] ^= 1;
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn more_runs_than_fit_are_not_noted_in_part() {
        let many: Vec<Run> = (1..=41).map(|n| Run { first: n * 10, len: 1, next: n * 10 + 10 }).collect();
        assert_eq!(parse(&to_bytes(&many[..40], 512)), Some(many[..40].to_vec()));
        assert_eq!(parse(&to_bytes(&many, 512)), Some(Vec::new()));
    }
}
