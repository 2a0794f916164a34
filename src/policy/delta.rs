//! What of a backup is sent to a store that keeps packs, and why.

use std::fmt;

use crate::model::BackupId;

/// A backup is put together from about so many pieces at most, or so many for each artifact: each is one more thing to look
/// for at a restore, and one more line that every run sends, of which one that changes nothing has room for no more.
const PIECES_MAX: usize = 20;
const PIECES_OF_ONE: usize = 3;

/// Once there are too many pieces the short ones are sent again, until so many are left: the next runs have room.
const PIECES_LEFT: usize = PIECES_MAX / 2;

/// No more is sent again for that than this share of the backup, or these bytes, whatever is more. Where many large tables
/// grow there are more pieces, then.
const AGAIN_SHARE: u64 = 64;
const AGAIN: u64 = 64 << 10;

/// The first length that counts as short, in bytes.
const SHORT: u64 = 4096;

/// How many times the size of the backup the packs that it names may have before they are no longer worth their room.
const PACKS_MAX: u64 = 3;

/// Bytes of an artifact that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many they are.
    pub length: u64,
    /// The number of the pack that has them already.
    pub pack: Option<usize>,
}

/// The newest whole backup in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest {
    /// There is none.
    None,
    /// It lies there as whole files.
    Plain(BackupId),
    /// It is not on this box any more, or not the same there, so that nobody knows what is new.
    Gone(BackupId),
    /// Its packs are encrypted to others, or not at all.
    SealedOtherwise(BackupId),
    /// It lies there in packs, and what it consists of is known.
    Known(BackupId),
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// What the packs of this backup have not; of that, also pieces shorter than `least` bytes are sent again.
    On {
        /// The backup.
        newest: BackupId,
        /// Shorter pieces are sent although they are there.
        least: u64,
    },
    /// All of it.
    Afresh(Why),
}

/// Why all of a backup is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The newest backup there is of no use for it.
    Newest(Newest),
    /// The packs would be mostly what no longer belongs to the backup.
    Waste {
        /// Their bytes.
        packs: u64,
        /// Those of the backup.
        backup: u64,
    },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On { newest, least: 0 } => write!(f, "only what {newest} has not is sent"),
            Self::On { newest, least } => {
                write!(f, "what {newest} has not is sent, and pieces below {least} bytes again: they were too many")
            }
            Self::Afresh(Why::Newest(Newest::None)) => write!(f, "all is sent: no whole backup is there"),
            Self::Afresh(Why::Newest(Newest::Plain(id))) => write!(f, "all is sent: {id} lies there as whole files"),
            Self::Afresh(Why::Newest(Newest::Gone(id))) => {
                write!(f, "all is sent: {id}, the newest there, is no longer here to compare with")
            }
            Self::Afresh(Why::Newest(Newest::SealedOtherwise(id))) => {
                write!(f, "all is sent: the packs of {id} are not encrypted as they are to be now")
            }
            Self::Afresh(Why::Newest(Newest::Known(id))) => write!(f, "all is sent, {id} notwithstanding"),
            Self::Afresh(Why::Waste { packs, backup }) => {
                write!(f, "all is sent: the backup has {backup} bytes, and its packs would have {packs}")
            }
        }
    }
}

/// Decides what is sent of a backup whose artifacts consist of these pieces, when the packs have these sizes in bytes.
pub fn decide(newest: Newest, artifacts: &[Vec<Piece>], packs: &[u64]) -> Decision {
    let Newest::Known(newest) = newest else { return Decision::Afresh(Why::Newest(newest)) };
    let least = least(artifacts);
    let pieces = || artifacts.iter().flatten();
    let is_named = |pack: usize| pieces().any(|piece| piece.pack == Some(pack) && piece.length >= least);
    let named: u64 = packs.iter().enumerate().filter(|(pack, _)| is_named(*pack)).map(|(_, size)| size).sum();
    let new: u64 = pieces().filter(|piece| is_sent(piece, least)).map(|piece| piece.length).sum();
    let backup: u64 = pieces().map(|piece| piece.length).sum();
    let all = named.saturating_add(new);
    if all > backup.saturating_mul(PACKS_MAX) {
        return Decision::Afresh(Why::Waste { packs: all, backup });
    }
    Decision::On { newest, least }
}

/// A copy that is not finished is given up when it is so many days older than the newest whole one.
const ABANDONED_DAYS: i64 = 7;

/// Whether nobody goes on with a copy that is not finished: it does not wait to be sent, and much newer ones are there.
/// What another program may be sending at this moment is not so old.
pub fn is_abandoned(unfinished: &BackupId, newest_whole: Option<&BackupId>, waiting: &[BackupId]) -> bool {
    let age = newest_whole.map_or(0, |newest| newest.time().duration_since(unfinished.time()).as_hours());
    age >= 24 * ABANDONED_DAYS && !waiting.contains(unfinished)
}

/// Whether a piece is sent, when shorter ones than `least` are sent again.
fn is_sent(piece: &Piece, least: u64) -> bool {
    piece.pack.is_none() || piece.length < least
}

