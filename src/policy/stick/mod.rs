//! May this stick be written to? Facts in, verdict out, with the reason and words for the person at the till.

mod facts;
mod reason;

use serde::Serialize;

pub use facts::{
    ChainFault, DeviceFacts, FsKind, Look, PartitionTable, Problem, RootEntry, StickFacts, StickNote, VolumeFacts,
};
pub use reason::{Note, Reason};

use super::tse::{self, TseRules, TseSign};
use crate::model::FileName;

/// What this box wants of a stick.
#[derive(Debug, Clone, Default)]
pub struct StickRules {
    /// Bytes that will be written; 0 when the stick is only read.
    pub need: u64,
    /// Write even where another customer or another box of our name has its backups.
    pub allow_foreign: bool,
    /// Write even to a disk that cannot be unplugged.
    pub allow_fixed: bool,
    /// The stick is only read: write protection and size do not matter.
    pub read_only: bool,
    /// Our customer number; `None` asks no question about owners.
    pub customer: Option<FileName>,
    /// Our box's name.
    pub box_name: Option<FileName>,
    /// Our box's id.
    pub box_id: Option<String>,
    /// Elements that the configuration names.
    pub tse: TseRules,
}

/// What may be done with a stick, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Yes or no.
    pub kind: VerdictKind,
    /// What a person should know either way.
    pub notes: Vec<Note>,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// It may be written to.
    Usable {
        /// The index of the volume in [`StickFacts::volumes`].
        volume: usize,
    },
    /// It must not be written to.
    Refused(Reason),
}

impl Verdict {
    /// The index of the volume that may be written to, else why there is none.
    pub fn volume(&self) -> Result<usize, &Reason> {
        match &self.kind {
            VerdictKind::Usable { volume } => Ok(*volume),
            VerdictKind::Refused(reason) => Err(reason),
        }
    }
}

/// The first sign of a TSE, on the device or on any of its volumes.
pub fn tse_sign(facts: &StickFacts, rules: &TseRules) -> Option<TseSign> {
    tse::of_device(&facts.device, rules).or_else(|| facts.volumes.iter().find_map(tse::of_volume))
}

/// Decides. A TSE beats every other reason; the first FAT32 volume without a fault is the one that is used.
pub fn judge(facts: &StickFacts, rules: &StickRules) -> Verdict {
    let notes = notes(facts);
    if let Some(sign) = tse_sign(facts, &rules.tse) {
        return Verdict { kind: VerdictKind::Refused(Reason::Tse { sign }), notes };
    }
    let kind = match device(facts, rules).and_then(|()| choose(facts, rules)) {
        Ok(volume) => VerdictKind::Usable { volume },
        Err(reason) => VerdictKind::Refused(reason),
    };
    Verdict { kind, notes }
}

/// What speaks against the device as a whole.
fn device(facts: &StickFacts, rules: &StickRules) -> Result<(), Reason> {
    let device = &facts.device;
    if device.removable == Some(false) && !device.is_image && !rules.allow_fixed {
        return Err(Reason::NotRemovable);
    }
    match &facts.look {
        Look::Done => {}
        Look::NotOpened => return Err(Reason::Unreadable { why: "nobody looked at it".into() }),
        Look::Failed(why) => return Err(Reason::Unreadable { why: why.clone() }),
        Look::NotJudged(why) => return Err(Reason::NotJudged { why: why.clone() }),
    }
    if facts.table == PartitionTable::Damaged {
        return Err(Reason::Damaged { what: Problem::Contradiction("the partition table contradicts itself".into()) });
    }
    if facts.volumes.iter().all(|volume| volume.kind == FsKind::Blank && volume.problem.is_none()) {
        return Err(Reason::Blank);
    }
    // Owners count on every volume: another shop's stick stays theirs, whichever of its volumes they use.
    facts.volumes.iter().filter_map(|volume| volume.owner.as_ref()).try_for_each(|owner| owned(owner, rules))
}

