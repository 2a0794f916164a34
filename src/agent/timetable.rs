//! The scheduled runs: when to wake up for one, and a durable note of those that were made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Agent;
use crate::config::Config;
use crate::error::Result;
use crate::host::durable;
use crate::policy::clock;
use crate::policy::schedule::{Decision, Facts, Rule, SERVED_MAX, decide, upcoming};

const NOTE: &str = "schedule.json";
const NOTE_MAX: u64 = 64 << 10;

/// A run that failed is tried again after so long, until its successor is due.
const RETRY: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Due times for which a run was made, the latest last.
    served: Vec<Timestamp>,
}

/// The rule and what was done by it.
pub(super) struct Timetable {
    /// None when no backups are made by themselves.
    rule: Option<Rule>,
    zone: TimeZone,
    path: PathBuf,
    note: Note,
    blind_run: Option<Duration>,
    /// The due time whose run is under way.
    under_way: Option<Timestamp>,
    /// Uptime before which a failed run is not tried again.
    not_before: Duration,
}

impl Timetable {
    pub(super) fn open(config: &Config) -> Result<Self> {
        let path = config.state.join(NOTE);
        Ok(Self {
            rule: config.schedule.policy(),
            zone: config.zone()?,
            note: read(&path),
            path,
            blind_run: None,
            under_way: None,
            not_before: Duration::ZERO,
        })
    }

    /// When the next run is due.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        upcoming(self.rule.as_ref()?, &self.zone, now).next()
    }

    /// Whether a run is to be started now, and else when to ask again: at a moment of the wall clock, or after a time.
    fn ask(&mut self, now: Timestamp, newest: Option<Timestamp>, uptime: Duration) -> Ask {
        let Some(rule) = &self.rule else { return Ask::Later(None, None) };
        if self.under_way.is_some() {
            return Ask::Later(None, None);
        }
        let facts = Facts {
            now,
            // Only whether it was ever set matters here.
            clock: clock::judge(now, &[]),
            served: &self.note.served,
            newest,
            uptime,
            blind_run: self.blind_run,
        };
        match decide(rule, &self.zone, &facts) {
            Decision::Run { .. } | Decision::RunBlind if uptime < self.not_before => {
                Ask::Later(None, Some(self.not_before - uptime))
            }
            Decision::Run { due, late } => {
                log::info!("the run of {due} is {}", if late { "late, and made now" } else { "due" });
                self.under_way = Some(due);
                Ask::Run
            }
            Decision::RunBlind => {
                log::warn!("the clock was never set, so a run is made by the time the box has been up");
                self.blind_run = Some(uptime);
                Ask::Run
            }
            Decision::SleepUntil(at) => Ask::Later(Some(at), None),
            Decision::SleepBlind(left) => Ask::Later(None, Some(left)),
        }
    }

    /// A cycle is over: the run that was under way is served, or is tried again later.
    pub(super) fn over(&mut self, made: bool, uptime: Duration) {
        let Some(due) = self.under_way.take() else { return };
        if !made {
            self.not_before = uptime + RETRY;
            return;
        }
        self.not_before = Duration::ZERO;
        self.note.served.push(due);
        let excess = self.note.served.len().saturating_sub(SERVED_MAX);
        self.note.served.drain(..excess);
        let bytes = serde_json::to_vec(&self.note).expect("plain data");
        if let Err(error) = durable::write(&self.path, &bytes, 0o600) {
            // The backup itself tells after a restart that its due time was served.
            log::error!("{}", error.report());
        }
    }
}

enum Ask {
    Run,
    Later(Option<Timestamp>, Option<Duration>),
}

/// A note that cannot be read costs one run more, never one less.
fn read(path: &Path) -> Note {
    let bytes = durable::read(path, NOTE_MAX).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

impl Agent {
    /// Starts a run that is due, or sets the alarm for the next one and for the moment at which a backup is overdue.
    pub(super) fn keep_time(&mut self) -> Result<()> {
        let now = Timestamp::now();
        let (mut at, mut left) = (None, None);
        match self.timetable.ask(now, self.newest, self.started.elapsed()) {
            Ask::Run => {
                self.wanted = true;
                self.plugs().renew(false);
            }
            Ask::Later(alarm, after) => (at, left) = (alarm, after),
        }
        self.ask_at = left.map(|left| std::time::Instant::now() + left);
        let overdue_at = self.green_until.filter(|until| *until > now);
        self.alarm.set([at, overdue_at].into_iter().flatten().min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timetable(dir: &Path) -> Timetable {
        let path = dir.join(NOTE);
        Timetable {
            rule: Some(Rule::At(vec![jiff::civil::time(7, 0, 0, 0)])),
            zone: TimeZone::UTC,
            note: read(&path),
            path,
            blind_run: None,
            under_way: None,
            not_before: Duration::ZERO,
        }
    }

    fn runs(table: &mut Timetable, now: &str, uptime: u64) -> bool {
        matches!(table.ask(now.parse().unwrap(), None, Duration::from_secs(uptime)), Ask::Run)
    }

    #[test]
    fn a_run_that_was_made_is_not_made_again_after_a_restart_and_one_that_failed_is() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-11-23T07:00:01Z";
        let mut table = timetable(dir.path());
        assert!(runs(&mut table, now, 10));
        assert!(!runs(&mut table, now, 11), "while it is under way");
        table.over(false, Duration::from_secs(20));
        assert!(!runs(&mut table, now, 30), "at once after it failed");
        assert!(runs(&mut table, now, 20 + RETRY.as_secs()));
        drop(table);
        let mut table = timetable(dir.path());
        assert!(runs(&mut table, now, 5), "after a restart in the middle");
        table.over(true, Duration::from_secs(6));
        assert!(!runs(&mut table, now, 7));
        assert!(!runs(&mut timetable(dir.path()), now, 5), "after a restart");
        assert!(runs(&mut timetable(dir.path()), "2026-11-24T07:00:00Z", 5));
    }
}
