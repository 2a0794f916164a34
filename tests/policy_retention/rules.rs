//! What each rule keeps.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tillstick::model::BackupId;
use tillstick::policy::clock::Made;
use tillstick::policy::retention::{ALL, Candidate, Fate, Origin, Rules, Situation, decide};

use super::{NONE, at, candidates, situation, table, table_in};

#[test]
fn rules_that_keep_nothing_are_a_mistake_and_never_an_order_to_delete_everything() {
    let backups = candidates(&["2027-06-30 21:00", "2027-06-30 07:00"]);
    for rules in [NONE, Rules { within: Duration::from_secs(3600), ..NONE }, Rules { within_max: 20, ..NONE }] {
        let error = decide(&backups, &rules, &situation("2027-06-30 22:00")).unwrap_err();
        assert_eq!(error.kind(), tillstick::error::Kind::Config);
        assert!(error.report().contains("keep_last = 1"), "{}", error.report());
    }
}

#[test]
fn without_backups_nothing_is_decided_and_a_single_one_stays() {
    let rules = Rules::newest(1);
    assert_eq!(decide(&[], &rules, &situation("2027-06-30 22:00")).unwrap(), []);
    table(&rules, "2027-06-30 22:00", &["2027-06-30 21:00 => newest + last"]);
    table(&Rules { yearly: 1, ..NONE }, "2037-06-30 22:00", &["2027-06-30 21:00 => newest + year 1"]);
}

#[test]
fn the_default_keeps_a_day_whole_then_a_week_of_days_a_month_of_weeks_and_months_without_end() {
    table(
        &Rules::default(),
        "2027-06-30 22:00", // a Wednesday
        &[
            "2027-06-30 21:00 => newest + within + day 1 + week 1 + month 1",
            "2027-06-30 07:00 => within",
            "2027-06-29 22:00 => within + day 2",
            "2027-06-29 21:59 => goes, 2027-06",
            "2027-06-28 21:00 => day 3",
            "2027-06-28 07:00 => goes, 2027-06",
            "2027-06-27 21:00 => day 4 + week 2",
            "2027-06-26 21:00 => day 5",
            "2027-06-25 21:00 => day 6",
            "2027-06-24 21:00 => day 7",
            "2027-06-23 21:00 => goes, 2027-06",
            "2027-06-20 21:00 => week 3",
            "2027-06-13 21:00 => week 4",
            "2027-06-06 21:00 => goes, 2027-06",
            "2027-05-31 21:00 => month 2",
            "2027-05-30 21:00 => goes, 2027-05",
            "2027-04-02 21:00 => month 3",
            "2026-12-24 21:00 => month 4",
        ],
    );
}

#[test]
fn of_the_last_24_hours_no_more_than_the_20_newest_stay() {
    let begin = at("2027-06-30 00:00");
    let times: Vec<Timestamp> = (0..30).map(|half| begin + SignedDuration::from_mins(30 * half)).collect();
    let backups: Vec<Candidate> = times
        .iter()
        .map(|time| Candidate {
            id: BackupId::next(*time, None),
            origin: Origin::Own(Made { started: *time, trusted: true }),
            whole: true,
            copied: false,
        })
        .collect();
    let decisions = decide(&backups, &Rules::default(), &situation("2027-06-30 15:00")).unwrap();
    let kept: Vec<bool> = decisions.iter().map(|decision| matches!(decision.fate, Fate::Keep(_))).collect();
    assert_eq!(kept, [vec![true; 20], vec![false; 10]].concat());
}

#[test]
fn keep_last_counts_backups_however_old_they_are() {
    table(
        &Rules::newest(3),
        "2037-01-01 00:00",
        &[
            "2027-06-30 21:00 => newest + last",
            "2027-06-30 20:59 => last",
            "2020-01-01 00:00 => last",
            "2019-01-01 00:00 => goes, beyond",
        ],
    );
    table(&Rules::newest(ALL), "2037-01-01 00:00", &["2027-06-30 21:00 => newest + last", "2019-01-01 00:00 => last"]);
}

#[test]
fn within_ends_at_its_very_second() {
    let rules = Rules { within: Duration::from_secs(3600), within_max: ALL, ..NONE };
    table(
        &rules,
        "2027-06-30 22:00",
        &["2027-06-30 22:00 => newest + within", "2027-06-30 21:00 => within", "2027-06-30 20:59:59 => goes, beyond"],
    );
}

