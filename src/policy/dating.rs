//! When backups were really made. The order of their ids is the truth; what their clocks said may not be.

use jiff::{SignedDuration, Timestamp};

use super::clock::{Made, released};

/// When a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// Its clock was plausible and said so, and no later backup contradicts it.
    Known(Timestamp),
    /// Its clock was doubted and said so, and it fits between its neighbours of today; those may go, and then it may not.
    Fits(Timestamp),
    /// Its clock was wrong: it lies somewhere between its neighbours, and is taken to lie evenly between them.
    Guessed(Timestamp),
}

impl Date {
    /// The moment, known or not.
    pub fn time(self) -> Timestamp {
        match self {
            Self::Known(time) | Self::Fits(time) | Self::Guessed(time) => time,
        }
    }

    /// Whether the moment is known.
    pub fn is_known(self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Before the first date that is known, backups are taken to be this far apart.
const UNKNOWN_STEP: SignedDuration = SignedDuration::from_hours(24);

/// Dates backups, which come newest first in the order of their ids; so do the dates. `now` must be trusted.
///
/// A later backup disproves what an earlier one says: none was made after its successor.
pub fn dates(now: Timestamp, made: &[Made]) -> Vec<Date> {
    let mut dates = Vec::with_capacity(made.len());
    let mut upper = now;
    let mut unknown = 0;
    for (i, one) in made.iter().enumerate() {
        if one.started <= upper && (one.trusted || one.started >= lower(&made[i + 1..], upper)) {
            guess(&mut dates, unknown, one.started, upper);
            dates.push(if one.trusted { Date::Known(one.started) } else { Date::Fits(one.started) });
            (upper, unknown) = (one.started, 0);
        } else {
            unknown += 1;
        }
    }
    let steps = i32::try_from(unknown).unwrap_or(i32::MAX);
    let begin = UNKNOWN_STEP.checked_mul(steps.saturating_add(1)).and_then(|back| upper.checked_sub(back).ok());
    guess(&mut dates, unknown, begin.unwrap_or(Timestamp::MIN), upper);
    dates
}

/// The earliest moment that the backups `older` leave for a newer one.
fn lower(older: &[Made], upper: Timestamp) -> Timestamp {
    let known = older.iter().find(|made| made.trusted && made.started <= upper);
    known.map_or_else(released, |made| made.started.max(released()))
}

/// Dates `count` backups evenly between two moments, newest first.
fn guess(dates: &mut Vec<Date>, count: usize, from: Timestamp, to: Timestamp) {
    let span = i128::from(to.as_second() - from.as_second());
    for i in (1..=count).rev() {
        let share = span * i as i128 / (count as i128 + 1);
        let seconds = SignedDuration::from_secs(i64::try_from(share).expect("less than the span"));
        dates.push(Date::Guessed(from + seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oldest first: `!` before a time marks a clock that was doubted.
    fn dated(now: &str, times: &[&str]) -> Vec<String> {
        let made: Vec<Made> = times
            .iter()
            .rev()
            .map(|text| match text.strip_prefix('!') {
                Some(text) => Made { started: text.parse().unwrap(), trusted: false },
                None => Made { started: text.parse().unwrap(), trusted: true },
            })
            .collect();
        let text = |date: &Date| match date {
            Date::Known(time) => time.to_string(),
            Date::Fits(time) => format!("?{time}"),
            Date::Guessed(time) => format!("~{time}"),
        };
        let mut all: Vec<String> = dates(now.parse().unwrap(), &made).iter().map(text).collect();
        all.reverse();
        all
    }

    #[test]
    fn a_right_clock_is_believed() {
        let times = ["2026-12-01T07:00:00Z", "2026-12-01T21:00:00Z"];
        assert_eq!(dated("2026-12-02T07:00:00Z", &times), times);
        assert_eq!(dated("2026-12-02T07:00:00Z", &[]), [""; 0]);
    }

    #[test]
    fn a_wrong_time_is_replaced_by_one_between_the_neighbours() {
        let times = ["2026-12-01T00:00:00Z", "!1970-01-01T00:00:00Z", "!2099-01-01T00:00:00Z", "2026-12-04T00:00:00Z"];
        let expected =
            ["2026-12-01T00:00:00Z", "~2026-12-02T00:00:00Z", "~2026-12-03T00:00:00Z", "2026-12-04T00:00:00Z"];
        assert_eq!(dated("2026-12-05T00:00:00Z", &times), expected);
    }

    #[test]
    fn a_doubted_time_that_fits_is_taken_as_it_is() {
        let times = ["2026-12-01T00:00:00Z", "!2027-03-01T00:00:00Z", "2027-03-08T00:00:00Z"];
        let expected = ["2026-12-01T00:00:00Z", "?2027-03-01T00:00:00Z", "2027-03-08T00:00:00Z"];
        assert_eq!(dated("2027-03-09T00:00:00Z", &times), expected);
    }

    #[test]
    fn a_time_after_that_of_a_later_backup_is_disproved() {
        let times = ["2026-12-01T00:00:00Z", "2099-01-01T00:00:00Z", "2026-12-03T00:00:00Z"];
        let expected = ["2026-12-01T00:00:00Z", "~2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"];
        assert_eq!(dated("2026-12-04T00:00:00Z", &times), expected);
    }

    #[test]
    fn the_first_backups_of_a_box_without_a_clock_lie_a_day_apart_before_the_first_known_one() {
        let times = ["!1970-01-01T00:00:09Z", "!1970-01-01T00:00:05Z", "2026-12-03T00:00:00Z"];
        let expected = ["~2026-12-01T00:00:00Z", "~2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"];
        assert_eq!(dated("2026-12-04T00:00:00Z", &times), expected);
        assert_eq!(dated("2026-12-04T00:00:00Z", &times[..1]), ["~2026-12-03T00:00:00Z"]);
    }
}
