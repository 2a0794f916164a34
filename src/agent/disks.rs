//! What comes and goes: disks are looked at in a thread each, and what is found decides what happens to them.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Agent;
use super::plugs::{self, Plug, State};
use super::post::Message;
use crate::error::{Error, Kind};
use crate::job::plugged::{self, Looked};
use crate::stick::mount as shown;
use crate::stick::watch::{self, Disk, changes};

/// The least time between two looks at what is plugged in: a storm of events costs no more than this.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often a disk is looked at again that could not be read: it may have needed a moment, and a box that has just started
/// or has much to do may have been too slow.
const LOOKED_AGAIN: usize = 2;

impl Agent {
    /// Looks at what is plugged in, now or, when the last look was a moment ago, soon.
    pub(super) fn look_soon(&mut self) {
        let next = self.looked_at.map(|at| at + LOOK_EVERY).filter(|at| *at > Instant::now());
        match next {
            Some(_) => self.look_at = next,
            None => self.look(true),
        }
    }

    /// Compares what is plugged in with what was. `audible` when somebody may stand beside the box.
    pub(super) fn look(&mut self, audible: bool) {
        (self.look_at, self.looked_at) = (None, Some(Instant::now()));
        let now = match watch::disks() {
            Ok(now) => now,
            Err(error) => return log::error!("{}", error.report()),
        };
        let before = std::mem::replace(&mut self.disks, now);
        let (gone, come) = changes(&before, &self.disks);
        for name in gone {
            let removed = self.plugs().remove(&plugs::key(&name, &before[&name]));
            if let Some(plug) = removed {
                self.went(&name, plug);
            }
        }
        for name in come {
            let disk = self.disks[&name].clone();
            let key = plugs::key(&name, &disk);
            log::info!("{name} came, {} bytes", disk.size);
            let asked = self.is_wanted(&disk.node);
            self.plugs().add(key.clone(), disk.clone(), audible, asked);
            self.tell_of(&key);
            self.look_at(key, disk, asked);
        }
    }

    /// Has a thread find out what the disk is.
    pub(super) fn look_at(&self, key: String, disk: Disk, asked: bool) {
        let site = self.site.clone();
        let started = self.post.spawn("look", move |_| {
            let look = || plugged::look(&site, &disk.node, asked);
            let again = |error: Error| match error.kind() {
                Kind::Io => look(),
                _ => Err(error),
            };
            let looked = (0..LOOKED_AGAIN).fold(look(), |looked, _| looked.or_else(again));
            Message::Looked(key, looked.map_err(|error| error.report()))
        });
        if let Err(error) = started {
            log::error!("{}", error.report());
        }
    }

    /// Looks again at what was not used.
    pub(super) fn look_again(&mut self, key: &str, asked: bool) {
        let disk = self.plugs().look_again(key, asked);
        if let Some(disk) = disk {
            self.look_at(key.to_owned(), disk, asked);
        }
    }

    /// Whether somebody wants the next stick, or the one at this node, to be enrolled.
    fn is_wanted(&self, node: &Path) -> bool {
        let open = self.enrol.as_ref().filter(|wanted| wanted.until > Instant::now());
        open.is_some_and(|wanted| wanted.node.as_deref().is_none_or(|wanted| wanted == node))
    }

    pub(super) fn looked(&mut self, key: &str, looked: Result<Looked, String>) {
        if self.plugs().get(key).is_none() {
            return;
        }
        match &looked {
            Ok(Looked::NoStick(why)) => log::info!("{key} is no stick: {why}"),
            Ok(Looked::Tse(sign)) => log::info!("{key} is a TSE ({sign}) and stays untouched"),
            Ok(Looked::Refused(reason)) => log::warn!("{key} is not written: {reason}"),
            Ok(Looked::Usable(usable)) => log::info!("{key} is the stick {:?}, for this box", usable.label),
            Err(why) => log::warn!("{key} cannot be judged and stays untouched: {why}"),
        }
        if !matches!(looked, Ok(Looked::NoStick(_))) {
            self.trouble = None;
        }
        if matches!(&looked, Ok(Looked::Usable(usable)) if usable.enrol) {
            // One stick for each time that somebody asked.
            self.enrol = None;
        }
        self.plugs().looked(key, looked);
        self.tell_of(key);
    }

    fn went(&mut self, name: &str, plug: Plug) {
        log::info!("{name} went");
        match &plug.state {
            State::Waiting | State::Copying => {
                self.trouble = Some(format!("{name} was pulled before its copy was proven"));
                log::warn!("{name} was pulled before its copy was proven");
                self.tell_of_trouble(plug.audible);
            }
            State::Formatting => {
                self.trouble = Some(format!("{name} was pulled while it was formatted: format it again"));
                log::warn!("{name} was pulled while it was formatted");
                self.tell_of_trouble(true);
            }
            // The copy may fail a moment before the pull is noticed, and who pulls a stick after a failure has not mended it.
            State::Failed(why) => self.trouble = Some(format!("{name} was pulled and its copy had failed: {why}")),
            _ => {}
        }
        let Some(at) = plug.shown_at else { return };
        let state = self.site.config.state.clone();
        let started = self.post.spawn("unmount", move |_| {
            Message::Note(match shown::give_up(&state, &at) {
                Ok(how) => format!("unmounted {at:?} ({how:?})"),
                Err(error) => error.report(),
            })
        });
        if let Err(error) = started {
            log::error!("{}", error.report());
        }
    }
}
