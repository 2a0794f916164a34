//! When a copy that waits for a store is tried, and why not now.

use std::fmt;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::Kind;

/// The first wait after a failure that may pass by itself, and the longest.
const PASSING: (SignedDuration, SignedDuration) = (SignedDuration::from_mins(1), SignedDuration::from_hours(1));

/// The same where most likely a person has to do something: nothing is won by asking often.
const LASTING: (SignedDuration, SignedDuration) = (SignedDuration::from_mins(15), SignedDuration::from_hours(6));

/// Hours of the day, from `start` until just before `end`; over midnight when `end` is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// When they begin.
    pub start: Time,
    /// When they end.
    pub end: Time,
}

impl Hours {
    fn contain(&self, time: Time) -> bool {
        if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        }
    }
}

/// What is known of the tries so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// How many failed.
    pub failed: u32,
    /// When the last one did.
    pub last: Timestamp,
    /// What sort of failure it was.
    pub kind: Kind,
    /// A number drawn after it, so that the boxes of a shop do not all come at the same second.
    pub lot: u8,
}

/// When to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// At once.
    Now,
    /// Not before then.
    Later(Timestamp, Wait),
}

/// Why not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It failed so many times, and may work by itself.
    Passing(u32),
    /// It failed so many times, and somebody has to look at it.
    Lasting(u32),
    /// Nothing is sent at this time of day.
    Hours,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing(times) => write!(f, "it failed {times} times"),
            Self::Lasting(times) => write!(f, "it failed {times} times, and somebody has to look at it"),
            Self::Hours => f.write_str("nothing is sent at this time of day"),
        }
    }
}

/// Decides when to try next.
pub fn next(now: Timestamp, tries: Option<&Tries>, hours: Option<&Hours>, zone: &TimeZone) -> Try {
    let (at, why) = match tries {
        None => (now, None),
        // A clock that went back since would make it wait for long.
        Some(tries) if tries.last > now => (now, None),
        Some(tries) => {
            let (wait, why) = wait(tries);
            (tries.last + wait, Some(why))
        }
    };
    let at = at.max(now);
    match hours.and_then(|hours| opening(at, hours, zone)) {
        Some(opens) => Try::Later(opens, Wait::Hours),
        None if at > now => Try::Later(at, why.unwrap_or(Wait::Hours)),
        None => Try::Now,
    }
}

/// Twice as long after each failure up to a bound, a quarter more or less by lot.
fn wait(tries: &Tries) -> (SignedDuration, Wait) {
    let lasting = matches!(tries.kind, Kind::Config | Kind::Usage | Kind::Refused | Kind::NoSpace | Kind::Damaged);
    let ((first, longest), why) = match lasting {
        true => (LASTING, Wait::Lasting(tries.failed)),
        false => (PASSING, Wait::Passing(tries.failed)),
    };
    let doublings = tries.failed.saturating_sub(1).min(16);
    let base = (first * (1 << doublings)).min(longest);
    let quarter = base.as_millis() / 4;
    let off = quarter * 2 * i128::from(tries.lot) / 255 - quarter;
    let millis = i64::try_from(base.as_millis() + off).unwrap_or(i64::MAX);
    (SignedDuration::from_millis(millis), why)
}

/// The next moment at which `hours` begin, when `at` is outside of them.
fn opening(at: Timestamp, hours: &Hours, zone: &TimeZone) -> Option<Timestamp> {
    let local = at.to_zoned(zone.clone());
    if hours.contain(local.time()) {
        return None;
    }
    let today = local.date();
    let day = if hours.start > local.time() { today } else { today.tomorrow().ok()? };
    // An hour that summer time leaves out begins when the clocks have gone on.
    day.to_datetime(hours.start).to_zoned(zone.clone()).ok().map(|opens| opens.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_bound_and_the_lot_spreads_it() {
        let last = at("2026-11-22T20:00:00Z");
        for (failed, kind, lot, seconds) in [
            (1, Kind::Io, 0, 45),
            (1, Kind::Io, 255, 75),
            (2, Kind::Io, 0, 90),
            (6, Kind::Busy, 0, 1440),
            (7, Kind::Io, 0, 2700),
            (1_000_000, Kind::Missing, 255, 4500),
            (1, Kind::NoSpace, 0, 675),
            (9, Kind::Refused, 255, 27_000),
        ] {
            let tries = Tries { failed, last, kind, lot };
            let expected = last + SignedDuration::from_secs(seconds);
            let Try::Later(next, _) = next(last, Some(&tries), None, &TimeZone::UTC) else { panic!("{tries:?}") };
            assert_eq!(next, expected, "{tries:?}");
            assert_eq!(super::next(expected, Some(&tries), None, &TimeZone::UTC), Try::Now, "{tries:?}");
        }
        let tries = Tries { failed: 9, last, kind: Kind::Io, lot: 9 };
        assert_eq!(next(last - SignedDuration::from_hours(1), Some(&tries), None, &TimeZone::UTC), Try::Now);
        assert_eq!(next(last, None, None, &TimeZone::UTC), Try::Now);
    }

    #[test]
    fn outside_of_its_hours_a_store_waits_for_them_to_begin() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let time = |text: &str| text.parse::<Time>().unwrap();
        let night = Hours { start: time("22:00"), end: time("06:00") };
        let noon = Hours { start: time("12:00"), end: time("13:00") };
        for (now, hours, opens) in [
            ("2026-11-22T20:59:00Z", night, Some("2026-11-22T21:00:00Z")),
            ("2026-11-22T21:00:00Z", night, None),
            ("2026-11-23T04:59:00Z", night, None),
            ("2026-11-23T05:00:00Z", night, Some("2026-11-23T21:00:00Z")),
            ("2026-11-22T11:30:00Z", noon, None),
            ("2026-11-22T12:00:00Z", noon, Some("2026-11-23T11:00:00Z")),
        ] {
            let expected = opens.map_or(Try::Now, |opens| Try::Later(at(opens), Wait::Hours));
            assert_eq!(next(at(now), None, Some(&hours), &zone), expected, "{now}");
        }
    }
}
