//! When backups are made by themselves: due times in the box's time zone, what was missed, and what was served already.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::clock::Clock;

/// The rule, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// At these times of every day.
    At(Vec<Time>),
    /// Every so often, so that one falls on this time of day.
    Every {
        /// From one minute to seven days.
        every: Duration,
        /// The time of day.
        origin: Time,
    },
}

/// The day from which intervals are counted: a Monday, so that a weekly run falls on Mondays.
const EPOCH: Date = jiff::civil::date(2001, 1, 1);

/// Shorter intervals are counted in elapsed time, so that none is left out when clocks go back an hour; longer ones in
/// the time of the wall clock, so that they fall on the same times of day all year.
const BY_WALL_FROM: Duration = Duration::from_secs(3600);

/// A clock that was never set says nothing about due times: then a run is made once the box has been up for so long
/// (time servers are usually reached before), and after each interval again.
const BLIND_FIRST: Duration = Duration::from_secs(600);
const BLIND_EVERY: Duration = Duration::from_secs(12 * 3600);

/// So many served due times are remembered.
pub const SERVED_MAX: usize = 32;

/// What the decision depends on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// What is thought of it.
    pub clock: Clock,
    /// Due times for which a run was made, in no order; also those of a clock that was wrong.
    pub served: &'a [Timestamp],
    /// When the newest backup was begun.
    pub newest: Option<Timestamp>,
    /// How long the box has been up.
    pub uptime: Duration,
    /// At what uptime the last run without a clock was made.
    pub blind_run: Option<Duration>,
}

/// Whether a run is made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, for this due time.
    Run {
        /// The latest one that has passed; earlier ones that were missed are made good by the same run.
        due: Timestamp,
        /// Whether it comes late because the box was off or the clock was wrong.
        late: bool,
    },
    /// Yes, although nobody knows what time it is.
    RunBlind,
    /// No: at this moment, or when the clock is set.
    SleepUntil(Timestamp),
    /// No: the clock was never set; after so much more uptime, or when it is set.
    SleepBlind(Duration),
}

/// A run that begins later than this after its due time is told as a late one.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// Decides whether a run is to be made.
pub fn decide(rule: &Rule, zone: &TimeZone, facts: &Facts) -> Decision {
    if facts.clock == Clock::BeforeRelease {
        return blind(facts);
    }
    let next = upcoming(rule, zone, facts.now).next().unwrap_or(Timestamp::MAX);
    let Some(due) = around(rule, zone, facts.now).into_iter().rfind(|due| *due <= facts.now) else {
        return Decision::SleepUntil(next);
    };
    // Not again for a due time, whatever the clock did meanwhile; nor for an earlier one when the rule has changed.
    let served = facts.served.iter().any(|served| *served == due || (*served > due && *served <= facts.now));
    let made = facts.newest.is_some_and(|newest| newest >= due && newest <= facts.now);
    if served || made {
        return Decision::SleepUntil(next);
    }
    Decision::Run { due, late: facts.now.duration_since(due) > LATE }
}

fn blind(facts: &Facts) -> Decision {
    let due = facts.blind_run.map_or(BLIND_FIRST, |last| last + BLIND_EVERY);
    match due.checked_sub(facts.uptime).filter(|left| !left.is_zero()) {
        Some(left) => Decision::SleepBlind(left),
        None => Decision::RunBlind,
    }
}

/// The due times after `after`, one after the other.
pub fn upcoming(rule: &Rule, zone: &TimeZone, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    let mut last = after;
    std::iter::from_fn(move || {
        last = around(rule, zone, last).into_iter().find(|due| *due > last)?;
        Some(last)
    })
}

/// Some due times before and after a moment, ascending.
fn around(rule: &Rule, zone: &TimeZone, moment: Timestamp) -> Vec<Timestamp> {
    let local = zone.to_datetime(moment);
    let mut due: Vec<Timestamp> = match rule {
        Rule::At(times) => {
            // Two days each way: a zone may leave out a whole day.
            let days = (-2..=2).filter_map(|days| local.date().checked_add(days.days()).ok());
            days.flat_map(|day| times.iter().map(move |time| day.to_datetime(*time)))
                .filter_map(|civil| moment_of(zone, civil))
                .collect()
        }
        Rule::Every { every, origin } => {
            let first = EPOCH.to_datetime(*origin);
            let every = SignedDuration::try_from(*every).unwrap_or(SignedDuration::MAX);
            if every.unsigned_abs() < BY_WALL_FROM {
                let Some(first) = moment_of(zone, first) else { return Vec::new() };
                counted(moment.duration_since(first), every).filter_map(|step| first.checked_add(step).ok()).collect()
            } else {
                let steps = counted(local.duration_since(first), every);
                steps.filter_map(|step| moment_of(zone, first.checked_add(step).ok()?)).collect()
            }
        }
    };
    due.sort_unstable();
    due.dedup();
    due
}