#[test]
fn each_period_keeps_its_newest() {
    let lines = |kept: [&str; 8]| {
        let times = [
            "2027-01-01 09:30",
            "2027-01-01 09:00",
            "2027-01-01 08:59",
            "2026-12-31 23:59",
            "2026-12-28 00:00",
            "2026-12-27 23:59",
            "2026-12-01 12:00",
            "2026-11-30 12:00",
        ];
        times.into_iter().zip(kept).map(|(time, fate)| format!("{time} => {fate}")).collect::<Vec<_>>()
    };
    let (year, month) = ("goes, 2026", "goes, 2026-12");
    let week = "goes, the week from 2026-12-28";
    let day = "goes, 2027-01-01";
    for (rules, kept) in [
        (
            Rules { hourly: ALL, ..NONE },
            [
                "newest + hour 1",
                "goes, 2027-01-01 09:00 (UTC+01)",
                "hour 2",
                "hour 3",
                "hour 4",
                "hour 5",
                "hour 6",
                "hour 7",
            ],
        ),
        (Rules { daily: ALL, ..NONE }, ["newest + day 1", day, day, "day 2", "day 3", "day 4", "day 5", "day 6"]),
        (
            Rules { weekly: 2, ..NONE },
            ["newest + week 1", week, week, week, week, "week 2", "goes, beyond", "goes, beyond"],
        ),
        (
            Rules { monthly: 2, ..NONE },
            ["newest + month 1", "goes, 2027-01", "goes, 2027-01", "month 2", month, month, month, "goes, beyond"],
        ),
        (
            Rules { yearly: ALL, ..NONE },
            ["newest + year 1", "goes, 2027", "goes, 2027", "year 2", year, year, year, year],
        ),
    ] {
        let lines = lines(kept);
        table(&rules, "2027-01-01 10:00", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn a_week_begins_on_monday_in_the_shop_s_own_time() {
    // Sunday 23:30 in Berlin and Monday 00:30, both Sunday in UTC.
    table(
        &Rules { weekly: 2, ..NONE },
        "2027-06-28 12:00",
        &["2027-06-27 22:30Z => newest + week 1", "2027-06-27 21:30Z => week 2"],
    );
    let utc = Situation { zone: TimeZone::UTC, ..situation("2027-06-28 12:00") };
    let lines = ["2027-06-27 22:30Z => newest + week 1", "2027-06-27 21:30Z => goes, the week from 2027-06-21"];
    table_in(&Rules { weekly: 2, ..NONE }, &utc, &lines);
}

#[test]
fn periods_without_a_backup_do_not_count_so_a_closed_shop_loses_nothing() {
    table(
        &Rules { daily: 3, monthly: 2, ..NONE },
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 => newest + day 1 + month 1",
            "2027-03-03 21:00 => day 2 + month 2",
            "2027-03-01 21:00 => day 3",
            "2027-02-01 21:00 => goes, beyond",
        ],
    );
}

#[test]
fn when_summer_time_ends_the_hour_that_comes_twice_is_two_and_the_day_is_one() {
    let rules = Rules { hourly: 4, daily: 2, ..NONE };
    table(
        &rules,
        "2027-10-31 12:00",
        &[
            "2027-10-31 02:10Z => newest + hour 1 + day 1", // 03:10 in winter time
            "2027-10-31 01:30Z => hour 2",                  // 02:30, the second time
            "2027-10-31 00:30Z => hour 3",                  // 02:30, the first time
            "2027-10-30 23:30Z => hour 4",                  // 01:30 in summer time
            "2027-10-30 22:30Z => goes, 2027-10-31",        // 00:30
            "2027-10-30 21:30Z => day 2",                   // 23:30 of the day before
        ],
    );
}

#[test]
fn when_summer_time_begins_the_hour_that_is_left_out_is_none_and_the_day_is_one() {
    table(
        &Rules { hourly: 2, daily: 2, ..NONE },
        "2027-03-28 12:00",
        &[
            "2027-03-28 01:30Z => newest + hour 1 + day 1", // 03:30 in summer time
            "2027-03-28 00:59Z => hour 2",                  // 01:59 in winter time
            "2027-03-27 23:00Z => goes, 2027-03-28",        // midnight
            "2027-03-27 22:59Z => day 2",
        ],
    );
}

#[test]
fn reasons_add_up() {
    table(
        &Rules {
            keep_last: 1,
            within: Duration::from_secs(60),
            within_max: 1,
            hourly: 1,
            daily: 1,
            weekly: 1,
            monthly: 1,
            yearly: 1,
        },
        "2027-06-30 21:00",
        &[
            "2027-06-30 21:00 copied => newest + newest copied + last + within + hour 1 + day 1 + week 1 + month 1 + year 1",
        ],
    );
}