fn owned(owner: &StickNote, rules: &StickRules) -> Result<(), Reason> {
    if rules.allow_foreign {
        return Ok(());
    }
    if rules.customer.as_ref().is_some_and(|ours| *ours != owner.customer) {
        return Err(Reason::OtherCustomer { customer: owner.customer.clone(), box_name: owner.box_name.clone() });
    }
    // Several boxes of one customer share a stick by their names; two boxes of one name would prune each other's
    // backups, and a replaced, empty box would push out those of the old one. FAT32 does not tell case apart.
    let same_name = rules
        .box_name
        .as_ref()
        .is_some_and(|ours| ours.as_str().to_lowercase() == owner.box_name.as_str().to_lowercase());
    let other_id = rules.box_id.as_ref().is_some_and(|ours| !ours.eq_ignore_ascii_case(&owner.box_id));
    if same_name && other_id {
        return Err(Reason::OtherBox { box_name: owner.box_name.clone(), box_id: owner.box_id.clone() });
    }
    Ok(())
}

fn choose(facts: &StickFacts, rules: &StickRules) -> Result<usize, Reason> {
    let mut first_reason = None;
    let wanted = |volume: &VolumeFacts| facts.wanted.is_none_or(|wanted| wanted == volume.offset);
    for (index, volume) in facts.volumes.iter().enumerate().filter(|(_, volume)| wanted(volume)) {
        match usable(volume, &facts.device, rules) {
            Ok(()) => return Ok(index),
            // What is wrong with a FAT32 volume helps more than that there is an NTFS one beside it.
            Err(reason) if first_reason.is_none() || volume.kind == FsKind::Fat32 => {
                let told = matches!(&first_reason, Some(known) if !matches!(known, Reason::WrongFilesystem { .. }));
                if !told {
                    first_reason = Some(reason);
                }
            }
            Err(_) => {}
        }
    }
    Err(first_reason.unwrap_or(Reason::Blank))
}

fn usable(volume: &VolumeFacts, device: &DeviceFacts, rules: &StickRules) -> Result<(), Reason> {
    let end = match volume.problem {
        Some(Problem::BeyondDevice { end }) => end,
        _ => volume.offset.saturating_add(volume.declared_size),
    };
    let larger = volume.declared_size > volume.size || matches!(volume.problem, Some(Problem::BeyondDevice { .. }));
    if larger && matches!(volume.kind, FsKind::Fat32 | FsKind::Unknown) {
        return Err(Reason::VolumeLargerThanDevice { end, size: device.size });
    }
    match &volume.problem {
        _ if !matches!(volume.kind, FsKind::Fat32 | FsKind::Unknown) => {}
        Some(Problem::Unreadable(why) | Problem::TooMuch(why)) => {
            return Err(Reason::Unreadable { why: why.clone() });
        }
        Some(problem) => return Err(Reason::Damaged { what: problem.clone() }),
        None => {}
    }
    if volume.kind != FsKind::Fat32 {
        return Err(Reason::WrongFilesystem { found: volume.kind });
    }
    if !rules.read_only && device.read_only {
        return Err(Reason::ReadOnly);
    }
    if !rules.read_only && volume.size < rules.need {
        return Err(Reason::TooSmall { need: rules.need, size: volume.size });
    }
    Ok(())
}

fn notes(facts: &StickFacts) -> Vec<Note> {
    let mut notes = Vec::new();
    if facts.table == (PartitionTable::Gpt { backup: true }) {
        notes.push(Note::TableFromBackup);
    }
    for volume in &facts.volumes {
        if let Some(why) = &volume.owner_problem {
            notes.push(Note::OwnerUnreadable { why: why.clone() });
        }
        if !volume.boxes.is_empty() {
            notes.push(Note::Boxes { names: volume.boxes.clone() });
        }
        notes.extend(volume.flaws.iter().map(|flaw| Note::Flaw { what: flaw.clone() }));
    }
    notes
}
