//! Where a stick is found: which N of /media/usbN is its slot, or the fixed folder that the configuration names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of the numbered slots.
pub const MEDIA: &str = "/media";

/// More sticks than this are in no box; the search for a number ends here.
const NUMBER_MAX: u32 = 99;

/// What the configuration says about the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotRule {
    /// The next free /media/usbN.
    Numbered,
    /// This folder.
    Fixed(PathBuf),
}

/// What else is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// A stick, or a TSE, that has the slot with this number, or is mounted there.
    InSlot(u32),
    /// A TSE or a stick that is not in a slot: it occupies a port all the same, so one number goes to it.
    Elsewhere,
}

/// What the decision depends on.
#[derive(Debug, Clone, Default)]
pub struct SlotFacts {
    /// Where another program has this very stick mounted.
    pub mounted_at: Option<PathBuf>,
    /// What else is plugged in.
    pub neighbours: Vec<Neighbour>,
    /// Where anything else is mounted.
    pub mounts: Vec<PathBuf>,
    /// Places where no mount may go: files that would be hidden, a link, something that is no folder.
    pub blocked: Vec<PathBuf>,
}

/// Where the stick is found, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Another program has mounted it, and that mount is used.
    Theirs(PathBuf),
    /// Here.
    Ours {
        /// The folder.
        at: PathBuf,
        /// Why this one.
        why: String,
    },
    /// Nowhere; the copy is made all the same, for it needs no mount.
    Nowhere {
        /// Why.
        why: String,
    },
}

impl Slot {
    /// The folder, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Theirs(at) | Self::Ours { at, .. } => Some(at),
            Self::Nowhere { .. } => None,
        }
    }
}

/// The folder of slot `number`.
pub fn numbered(number: u32) -> PathBuf {
    Path::new(MEDIA).join(format!("usb{number}"))
}

/// The number of the slot whose folder this is.
pub fn number_of(path: &Path) -> Option<u32> {
    let digits = path.strip_prefix(MEDIA).ok()?.to_str()?.strip_prefix("usb")?;
    let number = digits.parse().ok()?;
    (numbered(number) == path).then_some(number)
}

/// Decides where a stick is found.
pub fn slot(rule: &SlotRule, facts: &SlotFacts) -> Slot {
    if let Some(at) = &facts.mounted_at {
        return Slot::Theirs(at.clone());
    }
    match rule {
        SlotRule::Fixed(at) => fixed(at, facts),
        SlotRule::Numbered => next_number(facts),
    }
}

fn fixed(at: &Path, facts: &SlotFacts) -> Slot {
    if facts.mounts.iter().any(|mount| mount == at) {
        return Slot::Nowhere { why: format!("sticks.path is {at:?}, and something else is mounted there") };
    }
    if facts.blocked.iter().any(|blocked| blocked == at) {
        return Slot::Nowhere { why: format!("sticks.path is {at:?}, which is no empty folder") };
    }
    Slot::Ours { at: at.to_owned(), why: "the configuration names it".into() }
}

fn next_number(facts: &SlotFacts) -> Slot {
    let unusable = facts.mounts.iter().chain(&facts.blocked).filter_map(|path| number_of(path));
    let in_slots = facts.neighbours.iter().filter_map(|neighbour| match neighbour {
        Neighbour::InSlot(number) => Some(*number),
        Neighbour::Elsewhere => None,
    });
    let mut taken: BTreeSet<u32> = unusable.chain(in_slots).collect();
    let elsewhere = facts.neighbours.iter().filter(|neighbour| **neighbour == Neighbour::Elsewhere).count();
    let beside = facts.neighbours.len();
    let mut next = || {
        let number = (0..=NUMBER_MAX).find(|number| !taken.contains(number))?;
        taken.insert(number);
        Some(number)
    };
    for _ in 0..elsewhere {
        next();
    }
    match next() {
        Some(number) => {
            let why = match beside {
                0 => "the first free number".to_owned(),
                _ => format!("the first free number beside {beside} other(s) that are plugged in"),
            };
            Slot::Ours { at: numbered(number), why }
        }
        None => Slot::Nowhere { why: format!("every number up to {NUMBER_MAX} is taken") },
    }
}

