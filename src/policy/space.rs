//! Which backups on a stick or in the primary make room for a new one, and which are more than were asked for.

use crate::model::BackupId;

/// What the decision needs to know of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: BackupId,
    /// The room it takes, in bytes.
    pub size: u64,
    /// Whether all its files are there.
    pub complete: bool,
    /// Whether even the last good one may go: the place is but a spool, and a verified copy is elsewhere.
    pub spare: bool,
}

/// A backup that is to go, with the reason.
pub type Freed = (BackupId, String);

/// The backups to free, oldest first and no more than needed, so that `needed` bytes fit into `free` and into what they
/// leave. The newest backup and the newest complete one stay unless they are spare.
///
/// # Errors
/// The room there would be, in bytes, when even all that may go does not suffice.
pub fn make_room(held: &[Held], needed: u64, free: u64) -> Result<Vec<Freed>, u64> {
    let mut room = free;
    let mut freed = Vec::new();
    for backup in may_go(held) {
        if room >= needed {
            break;
        }
        room = room.saturating_add(backup.size);
        freed.push((backup.id.clone(), "the oldest, and the new one needs its room".to_owned()));
    }
    if room >= needed { Ok(freed) } else { Err(room) }
}

/// The backups that are older than the newest `keep` complete ones, oldest first.
pub fn beyond(held: &[Held], keep: usize) -> Vec<Freed> {
    let mut complete: Vec<&BackupId> = held.iter().filter(|backup| backup.complete).map(|backup| &backup.id).collect();
    complete.sort();
    let Some(first_kept) = complete.len().checked_sub(keep.max(1)).and_then(|older| complete.get(older)) else {
        return Vec::new();
    };
    let old = may_go(held).into_iter().filter(|backup| backup.id < **first_kept);
    old.map(|backup| (backup.id.clone(), format!("older than the newest {}, which are kept", keep.max(1)))).collect()
}

fn may_go(held: &[Held]) -> Vec<&Held> {
    let newest = held.iter().map(|backup| &backup.id).max();
    let proven = held.iter().filter(|backup| backup.complete).map(|backup| &backup.id).max();
    let mut rest: Vec<&Held> = held
        .iter()
        .filter(|backup| backup.spare || (Some(&backup.id) != newest && Some(&backup.id) != proven))
        .collect();
    rest.sort_by(|a, b| a.id.cmp(&b.id));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(day: u8, size: u64, complete: bool) -> Held {
        Held { id: id(day), size, complete, spare: false }
    }

    fn id(day: u8) -> BackupId {
        format!("202611{day:02}T200000Z").parse().unwrap()
    }

    fn ids(freed: Vec<Freed>) -> Vec<BackupId> {
        freed.into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn only_as_many_go_as_are_needed_and_the_oldest_first() {
        let stick = [held(3, 10, true), held(1, 10, true), held(2, 10, true), held(4, 10, true)];
        assert_eq!(make_room(&stick, 5, 5), Ok(vec![]));
        assert_eq!(make_room(&stick, 15, 5).map(ids), Ok(vec![id(1)]));
        assert_eq!(make_room(&stick, 16, 5).map(ids), Ok(vec![id(1), id(2)]));
        assert_eq!(make_room(&stick, 36, 5), Err(35));
    }

    #[test]
    fn the_last_good_one_never_goes() {
        let stick = [held(1, 10, true), held(2, 10, false), held(3, 10, false)];
        assert_eq!(make_room(&stick, 12, 0), Err(10));
        assert_eq!(make_room(&stick, 10, 0).map(ids), Ok(vec![id(2)]));
        assert_eq!(beyond(&stick, 1), vec![]);
        assert_eq!(make_room(&[], 1, 0), Err(0));
    }

    #[test]
    fn a_spool_gives_its_last_one_up_when_a_verified_copy_is_elsewhere() {
        let spare = Held { spare: true, ..held(1, 10, true) };
        assert_eq!(make_room(&[spare], 12, 5).map(ids), Ok(vec![id(1)]));
        assert_eq!(make_room(&[held(1, 10, true)], 12, 5), Err(5));
    }

    #[test]
    fn incomplete_ones_do_not_count_as_kept() {
        let stick = [held(1, 1, true), held(2, 1, true), held(3, 1, false), held(4, 1, true)];
        assert_eq!(ids(beyond(&stick, 2)), vec![id(1)]);
        assert_eq!(ids(beyond(&stick, 0)), vec![id(1), id(2), id(3)]);
        assert_eq!(beyond(&stick, 3), vec![]);
        assert_eq!(beyond(&stick, usize::MAX), vec![]);
    }
}