/// The multiples of `every` around `since`.
fn counted(since: SignedDuration, every: SignedDuration) -> impl Iterator<Item = SignedDuration> {
    let seconds = every.as_secs().max(1);
    let number = since.as_secs().div_euclid(seconds);
    (-3..=3).map(move |step| SignedDuration::from_secs((number + step).saturating_mul(seconds)))
}

/// A time that the clock leaves out in spring is taken as later by what is left out; of one that comes twice in
/// autumn the first counts.
fn moment_of(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap()
    }

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn twice_daily() -> Rule {
        Rule::At(vec![Time::constant(7, 0, 0, 0), Time::constant(21, 0, 0, 0)])
    }

    fn every(hours: u64, origin: Time) -> Rule {
        Rule::Every { every: Duration::from_secs(hours * 3600), origin }
    }

    fn facts<'a>(now: &str, served: &'a [Timestamp]) -> Facts<'a> {
        Facts {
            now: ts(now),
            clock: Clock::Plausible,
            served,
            newest: None,
            uptime: Duration::from_secs(60),
            blind_run: None,
        }
    }

    fn next(rule: &Rule, after: &str, count: usize) -> Vec<String> {
        upcoming(rule, &berlin(), ts(after)).take(count).map(|due| due.to_string()).collect()
    }

    #[test]
    fn times_of_day_stay_the_same_on_the_wall_when_clocks_change() {
        for (after, due) in [
            ("2026-11-22T05:00:00Z", ["2026-11-22T06:00:00Z", "2026-11-22T20:00:00Z", "2026-11-23T06:00:00Z"]),
            ("2026-11-22T06:00:00Z", ["2026-11-22T20:00:00Z", "2026-11-23T06:00:00Z", "2026-11-23T20:00:00Z"]),
            ("2027-03-27T12:00:00Z", ["2027-03-27T20:00:00Z", "2027-03-28T05:00:00Z", "2027-03-28T19:00:00Z"]),
            ("2027-10-30T12:00:00Z", ["2027-10-30T19:00:00Z", "2027-10-31T06:00:00Z", "2027-10-31T20:00:00Z"]),
        ] {
            assert_eq!(next(&twice_daily(), after, 3), due, "{after}");
        }
    }

    #[test]
    fn a_time_that_is_left_out_in_spring_or_comes_twice_in_autumn_is_one_due_time() {
        let rule = Rule::At(vec![Time::constant(2, 30, 0, 0)]);
        assert_eq!(next(&rule, "2027-03-27T12:00:00Z", 2), ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"]);
        assert_eq!(next(&rule, "2027-10-30T12:00:00Z", 2), ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
    }

    #[test]
    fn an_interval_falls_on_its_origin() {
        let noon = Time::constant(12, 0, 0, 0);
        let six = ["2026-11-22T05:00:00Z", "2026-11-22T11:00:00Z", "2026-11-22T17:00:00Z", "2026-11-22T23:00:00Z"];
        assert_eq!(next(&every(6, noon), "2026-11-22T00:00:00Z", 4), six);
        // In summer the same times of day.
        assert_eq!(next(&every(6, noon), "2027-07-01T08:00:00Z", 1), ["2027-07-01T10:00:00Z"]);
        let weekly = every(7 * 24, Time::constant(3, 0, 0, 0));
        assert_eq!(next(&weekly, "2026-11-22T00:00:00Z", 2), ["2026-11-23T02:00:00Z", "2026-11-30T02:00:00Z"]);
    }

    #[test]
    fn a_short_interval_leaves_out_nothing_when_clocks_go_back() {
        let rule = Rule::Every { every: Duration::from_secs(900), origin: Time::midnight() };
        let due: Vec<_> = upcoming(&rule, &berlin(), ts("2027-10-30T23:00:00Z")).take(16).collect();
        assert!(due.windows(2).all(|pair| pair[1].duration_since(pair[0]) == SignedDuration::from_mins(15)));
    }

    #[test]
    fn a_missed_run_is_made_once_and_not_again_for_the_same_due_time() {
        let served = [ts("2026-11-21T20:00:00Z")];
        // The box was off for two runs: one makes good for both.
        let late = Decision::Run { due: ts("2026-11-22T20:00:00Z"), late: true };
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T04:00:00Z", &served)), late);
        let served = [ts("2026-11-21T20:00:00Z"), ts("2026-11-22T20:00:00Z")];
        let sleep = Decision::SleepUntil(ts("2026-11-23T06:00:00Z"));
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T04:00:00Z", &served)), sleep);
        let now = Decision::Run { due: ts("2026-11-23T06:00:00Z"), late: false };
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T06:00:00Z", &served)), now);
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_while_makes_no_run_twice_and_none_wait_for_ever() {
        // Served, then the clock went to 2099 and was served there, then it came back.
        let served = [ts("2026-11-22T20:00:00Z"), ts("2099-01-01T20:00:00Z")];
        let sleep = Decision::SleepUntil(ts("2026-11-23T06:00:00Z"));
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-22T20:00:01Z", &served)), sleep);
        let run = Decision::Run { due: ts("2026-11-23T06:00:00Z"), late: false };
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T06:00:00Z", &served)), run);
        // Set back by an hour over a due time that was served.
        let served = [ts("2026-11-23T06:00:00Z"), ts("2026-11-22T20:00:00Z")];
        let again = Decision::SleepUntil(ts("2026-11-23T06:00:00Z"));
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T05:30:00Z", &served)), again);
        let next = Decision::SleepUntil(ts("2026-11-23T20:00:00Z"));
        assert_eq!(decide(&twice_daily(), &berlin(), &facts("2026-11-23T06:00:00Z", &served)), next);
    }

    #[test]
    fn a_backup_that_somebody_made_after_the_due_time_serves_it() {
        let made = Facts { newest: Some(ts("2026-11-23T06:05:00Z")), ..facts("2026-11-23T08:00:00Z", &[]) };
        assert_eq!(decide(&twice_daily(), &berlin(), &made), Decision::SleepUntil(ts("2026-11-23T20:00:00Z")));
        let before = Facts { newest: Some(ts("2026-11-23T05:55:00Z")), ..made };
        assert!(matches!(decide(&twice_daily(), &berlin(), &before), Decision::Run { late: true, .. }));
    }

    #[test]
    fn when_the_rule_changes_an_earlier_time_of_the_day_is_not_made_good() {
        let served = [ts("2026-11-23T06:00:00Z")];
        let earlier = Rule::At(vec![Time::constant(6, 30, 0, 0)]);
        let sleep = Decision::SleepUntil(ts("2026-11-24T05:30:00Z"));
        assert_eq!(decide(&earlier, &berlin(), &facts("2026-11-23T08:00:00Z", &served)), sleep);
    }

    #[test]
    fn a_box_that_wakes_up_in_1970_waits_for_a_clock_and_then_does_without() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (uptime, blind_run, expected) in [
            (minutes(1), None, Decision::SleepBlind(minutes(9))),
            (minutes(10), None, Decision::RunBlind),
            (minutes(11), Some(minutes(10)), Decision::SleepBlind(minutes(12 * 60 - 1))),
            (minutes(10 + 12 * 60), Some(minutes(10)), Decision::RunBlind),
        ] {
            let clock = Clock::BeforeRelease;
            let facts = Facts { uptime, blind_run, clock, ..facts("1970-01-01T00:10:00Z", &[]) };
            assert_eq!(decide(&twice_daily(), &berlin(), &facts), expected, "{uptime:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn due_times_ascend_and_each_is_the_next_of_the_one_before(second in 0_i64..4_102_444_800, hours in 1_u64..=168) {
            let start = Timestamp::from_second(second).unwrap();
            for rule in [twice_daily(), every(hours, Time::constant(4, 30, 0, 0))] {
                let due: Vec<_> = upcoming(&rule, &berlin(), start).take(4).collect();
                assert_eq!(due.len(), 4);
                assert!(due[0] > start && due.windows(2).all(|pair| pair[1] > pair[0]), "{due:?}");
                // Asked a moment before, the same one is next.
                let before = due[1] - SignedDuration::from_secs(1);
                assert_eq!(upcoming(&rule, &berlin(), before).next(), Some(due[1]));
            }
        }
    }
}
