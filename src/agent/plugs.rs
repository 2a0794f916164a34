//! What is plugged in and how far each thing has come. No I/O: the loop and the cycle's threads tell what happened.
//!
//! ```text
//! Looking -> NoStick | Tse | Refused | Unjudged
//!         -> Waiting -> Copying -> Done | Failed          (a due run makes Done and Failed wait again)
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::job::plugged::{Looked, Target, Usable};
use crate::model::BackupId;
use crate::policy::signal::{Signal, StickSign};
use crate::policy::slot::{self, Neighbour, Slot, SlotFacts, SlotRule};
use crate::policy::stick::Reason;
use crate::stick::watch::Disk;

/// How far one thing that is plugged in has come.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It is being looked at.
    Looking,
    /// It is no stick: a disk of the box, a reader without a card.
    NoStick,
    /// It is a TSE, and what gave it away.
    Tse(String),
    /// It is not written, and why.
    Refused(Reason),
    /// It could not be judged, so it is not touched.
    Unjudged(String),
    /// It waits for the next backup.
    Waiting,
    /// It receives a backup.
    Copying,
    /// It has its copy.
    Done {
        /// Only an older backup could be copied.
        stale: bool,
        /// It may be pulled.
        may_be_pulled: bool,
    },
    /// The copy was not made, and why.
    Failed(String),
    /// It is being formatted.
    Formatting,
}

/// One thing that is plugged in.
#[derive(Debug, Clone)]
pub(super) struct Plug {
    pub(super) disk: Disk,
    pub(super) came: Instant,
    pub(super) state: State,
    /// What is known of a stick for this box's backups.
    pub(super) usable: Option<Usable>,
    /// Where it is found.
    pub(super) slot: Option<Slot>,
    /// Where we have it mounted.
    pub(super) shown_at: Option<PathBuf>,
    /// Somebody stands beside the box: they plugged it in, or pressed a key.
    pub(super) audible: bool,
    /// Somebody wants it to be enrolled.
    pub(super) asked: bool,
}

impl Plug {
    /// What is to be told of it.
    pub(super) fn sign(&self) -> StickSign {
        match &self.state {
            State::Looking => StickSign::Detected,
            State::NoStick | State::Tse(_) => StickSign::Nothing,
            State::Refused(_) => StickSign::Wrong,
            State::Waiting | State::Copying | State::Formatting => StickSign::Working,
            State::Done { stale: false, may_be_pulled: true } => StickSign::Safe,
            State::Done { .. } => StickSign::Warned,
            State::Unjudged(_) | State::Failed(_) => StickSign::Failed,
        }
    }

    /// The sound that its new state deserves.
    pub(super) fn sound(&self) -> Option<Signal> {
        match &self.state {
            State::NoStick | State::Waiting | State::Copying | State::Formatting => None,
            State::Tse(_) => Some(Signal::TseIgnored),
            _ => match self.sign() {
                StickSign::Detected => Some(Signal::Detected),
                StickSign::Safe => Some(Signal::Safe),
                StickSign::Warned => Some(Signal::Warning),
                StickSign::Wrong => Some(Signal::WrongStick),
                StickSign::Failed => Some(Signal::Failed),
                StickSign::Nothing | StickSign::Working => None,
            },
        }
    }

    fn is_stick(&self) -> bool {
        !matches!(self.state, State::NoStick)
    }
}

/// Everything that is plugged in, by a key that no two plugs share.
#[derive(Debug, Default)]
pub(super) struct Plugs(BTreeMap<String, Plug>);

/// The key of a disk: another plug under the same name is another key.
pub(super) fn key(name: &str, disk: &Disk) -> String {
    format!("{name}.{}", disk.sequence)
}

impl Plugs {
    /// A disk came.
    pub(super) fn add(&mut self, key: String, disk: Disk, audible: bool, asked: bool) {
        let came = Instant::now();
        let plug = Plug { disk, came, state: State::Looking, usable: None, slot: None, shown_at: None, audible, asked };
        self.0.insert(key, plug);
    }

