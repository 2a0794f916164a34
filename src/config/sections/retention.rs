//! `[retention]`: which backups a clean-up keeps. The rules themselves are policy's.

use std::time::Duration;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, Taken, duration, whole};
use crate::config::tree::{Node, Value};
use crate::config::units;

/// The count that means "without end"; in the file `"all"`.
pub const ALL: u32 = u32::MAX;

/// The largest count on offer, so that a slip of the finger is told from an intention.
const COUNT_MAX: u32 = 100_000;

/// The longest `within` on offer: ten years, for which tills' books are kept.
const WITHIN_MAX: Duration = Duration::from_secs(3653 * 86_400);

/// What a clean-up keeps: every backup for which at least one key speaks.
///
/// The defaults say: of the 20 newest all of the last 24 hours, one a day for 7 days, one a week for 4 weeks, and one
/// a month without end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// `keep_last`: so many of the newest, however old; 0.
    pub keep_last: u32,
    /// `within`: all that are no older than this; `"24h"`, `"0s"` for none.
    pub within: Duration,
    /// `within_max`: of those no more than so many of the newest; 20.
    pub within_max: u32,
    /// `hourly`: the newest of each of so many hours; 0.
    pub hourly: u32,
    /// `daily`: the newest of each of so many days; 7.
    pub daily: u32,
    /// `weekly`: the newest of each of so many weeks, which begin on Monday; 4.
    pub weekly: u32,
    /// `monthly`: the newest of each of so many months; `"all"`.
    pub monthly: u32,
    /// `yearly`: the newest of each of so many years; 0.
    pub yearly: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            keep_last: 0,
            within: Duration::from_secs(24 * 3600),
            within_max: 20,
            hourly: 0,
            daily: 7,
            weekly: 4,
            monthly: ALL,
            yearly: 0,
        }
    }
}

impl RetentionConfig {
    /// Keys that are left out stay as in `default`: for a store those of `[retention]`.
    pub(in crate::config) fn read(section: &mut Section<'_, '_>, default: &Self) -> Self {
        let read = Self {
            keep_last: section.get("keep_last", count, default.keep_last),
            within: section.get("within", duration(Duration::ZERO, WITHIN_MAX), default.within),
            within_max: section.get("within_max", count, default.within_max),
            hourly: section.get("hourly", count, default.hourly),
            daily: section.get("daily", count, default.daily),
            weekly: section.get("weekly", count, default.weekly),
            monthly: section.get("monthly", count, default.monthly),
            yearly: section.get("yearly", count, default.yearly),
        };
        // What is inherited was complained of where it stands.
        if read.is_empty() && !default.is_empty() {
            let hint = "to keep few backups, write keep_last = 1".to_owned();
            section.complain_of_all("keeps nothing, so a clean-up would delete every backup".into(), Some(hint));
        }
        read
    }

    /// Whether no backup at all would be kept.
    pub fn is_empty(&self) -> bool {
        let counts = [self.keep_last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        counts.iter().all(|count| *count == 0) && (self.within.is_zero() || self.within_max == 0)
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        let count = |count: u32| if count == ALL { quoted("all") } else { count.to_string() };
        out.key("keep_last", count(self.keep_last));
        out.key("within", quoted(&units::format_duration(self.within)));
        out.key("within_max", count(self.within_max));
        out.key("hourly", count(self.hourly));
        out.key("daily", count(self.daily));
        out.key("weekly", count(self.weekly));
        out.key("monthly", count(self.monthly));
        out.key("yearly", count(self.yearly));
    }
}

fn count(node: &Node) -> Taken<u32> {
    match &node.value {
        Value::Text(text) if text == "all" => Ok(ALL),
        _ => whole(0, COUNT_MAX)(node).map_err(|mut all| {
            all.iter_mut().for_each(|wrong| wrong.suggest("\"all\" means without end"));
            all
        }),
    }
}
