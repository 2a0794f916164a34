//! Whether the box's clock can be believed: boxes without a battery start in 1970.

use jiff::{SignedDuration, Timestamp};

/// The day of this release; no honest clock is before it.
const RELEASED: &str = "2026-11-20T00:00:00Z";

/// A newest backup further ahead than this means that its clock, or this one, is wrong.
const JUMP_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What is thought of the clock, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It may be right.
    Plausible,
    /// It shows a time before this program was made.
    BeforeRelease,
    /// It shows a time before the newest backup.
    BeforeNewest,
    /// It is more than 31 days ahead of the newest backup: right after a long closure, wrong after a jump.
    FarAhead,
}

impl Clock {
    /// Whether backups may be dated and pruned by it.
    pub fn is_trusted(self) -> bool {
        self == Self::Plausible
    }

    /// The reason in one line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Plausible => "the clock is plausible",
            Self::BeforeRelease => "the clock shows a time before this program was made",
            Self::BeforeNewest => "the clock shows a time before the newest backup",
            Self::FarAhead => "the clock is more than 31 days ahead of the newest backup",
        }
    }
}

/// Judges `now` against the release and the newest backup.
pub fn judge(now: Timestamp, newest: Option<Timestamp>) -> Clock {
    let released: Timestamp = RELEASED.parse().expect("a constant");
    if now < released {
        return Clock::BeforeRelease;
    }
    match newest.map(|newest| now.duration_since(newest)) {
        Some(since) if since < SignedDuration::ZERO => Clock::BeforeNewest,
        Some(since) if since > JUMP_MAX => Clock::FarAhead,
        _ => Clock::Plausible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_the_release_and_the_newest_backup() {
        for (now, newest, expected) in [
            ("2026-12-01T00:00:00Z", None, Clock::Plausible),
            ("2026-12-01T00:00:00Z", Some("2026-11-30T00:00:00Z"), Clock::Plausible),
            ("1970-01-01T00:00:09Z", None, Clock::BeforeRelease),
            ("1970-01-01T00:00:09Z", Some("2026-11-30T00:00:00Z"), Clock::BeforeRelease),
            ("2026-12-01T00:00:00Z", Some("2026-12-01T00:00:01Z"), Clock::BeforeNewest),
            ("2099-01-01T00:00:00Z", Some("2026-12-01T00:00:01Z"), Clock::FarAhead),
        ] {
            let newest = newest.map(|text| text.parse().unwrap());
            assert_eq!(judge(now.parse().unwrap(), newest), expected, "{now} {newest:?}");
        }
    }
}