    /// Somebody wants to know again what it is.
    pub(super) fn look_again(&mut self, key: &str, asked: bool) -> Option<Disk> {
        let plug = self.0.get_mut(key).filter(|plug| matches!(plug.state, State::Refused(_) | State::Unjudged(_)))?;
        (plug.state, plug.asked, plug.audible, plug.came) = (State::Looking, asked, true, Instant::now());
        Some(plug.disk.clone())
    }

    /// The key of the disk with this node.
    pub(super) fn at(&self, node: &Path) -> Option<String> {
        self.0.iter().find(|(_, plug)| plug.disk.node == node).map(|(key, _)| key.clone())
    }

    /// Whether nothing is done with it just now, so that it may be formatted.
    pub(super) fn is_at_rest(&self, key: &str) -> bool {
        let busy =
            |plug: &Plug| matches!(plug.state, State::Looking | State::Waiting | State::Copying | State::Formatting);
        self.0.get(key).is_some_and(|plug| !busy(plug))
    }

    /// From now on it is being formatted, and is no target of a backup.
    pub(super) fn begin_format(&mut self, key: &str) {
        if let Some(plug) = self.0.get_mut(key) {
            (plug.state, plug.usable, plug.slot, plug.shown_at) = (State::Formatting, None, None, None);
        }
    }

    /// What was formatted, or was to be, is another stick now.
    pub(super) fn end_format(&mut self, key: &str) -> Option<Disk> {
        let plug = self.0.get_mut(key).filter(|plug| matches!(plug.state, State::Formatting))?;
        (plug.state, plug.asked, plug.audible, plug.came) = (State::Looking, false, true, Instant::now());
        Some(plug.disk.clone())
    }

    /// The keys of those that are not enrolled, at this node or at any.
    pub(super) fn strangers(&self, node: Option<&Path>) -> Vec<String> {
        let is_stranger = |plug: &Plug| matches!(plug.state, State::Refused(Reason::Stranger { .. }));
        let is_meant = |plug: &Plug| node.is_none_or(|node| node == plug.disk.node);
        let all = self.0.iter().filter(|(_, plug)| is_stranger(plug) && is_meant(plug));
        all.map(|(key, _)| key.clone()).collect()
    }