#[cfg(test)]
mod tests {
    use super::Neighbour::{Elsewhere, InSlot};
    use super::*;

    fn facts(neighbours: &[Neighbour], mounts: &[&str], blocked: &[&str]) -> SlotFacts {
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect();
        SlotFacts { mounted_at: None, neighbours: neighbours.to_vec(), mounts: paths(mounts), blocked: paths(blocked) }
    }

    /// A name, what else is plugged in, mounts, blocked folders, the expected number.
    type Case<'a> = (&'a str, &'a [Neighbour], &'a [&'a str], &'a [&'a str], u32);

    #[test]
    fn a_stick_takes_the_next_number_beyond_the_tse_and_what_others_mounted() {
        let cases: &[Case] = &[
            ("alone", &[], &[], &[], 0),
            ("a TSE that nobody mounted", &[Elsewhere], &[], &[], 1),
            ("a TSE that the till mounted somewhere of its own", &[Elsewhere], &["/mnt/tse"], &[], 1),
            ("a TSE that usbmount mounted", &[InSlot(0)], &["/media/usb0"], &[], 1),
            ("a TSE and a second stick", &[Elsewhere, InSlot(1)], &[], &[], 2),
            ("a second stick that is mounted", &[InSlot(0)], &["/media/usb0"], &[], 1),
            ("a TSE that came after the first stick", &[InSlot(0), Elsewhere], &[], &[], 2),
            ("a stick that went and left a gap", &[InSlot(1)], &[], &[], 0),
            ("a TSE in slot 1 leaves 0 free", &[InSlot(1)], &["/media/usb1"], &[], 0),
            ("fstab put a disk there", &[], &["/media/usb0", "/media/cdrom"], &[], 1),
            ("somebody's files are in the folder", &[], &[], &["/media/usb0"], 1),
            ("mounted and known is one, not two", &[InSlot(0)], &["/media/usb0", "/media/usb0"], &[], 1),
            ("a name that only looks like a slot", &[], &["/media/usb00", "/media/usb", "/media/usb0/x"], &[], 0),
        ];
        for (name, neighbours, mounts, blocked, number) in cases {
            let slot = slot(&SlotRule::Numbered, &facts(neighbours, mounts, blocked));
            assert_eq!(slot.path(), Some(numbered(*number).as_path()), "{name}: {slot:?}");
        }
    }

    #[test]
    fn a_fixed_folder_is_used_unless_something_else_is_there() {
        let rule = SlotRule::Fixed("/srv/stick".into());
        let at = |facts: &SlotFacts| slot(&rule, facts).path().map(Path::to_owned);
        assert_eq!(at(&facts(&[Elsewhere, InSlot(0)], &[], &[])), Some("/srv/stick".into()));
        assert_eq!(at(&facts(&[], &["/srv/stick"], &[])), None);
        assert_eq!(at(&facts(&[], &[], &["/srv/stick"])), None);
    }

    #[test]
    fn a_mount_that_another_program_made_is_used_whatever_the_rule_says() {
        let theirs = SlotFacts { mounted_at: Some("/run/media/kasse/STICK".into()), ..facts(&[Elsewhere], &[], &[]) };
        for rule in [SlotRule::Numbered, SlotRule::Fixed("/srv/stick".into())] {
            assert_eq!(slot(&rule, &theirs), Slot::Theirs("/run/media/kasse/STICK".into()));
        }
    }

    #[test]
    fn when_every_number_is_taken_there_is_no_slot() {
        let all: Vec<Neighbour> = (0..=NUMBER_MAX).map(InSlot).collect();
        assert!(slot(&SlotRule::Numbered, &facts(&all, &[], &[])).path().is_none());
    }
}
