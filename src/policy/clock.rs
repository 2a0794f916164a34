//! Whether the box's clock can be believed: boxes without a battery start in 1970.

use jiff::{SignedDuration, Timestamp};

use crate::lang::Lang;

/// The day of this release; no honest clock is before it.
const RELEASED: &str = "2026-11-20T00:00:00Z";

/// A newest backup further ahead than this means that its clock, or this one, is wrong.
const JUMP_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A doubted clock that has gone on evenly for this long is believed: it was a long closure, or it was set right.
const EVEN_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a backup says of the time it was made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Its start, by the box's clock of then.
    pub started: Timestamp,
    /// Whether that clock was plausible then.
    pub trusted: bool,
}

/// What is thought of the clock, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// It may be right.
    Plausible,
    /// It shows a time before this program was made.
    BeforeRelease,
    /// It shows a time before the newest backup whose clock was plausible.
    BeforeNewest,
    /// It is more than 31 days ahead of that backup: right after a long closure, wrong after a jump.
    FarAhead,
}

impl Clock {
    /// Whether backups may be dated and pruned by it.
    pub fn is_trusted(self) -> bool {
        self == Self::Plausible
    }

    /// The reason in one line.
    pub fn reason(self) -> &'static str {
        self.text(Lang::En)
    }

    /// The reason in one line, in the words of the shop.
    pub fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::Plausible => lang.pick("die Uhr kann stimmen", "the clock is plausible", "el reloj puede estar bien"),
            Self::BeforeRelease => lang.pick(
                "die Uhr zeigt eine Zeit, zu der es dieses Programm noch nicht gab",
                "the clock shows a time before this program was made",
                "el reloj muestra una hora anterior a este programa",
            ),
            Self::BeforeNewest => lang.pick(
                "die Uhr zeigt eine Zeit vor der neuesten Sicherung",
                "the clock shows a time before the newest backup",
                "el reloj muestra una hora anterior al último respaldo",
            ),
            Self::FarAhead => lang.pick(
                "die Uhr ist der neuesten Sicherung mehr als 31 Tage voraus",
                "the clock is more than 31 days ahead of the newest backup",
                "el reloj va más de 31 días por delante del último respaldo",
            ),
        }
    }
}

/// Judges `now` against the release and the backups made so far, newest first in the order of their ids.
///
/// Only backups whose own clock was plausible count: one made in 2099 by mistake must not make today implausible. A
/// clock that is doubted but has gone on evenly over a week of backups is believed, so that a shop that was closed all
/// winter, or whose wrong clock was believed once, needs nobody's help.
pub fn judge(now: Timestamp, past: &[Made]) -> Clock {
    if now < released() {
        return Clock::BeforeRelease;
    }
    let Some(newest) = past.iter().find(|made| made.trusted) else { return Clock::Plausible };
    let since = now.duration_since(newest.started);
    let doubt = if since < SignedDuration::ZERO {
        Clock::BeforeNewest
    } else if since > JUMP_MAX {
        Clock::FarAhead
    } else {
        return Clock::Plausible;
    };
    if now.duration_since(even_since(now, past)) >= EVEN_FOR { Clock::Plausible } else { doubt }
}

/// Since when the backups made in doubt agree with `now` and with each other.
fn even_since(now: Timestamp, past: &[Made]) -> Timestamp {
    let mut since = now;
    for made in past.iter().take_while(|made| !made.trusted) {
        let step = since.duration_since(made.started);
        if step < SignedDuration::ZERO || step > JUMP_MAX {
            break;
        }
        since = made.started;
    }
    since
}

/// The moment before which no clock is honest.
pub(super) fn released() -> Timestamp {
    RELEASED.parse().expect("a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn made(trusted: bool, times: &[&str]) -> Vec<Made> {
        times.iter().rev().map(|time| Made { started: at(time), trusted }).collect()
    }

    #[test]
    fn a_clock_is_judged_by_the_release_and_the_newest_backup() {
        for (now, newest, expected) in [
            ("2026-12-01T00:00:00Z", None, Clock::Plausible),
            ("2026-12-01T00:00:00Z", Some("2026-11-30T00:00:00Z"), Clock::Plausible),
            ("2026-12-31T00:00:00Z", Some("2026-11-30T00:00:00Z"), Clock::Plausible),
            ("2026-12-31T00:00:01Z", Some("2026-11-30T00:00:00Z"), Clock::FarAhead),
            ("1970-01-01T00:00:09Z", None, Clock::BeforeRelease),
            ("1970-01-01T00:00:09Z", Some("2026-11-30T00:00:00Z"), Clock::BeforeRelease),
            ("2026-12-01T00:00:00Z", Some("2026-12-01T00:00:01Z"), Clock::BeforeNewest),
            ("2099-01-01T00:00:00Z", Some("2026-12-01T00:00:01Z"), Clock::FarAhead),
        ] {
            let past: Vec<Made> = newest.map(|text| Made { started: at(text), trusted: true }).into_iter().collect();
            assert_eq!(judge(at(now), &past), expected, "{now} {newest:?}");
        }
    }

    #[test]
    fn a_second_run_at_a_wrong_time_is_doubted_like_the_first_and_the_way_back_is_free() {
        let mut past = made(false, &["2099-01-01T00:00:00Z", "2099-01-01T12:00:00Z"]);
        past.extend(made(true, &["2026-12-01T00:00:00Z"]));
        assert_eq!(judge(at("2099-01-02T00:00:00Z"), &past), Clock::FarAhead);
        assert_eq!(judge(at("2026-12-03T00:00:00Z"), &past), Clock::Plausible);
    }

    #[test]
    fn after_a_long_closure_the_clock_is_believed_when_it_went_on_evenly_for_a_week() {
        let mut past = made(false, &["2027-03-01T07:00:00Z", "2027-03-04T07:00:00Z", "2027-03-07T07:00:00Z"]);
        past.extend(made(true, &["2026-12-01T00:00:00Z"]));
        assert_eq!(judge(at("2027-03-08T06:00:00Z"), &past), Clock::FarAhead);
        assert_eq!(judge(at("2027-03-08T07:00:00Z"), &past), Clock::Plausible);
    }

    #[test]
    fn a_clock_that_was_wrong_for_good_is_believed_again_a_week_after_it_was_set_right() {
        let mut past = made(false, &["2027-02-01T07:00:00Z"]);
        past.extend(made(true, &["2027-01-01T00:00:00Z", "2099-12-01T00:00:00Z"]));
        assert_eq!(judge(at("2027-02-02T07:00:00Z"), &past), Clock::BeforeNewest);
        assert_eq!(judge(at("2027-02-08T07:00:00Z"), &past), Clock::Plausible);
        // A jump in between breaks the week.
        past.insert(0, made(false, &["1970-01-01T00:00:00Z"])[0]);
        assert_eq!(judge(at("2027-02-08T07:00:00Z"), &past), Clock::BeforeNewest);
    }
}
