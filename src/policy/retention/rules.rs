//! What a clean-up keeps, as the configuration says it.

use std::time::Duration;

/// The count that means "without end"; in the configuration `"all"`.
pub const ALL: u32 = u32::MAX;

/// What a clean-up keeps: every backup for which at least one rule speaks.
///
/// The defaults say: of the 20 newest all of the last 24 hours, one a day for 7 days, one a week for 4 weeks, and one
/// a month without end. A period without a backup does not count: a shop that was closed for a month loses nothing by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
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

impl Default for Rules {
    fn default() -> Self {
        let within = Duration::from_secs(24 * 3600);
        Self { within, within_max: 20, daily: 7, weekly: 4, monthly: ALL, ..Self::newest(0) }
    }
}

impl Rules {
    /// So many of the newest and nothing else.
    pub fn newest(keep_last: u32) -> Self {
        Self { keep_last, within: Duration::ZERO, within_max: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
    }

    /// Whether no backup at all would be kept.
    pub fn is_empty(&self) -> bool {
        self.keep_last == 0 && !self.asks_the_clock()
    }

    /// Whether a rule speaks of time, so that nothing may be decided by a clock that is not plausible.
    pub fn asks_the_clock(&self) -> bool {
        let counts = [self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        counts.iter().any(|count| *count > 0) || (!self.within.is_zero() && self.within_max > 0)
    }
}