/// The length below which pieces are sent again so that there are not too many.
fn least(artifacts: &[Vec<Piece>]) -> u64 {
    let most = PIECES_MAX.max(PIECES_OF_ONE * artifacts.len());
    if count(artifacts, 0) <= most {
        return 0;
    }
    let left = PIECES_LEFT.max(PIECES_OF_ONE * artifacts.len() / 2 + 1);
    let pieces = || artifacts.iter().flatten();
    let budget = AGAIN.max(pieces().map(|piece| piece.length).sum::<u64>() / AGAIN_SHARE);
    let again = |least| -> u64 {
        pieces().filter(|piece| piece.pack.is_some() && piece.length < least).map(|piece| piece.length).sum()
    };
    let (mut least, mut next) = (0, SHORT);
    while count(artifacts, least) > left && again(next) <= budget && least < next {
        (least, next) = (next, next.saturating_mul(2));
    }
    least
}

/// How many pieces there are when those that are sent lie together.
fn count(artifacts: &[Vec<Piece>], least: u64) -> usize {
    let count = |pieces: &Vec<Piece>| {
        let runs = pieces.chunk_by(|a, b| is_sent(a, least) && is_sent(b, least));
        runs.count()
    };
    artifacts.iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> BackupId {
        "20261122T200000Z".parse().unwrap()
    }

    fn lies(length: u64, pack: usize) -> Piece {
        Piece { length, pack: Some(pack) }
    }

    fn new(length: u64) -> Piece {
        Piece { length, pack: None }
    }

    #[test]
    fn only_what_is_new_is_sent_on_a_backup_that_is_known() {
        let artifacts = [vec![lies(900, 0), new(50), lies(50, 1)], vec![lies(70, 0)]];
        assert_eq!(decide(Newest::Known(id()), &artifacts, &[1000, 60]), Decision::On { newest: id(), least: 0 });
    }

    #[test]
    fn all_is_sent_when_nothing_is_there_to_build_on_and_it_says_why() {
        let others = [Newest::None, Newest::Plain(id()), Newest::Gone(id()), Newest::SealedOtherwise(id())];
        for newest in others {
            let decision = decide(newest.clone(), &[vec![new(50)]], &[]);
            assert_eq!(decision, Decision::Afresh(Why::Newest(newest)));
            assert!(decision.to_string().starts_with("all is sent: "), "{decision}");
        }
    }

    #[test]
    fn packs_that_are_mostly_waste_are_given_up() {
        let artifacts = [vec![lies(1000, 0), lies(1000, 1), new(100)]];
        let at = |second| decide(Newest::Known(id()), &artifacts, &[3000, second, 9_999_999]);
        assert_eq!(at(3200), Decision::On { newest: id(), least: 0 }, "what nobody names costs nothing here");
        assert_eq!(at(3201), Decision::Afresh(Why::Waste { packs: 6301, backup: 2100 }));
    }

    #[test]
    fn too_many_pieces_become_fewer_by_sending_the_short_ones_again() {
        // A table whose end went into a new pack with each run.
        let run = |n: usize| [lies(900_000, 0), lies(5000 + n as u64, n), lies(700, n)];
        let artifacts: Vec<Vec<Piece>> = vec![(1..=7).flat_map(run).collect()];
        let Decision::On { least, .. } = decide(Newest::Known(id()), &artifacts, &[16_000_000]) else { panic!() };
        assert!(least > 700 && least < 900_000, "{least}");
        assert!(count(&artifacts, least) <= PIECES_MAX - 5, "the next runs have room");
        let fewer = vec![artifacts[0][..PIECES_MAX].to_vec()];
        assert_eq!(super::least(&fewer), 0);
    }

    #[test]
    fn large_tables_that_grow_are_not_sent_again_for_the_sake_of_few_pieces() {
        let table = |n: usize| [lies(10_000_000, 0), lies(20_000, 1 + n), lies(20_000, 20 + n)];
        let artifacts: Vec<Vec<Piece>> = vec![(0..12).flat_map(table).collect()];
        let least = least(&artifacts);
        assert!(least > 20_000 && least < 10_000_000, "{least}");
        assert_eq!(count(&artifacts, least), 24, "more than one would like");
    }

    #[test]
    fn a_copy_is_given_up_when_it_is_old_and_nobody_waits_for_it() {
        let day = |day: u8| -> BackupId { format!("202611{day:02}T200000Z").parse().unwrap() };
        assert!(is_abandoned(&day(1), Some(&day(8)), &[day(2)]));
        assert!(!is_abandoned(&day(1), Some(&day(7)), &[]));
        assert!(!is_abandoned(&day(1), Some(&day(8)), &[day(1)]));
        assert!(!is_abandoned(&day(8), Some(&day(1)), &[]));
        assert!(!is_abandoned(&day(1), None, &[]));
    }

    #[test]
    fn many_artifacts_may_have_many_pieces() {
        let artifacts: Vec<Vec<Piece>> = (0..60).map(|n| vec![lies(10, n), new(1), lies(10, n)]).collect();
        assert_eq!(least(&artifacts), 0);
        let artifacts: Vec<Vec<Piece>> =
            (0..60).map(|n| vec![lies(10, n), new(1), lies(10, n), lies(10, n + 1)]).collect();
        assert!(least(&artifacts) > 10, "then all is sent at last, and it ends");
    }
}
