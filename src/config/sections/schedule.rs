//! `[schedule]`: when backups are made by themselves. The calendar itself is policy's.

use std::time::Duration;

use jiff::civil::Time;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, duration, flag, list, parsed};
use crate::config::units;
use crate::policy::schedule::Rule;

/// The shortest interval on offer.
const EVERY_MIN: Duration = Duration::from_secs(60);

/// The longest interval on offer: a week.
const EVERY_MAX: Duration = Duration::from_secs(7 * 86_400);

/// When backups are made by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// `enabled`: false makes backups only when a stick is plugged or somebody asks; true.
    pub enabled: bool,
    /// `at`, or `every` and `origin`; `at = ["07:00", "21:00"]`. When one file says `at` and another `every`, the
    /// later file decides.
    pub rule: Schedule,
}

/// The two ways to say it. Times are those of `time_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// `at`: at these times of every day, in ascending order.
    At(Vec<Time>),
    /// Every so often.
    Every {
        /// `every`: from one minute to seven days.
        every: Duration,
        /// `origin`: a time of day at which one of them falls; `"00:00"`.
        origin: Time,
    },
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { enabled: true, rule: Schedule::At(vec![Time::constant(7, 0, 0, 0), Time::constant(21, 0, 0, 0)]) }
    }
}

impl ScheduleConfig {
    /// The rule by which runs are due; `None` when none is made by itself.
    pub fn policy(&self) -> Option<Rule> {
        self.enabled.then(|| match &self.rule {
            Schedule::At(times) => Rule::At(times.clone()),
            Schedule::Every { every, origin } => Rule::Every { every: *every, origin: *origin },
        })
    }

    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let enabled = section.get("enabled", flag, default.enabled);
        let time = || parsed("a time of day", "07:00", units::parse_time);
        let at = section.optional("at", list(time()));
        let every = section.optional("every", duration(EVERY_MIN, EVERY_MAX));
        let origin = section.optional("origin", time());

        let [at_place, every_place] = ["at", "every"].map(|key| section.place_of(key));
        let by_interval = match (at_place, every_place) {
            (Some(at), Some(every)) if at.file == every.file => {
                let hint = "keep `at` for fixed times, or `every` for an interval".to_owned();
                section.complain("every", "stands beside `at`, and only one of them can hold".into(), Some(hint));
                false
            }
            (at, every) => every.map(|place| place.file) > at.map(|place| place.file),
        };
        if origin.is_some() && every_place.is_none() {
            section.complain("origin", "has no meaning without `every`".into(), None);
        }
        if by_interval {
            let every = every.unwrap_or(EVERY_MAX);
            return Self { enabled, rule: Schedule::Every { every, origin: origin.unwrap_or(Time::midnight()) } };
        }
        let Some(mut times) = at else { return Self { enabled, ..default } };
        times.sort();
        if let Some(twice) = times.windows(2).find(|pair| pair[0] == pair[1]) {
            section.complain("at", format!("names {} twice", units::format_time(twice[0])), None);
        }
        if times.is_empty() {
            let hint = "for no backups by themselves write enabled = false".to_owned();
            section.complain("at", "names no time".into(), Some(hint));
        }
        Self { enabled, rule: Schedule::At(times) }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("schedule");
        out.key("enabled", self.enabled);
        match &self.rule {
            Schedule::At(times) => out.list("at", times.iter().map(|time| units::format_time(*time))),
            Schedule::Every { every, origin } => {
                out.key("every", quoted(&units::format_duration(*every)));
                out.key("origin", quoted(&units::format_time(*origin)));
            }
        }
    }
}