    /// A disk went.
    pub(super) fn remove(&mut self, key: &str) -> Option<Plug> {
        self.0.remove(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Plug> {
        self.0.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Plug> {
        self.0.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Plug)> {
        self.0.iter()
    }

    /// Takes what looking at a disk came to.
    pub(super) fn looked(&mut self, key: &str, looked: Result<Looked, String>) {
        let Some(plug) = self.0.get_mut(key) else { return };
        plug.state = match looked {
            Ok(Looked::NoStick(_)) => State::NoStick,
            Ok(Looked::Tse(sign)) => State::Tse(sign),
            Ok(Looked::Refused(reason)) => State::Refused(reason),
            Ok(Looked::Usable(usable)) => {
                plug.usable = Some(usable);
                State::Waiting
            }
            Err(why) => State::Unjudged(why),
        };
    }

    /// Whether any stick waits for a backup.
    pub(super) fn are_waiting(&self) -> bool {
        self.0.values().any(|plug| matches!(plug.state, State::Waiting))
    }

    /// Whether it is not yet known of some disk that came after `since` what it is: slots are given when all are known.
    pub(super) fn are_looking(&self, since: Instant) -> bool {
        self.0.values().any(|plug| matches!(plug.state, State::Looking) && plug.came > since)
    }

    /// The copies that did not come about, because there was nothing to copy or no way to.
    pub(super) fn fail_waiting(&mut self, why: &str) -> Vec<String> {
        let stuck = |plug: &Plug| matches!(plug.state, State::Waiting | State::Copying);
        let mut failed = Vec::new();
        for (key, plug) in self.0.iter_mut().filter(|(_, plug)| stuck(plug)) {
            plug.state = State::Failed(why.to_owned());
            failed.push(key.clone());
        }
        failed
    }

    /// The sticks that stay in wait for the next backup; `audible` when somebody beside the box asked for it.
    pub(super) fn renew(&mut self, audible: bool) {
        for plug in self.0.values_mut().filter(|plug| plug.usable.is_some()) {
            if matches!(plug.state, State::Done { .. } | State::Failed(_)) {
                plug.state = State::Waiting;
                plug.audible = audible;
            }
        }
    }

    /// The newest backup of this box on any stick that waits.
    pub(super) fn newest(&self) -> Option<BackupId> {
        let waiting = self.0.values().filter(|plug| matches!(plug.state, State::Waiting));
        waiting.filter_map(|plug| plug.usable.as_ref()?.newest.clone()).max()
    }

    /// The sticks that wait and can take the backup `id`. Those that hold a newer one wait for a still newer one.
    /// With `keep` they are told where to be mounted afterwards.
    pub(super) fn take(
        &mut self,
        id: &BackupId,
        rule: &SlotRule,
        places: &Places,
        keep: bool,
    ) -> Vec<(String, Target)> {
        let can_take = |plug: &Plug| {
            let newest = plug.usable.as_ref().and_then(|usable| usable.newest.as_ref());
            matches!(plug.state, State::Waiting) && newest.is_none_or(|newest| newest <= id)
        };
        let mut waiting: Vec<_> = self.0.iter().filter(|(_, plug)| can_take(plug)).collect();
        waiting.sort_by_key(|(_, plug)| plug.came);
        let keys: Vec<String> = waiting.into_iter().map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.place(key, rule, places);
        }
        let mut targets = Vec::new();
        for key in keys {
            let Some(plug) = self.0.get_mut(&key) else { continue };
            plug.state = State::Copying;
            let ours = match &plug.slot {
                Some(Slot::Ours { at, .. }) if keep => Some(at.clone()),
                _ => None,
            };
            let target = Target {
                node: plug.disk.node.clone(),
                shown_at: plug.shown_at.clone(),
                show_at: ours,
                enrol: plug.usable.as_ref().is_some_and(|usable| usable.enrol),
                asked: plug.asked,
            };
            targets.push((key, target));
        }
        targets
    }

    /// Gives a stick its slot. One that has a slot of ours keeps it, unless another program took the place.
    fn place(&mut self, key: &str, rule: &SlotRule, places: &Places) {
        let Some(plug) = self.0.get(key) else { return };
        let taken = |at: &PathBuf| places.mounts.contains(at) && plug.shown_at.as_ref() != Some(at);
        if matches!(&plug.slot, Some(Slot::Ours { at, .. }) if !taken(at)) {
            return;
        }
        // A stick of ours without a slot comes after this one.
        let counts = |plug: &Plug| plug.is_stick() && (plug.usable.is_none() || plug.slot.is_some());
        let neighbours = self.0.iter().filter(|(other, plug)| *other != key && counts(plug));
        let neighbours = neighbours.map(|(other, plug)| {
            let ours = plug.slot.as_ref().and_then(Slot::path);
            let at = places.of.get(other).map(PathBuf::as_path).or(ours);
            at.and_then(slot::number_of).map_or(Neighbour::Elsewhere, Neighbour::InSlot)
        });
        let mounted_at = places.of.get(key).filter(|at| plug.shown_at.as_ref() != Some(at));
        let facts = SlotFacts {
            mounted_at: mounted_at.cloned(),
            neighbours: neighbours.collect(),
            mounts: places.mounts.clone(),
            blocked: places.blocked.clone(),
        };
        let slot = slot::slot(rule, &facts);
        if let Some(plug) = self.0.get_mut(key) {
            plug.slot = Some(slot);
        }
    }
}

/// What is mounted where.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// Every mount point.
    pub(super) mounts: Vec<PathBuf>,
    /// Slots where no mount may go.
    pub(super) blocked: Vec<PathBuf>,
    /// Where each plug is mounted, by its key.
    pub(super) of: BTreeMap<String, PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugs(all: &[(&str, State)]) -> Plugs {
        let mut plugs = Plugs::default();
        for (key, state) in all {
            let disk = Disk { node: format!("/dev/{key}").into(), sequence: "1".into(), size: 1 };
            plugs.add((*key).to_owned(), disk, true, false);
            let plug = plugs.get_mut(key).unwrap();
            plug.state = state.clone();
            if matches!(state, State::Waiting) {
                plug.usable = Some(Usable { label: (*key).to_owned(), newest: None, enrol: false });
            }
        }
        plugs
    }

    fn id(text: &str) -> BackupId {
        text.parse().unwrap()
    }

    fn slots(plugs: &Plugs) -> Vec<Option<PathBuf>> {
        plugs.iter().map(|(_, plug)| Some(plug.slot.as_ref()?.path()?.to_owned())).collect()
    }

    #[test]
    fn beside_a_tse_two_sticks_get_the_slots_one_and_two() {
        let mut plugs = plugs(&[("a", State::Tse("label".into())), ("b", State::Waiting), ("c", State::Waiting)]);
        let targets = plugs.take(&id("20261122T200002Z"), &SlotRule::Numbered, &Places::default(), true);
        assert_eq!(targets.len(), 2);
        assert_eq!(slots(&plugs), [None, Some("/media/usb1".into()), Some("/media/usb2".into())]);
        assert_eq!(targets[0].1.show_at, Some("/media/usb1".into()));
    }

    #[test]
    fn a_tse_that_another_program_mounted_counts_once() {
        let mut plugs = plugs(&[("a", State::Tse("label".into())), ("b", State::Waiting)]);
        let at = PathBuf::from("/media/usb0");
        let places = Places { mounts: vec![at.clone()], of: [("a".to_owned(), at)].into(), ..Places::default() };
        plugs.take(&id("20261122T200002Z"), &SlotRule::Numbered, &places, false);
        assert_eq!(slots(&plugs), [None, Some("/media/usb1".into())]);
    }

    #[test]
    fn a_stick_with_a_newer_backup_waits_for_a_still_newer_one() {
        let mut plugs = plugs(&[("a", State::Waiting), ("b", State::Waiting)]);
        let newer = id("20261122T200003Z");
        plugs.get_mut("a").unwrap().usable.as_mut().unwrap().newest = Some(newer.clone());
        let taken = plugs.take(&id("20261122T200002Z"), &SlotRule::Numbered, &Places::default(), false);
        assert_eq!(taken.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(plugs.newest(), Some(newer));
        assert!(plugs.are_waiting());
    }

    #[test]
    fn a_stick_that_is_being_formatted_is_no_target_and_is_looked_at_anew() {
        let done = State::Done { stale: false, may_be_pulled: true };
        let mut plugs = plugs(&[("a", State::Waiting), ("b", State::Copying), ("c", State::Looking)]);
        assert_eq!(["a", "b", "c", "d"].map(|key| plugs.is_at_rest(key)), [false; 4]);
        plugs.get_mut("a").unwrap().state = done;
        assert!(plugs.is_at_rest("a"));
        assert_eq!(plugs.at(Path::new("/dev/a")), Some("a".to_owned()));
        plugs.begin_format("a");
        plugs.renew(true);
        assert!(!plugs.are_waiting() && !plugs.is_at_rest("a"), "a due run passes it over");
        assert_eq!(plugs.get("a").unwrap().sign(), StickSign::Working);
        assert!(plugs.end_format("a").is_some() && plugs.end_format("b").is_none());
        assert!(matches!(plugs.get("a").unwrap().state, State::Looking));
    }

    #[test]
    fn a_due_run_makes_the_sticks_that_stay_in_wait_again_and_no_others() {
        let done = State::Done { stale: false, may_be_pulled: true };
        let mut plugs =
            plugs(&[("a", State::Waiting), ("b", State::Tse("label".into())), ("c", State::Refused(Reason::Blank))]);
        plugs.get_mut("a").unwrap().state = done;
        plugs.renew(false);
        let states = plugs.iter().map(|(_, plug)| matches!(plug.state, State::Waiting)).collect::<Vec<_>>();
        assert_eq!(states, [true, false, false]);
    }
}
