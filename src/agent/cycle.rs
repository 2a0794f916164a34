//! Starting a backup and taking in what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Agent;
use super::plugs::{Places, Plugs, State};
use super::post::{Message, Post};
use crate::config::{After, StickPath};
use crate::error::{Kind, Result};
use crate::host::{block, mount};
use crate::job::cycle::{self, Guests, Outcome};
use crate::job::plugged::{self, Copied, Target};
use crate::model::{BackupId, Cancel, Event};
use crate::policy::slot::{self, SlotRule};

/// How long a backup waits for disks that are still being looked at; the looking itself is bounded by the same.
const LOOK_MAX: Duration = Duration::from_secs(4);

/// So many slots are examined for files that a mount would hide.
const SLOTS_EXAMINED: u32 = 16;

impl Agent {
    /// Starts a cycle when one is wanted and none is running.
    pub(super) fn start_what_is_wanted(&mut self) -> Result<()> {
        let now = Instant::now();
        let (waiting, looking) = {
            let plugs = self.plugs();
            let since = now.checked_sub(LOOK_MAX);
            (plugs.are_waiting(), since.is_none_or(|since| plugs.are_looking(since)))
        };
        if self.cycle.is_some() || self.stop_at.is_some() || !(self.wanted || waiting) {
            return Ok(());
        }
        if looking {
            self.look_at.get_or_insert(now + LOOK_MAX);
            return Ok(());
        }
        self.wanted = false;
        self.cycles += 1;
        let cancel = Cancel::default();
        self.cycle = Some(cancel.clone());
        let site = self.site.clone();
        let plugs = self.plugs.clone();
        self.post.spawn("backup", move |post| {
            let rule = match &site.config.sticks.path {
                StickPath::Auto => SlotRule::Numbered,
                StickPath::Fixed(path) => SlotRule::Fixed(path.clone()),
            };
            let keep = site.config.sticks.after == After::Keep;
            let table = Table { plugs, post: post.clone(), rule, keep, last_progress: Mutex::default() };
            Message::CycleOver(cycle::run(&site, &table, &cancel))
        })
    }

    pub(super) fn copied(&mut self, key: &str, copied: Copied, stale: bool) {
        let Copied { copy, shown_at, notes, may_be_pulled } = copied;
        for note in &notes {
            log::warn!("{key}: {note}");
        }
        let mut plugs = self.plugs();
        let Some(plug) = plugs.get_mut(key) else {
            // Pulled in the middle; its end is known already.
            return;
        };
        plug.shown_at = shown_at;
        plug.state = match copy.error {
            Some(error) => {
                log::error!("{key}: {error}");
                State::Failed(error)
            }
            None => {
                let at = plug.shown_at.as_ref().map_or(String::new(), |at| format!(", mounted at {at:?}"));
                log::info!("{key}: {} is on {:?} and was read back{at}", copy.files.join(", "), copy.medium);
                State::Done { stale, may_be_pulled }
            }
        };
        drop(plugs);
        self.tell_of(key);
        if let Some(plug) = self.plugs().get_mut(key) {
            // What a later run does to it is nobody's doing.
            plug.audible = false;
        }
    }

    pub(super) fn cycle_over(&mut self, ended: Result<Outcome>) {
        (self.cycle, self.stage) = (None, None);
        let made = matches!(&ended, Ok(Outcome { report: Some(_), .. }));
        self.timetable.over(made, self.started.elapsed());
        self.give_result(&ended);
        match ended {
            Ok(Outcome { report: Some(report), .. }) => {
                log::info!("the backup {} is made", report.id);
                if report.all_copied() {
                    self.trouble = None;
                }
            }
            Ok(Outcome { report: None, failure }) => {
                let why = failure.unwrap_or_default();
                log::error!("no backup was made, and the sticks got the newest that there was: {why}");
                self.fail_waiting(&why);
            }
            Err(error) if error.kind() == Kind::Cancelled && self.stop_at.is_some() => log::info!("stopped"),
            Err(error) => {
                log::error!("{}", error.report());
                self.fail_waiting(&error.report());
            }
        }
        self.senders.wake();
        self.take_stock();
    }

    fn fail_waiting(&mut self, why: &str) {
        let failed = self.plugs().fail_waiting(why);
        for key in failed {
            self.tell_of(&key);
        }
    }
}

/// The sticks of the agent, as a cycle sees them.
struct Table {
    plugs: Arc<Mutex<Plugs>>,
    post: Post,
    rule: SlotRule,
    keep: bool,
    last_progress: Mutex<Option<Instant>>,
}

/// The least time between two reports of progress: whoever looks on sees no more.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

impl Table {
    fn is_time_for_progress(&self) -> bool {
        let mut last = self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    fn plugs(&self) -> MutexGuard<'_, Plugs> {
        self.plugs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> Places {
        let nodes: Vec<_> = self.plugs().iter().map(|(key, plug)| (key.clone(), plug.disk.node.clone())).collect();
        let mounted = |(key, node): (String, std::path::PathBuf)| Some((key, plugged::mounted_at(&node).ok()??));
        let of = nodes.into_iter().filter_map(mounted).collect();
        let mounts = block::mounts().unwrap_or_default().into_iter().map(|mount| mount.at).collect();
        let examined: Vec<_> = match &self.rule {
            SlotRule::Fixed(path) => vec![path.clone()],
            SlotRule::Numbered => (0..SLOTS_EXAMINED).map(slot::numbered).collect(),
        };
        let blocked = examined.into_iter().filter(|at| !mount::is_free_place(at)).collect();
        Places { mounts, blocked, of }
    }
}

impl Guests for Table {
    fn newest(&self) -> Option<BackupId> {
        self.plugs().newest()
    }

    fn take(&self, id: &BackupId) -> Vec<(String, Target)> {
        let places = self.places();
        self.plugs().take(id, &self.rule, &places, self.keep)
    }

    fn progress(&self, name: Option<&str>, event: Event) {
        if matches!(event, Event::Progress { .. }) && !self.is_time_for_progress() {
            return;
        }
        self.post.send(Message::Progress(name.map(str::to_owned), event));
    }

    fn copied(&self, name: &str, copied: Copied, stale: bool) {
        self.post.send(Message::Copied(name.to_owned(), Box::new(copied), stale));
    }
}
