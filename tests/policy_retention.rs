//! Which backups a clean-up keeps and why, as tables: one line for each backup, with what becomes of it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tillstick::model::BackupId;
use tillstick::policy::clock::{Clock, Made};
use tillstick::policy::retention::{ALL, Candidate, Decision, Delete, Fate, Keep, Origin, Rules, Situation, decide};
use tillstick::policy::rows::Fell;

const NONE: Rules = Rules {
    keep_last: 0,
    within: Duration::ZERO,
    within_max: 0,
    hourly: 0,
    daily: 0,
    weekly: 0,
    monthly: 0,
    yearly: 0,
};

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// A time on the wall in Berlin, or in UTC with a `Z`.
fn at(text: &str) -> Timestamp {
    let text = text.trim();
    match text.strip_suffix('Z') {
        Some(utc) => utc.parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp(),
        None => text.parse::<DateTime>().unwrap().to_zoned(berlin()).unwrap().timestamp(),
    }
}

/// A line `<time> [broken|copied|foreign|unreadable|doubted]... => <fate>`; lines stand newest first, as a list shows them.
fn candidates(lines: &[&str]) -> Vec<Candidate> {
    let mut newest: Option<BackupId> = None;
    let mut all: Vec<Candidate> = Vec::new();
    for line in lines.iter().rev() {
        let (words, _) = line.split_once("=>").unwrap_or((line, ""));
        let (time, flags) = words.split_at(words.find(|c: char| c.is_ascii_lowercase()).unwrap_or(words.len()));
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let id = BackupId::next(at(time), newest.as_ref());
        let origin = match () {
            () if has("foreign") => Origin::Foreign,
            () if has("unreadable") => Origin::Unreadable,
            () => Origin::Own(Made { started: at(time), trusted: !has("doubted") }),
        };
        newest = Some(id.clone());
        all.push(Candidate { id, origin, whole: !has("broken"), copied: has("copied") });
    }
    all.reverse();
    all
}

fn situation(now: &str) -> Situation {
    Situation { now: at(now), clock: Clock::Plausible, zone: berlin(), fell: None }
}

/// What a table says of a fate. Of the three that always stay only `newest` is said where they are one.
fn words(decision: &Decision) -> String {
    match &decision.fate {
        Fate::Delete(Delete::Beyond) => "goes, beyond".into(),
        Fate::Delete(Delete::Surpassed { span, .. }) => format!("goes, {span}"),
        Fate::Keep(reasons) => {
            let newest = reasons.contains(&Keep::Newest);
            let said = reasons.iter().filter(|reason| !(newest && **reason == Keep::NewestWhole));
            said.map(word).collect::<Vec<_>>().join(" + ")
        }
    }
}

fn word(reason: &Keep) -> String {
    match reason {
        Keep::Suspended(_) => "suspended".into(),
        Keep::Unreadable => "unreadable".into(),
        Keep::Foreign => "foreign".into(),
        Keep::Newest => "newest".into(),
        Keep::NewestWhole => "newest whole".into(),
        Keep::NewestCopied => "newest copied".into(),
        Keep::Last(_) => "last".into(),
        Keep::Within(_) => "within".into(),
        Keep::Of { period, nth, .. } => format!("{period} {nth}"),
    }
}

/// Decides and compares line by line.
#[track_caller]
fn table(rules: &Rules, now: &str, lines: &[&str]) {
    table_in(rules, &situation(now), lines);
}

#[track_caller]
fn table_in(rules: &Rules, situation: &Situation, lines: &[&str]) {
    let decisions = decide(&candidates(lines), rules, situation).unwrap();
    let line = |(line, decision): (&&str, &Decision)| {
        let (words_of, _) = line.split_once("=>").unwrap();
        format!("{}=> {}", words_of, words(decision))
    };
    let got: Vec<String> = lines.iter().zip(&decisions).map(line).collect();
    assert_eq!(got, lines, "\n{}", got.join("\n"));
}

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

#[test]
fn the_newest_and_the_newest_whole_one_always_stay() {
    table(
        &Rules { daily: 1, ..NONE },
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 broken => newest + day 1",
            "2027-06-30 20:00 broken => goes, 2027-06-30",
            "2027-06-28 20:00 => newest whole + day 1",
            "2027-06-27 20:00 => goes, beyond",
        ],
    );
    table(
        &Rules::newest(1),
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 broken => newest + last",
            "2027-06-30 20:00 broken => last",
            "2027-06-28 20:00 => newest whole + last",
            "2027-06-27 20:00 => goes, beyond",
            "2027-06-26 20:00 broken => goes, beyond",
        ],
    );
}

#[test]
fn the_newest_that_is_elsewhere_too_stays_and_a_broken_one_does_not_count_as_such() {
    table(
        &Rules::newest(1),
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 => newest + last",
            "2027-06-29 21:00 broken copied => goes, beyond",
            "2027-06-28 21:00 copied => newest copied",
            "2027-06-27 21:00 copied => goes, beyond",
        ],
    );
}

#[test]
fn a_broken_one_displaces_no_whole_one() {
    table(
        &Rules { daily: 2, ..NONE },
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 => newest + day 1",
            "2027-06-29 21:00 broken => day 1",
            "2027-06-29 07:00 => day 2",
            "2027-06-28 21:00 broken => day 2",
            "2027-06-27 21:00 broken => goes, beyond",
        ],
    );
}

#[test]
fn another_box_s_and_unreadable_ones_stay_and_count_for_nothing() {
    table(
        &Rules::newest(1),
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 unreadable => unreadable",
            "2027-06-30 20:00 foreign => foreign",
            "2027-06-30 19:00 => newest + last",
            "2027-06-30 18:00 => goes, beyond",
            "2027-06-30 17:00 foreign => foreign",
            "2019-06-30 16:00 unreadable => unreadable",
        ],
    );
}

#[test]
fn by_a_clock_that_is_not_plausible_nothing_goes_unless_no_rule_asks_it() {
    for clock in [Clock::BeforeRelease, Clock::BeforeNewest, Clock::FarAhead] {
        let doubted = Situation { clock, ..situation("1970-01-01 01:00") };
        let lines =
            ["2027-06-30 21:00 => suspended", "2027-06-30 07:00 => suspended", "2020-01-01 00:00 foreign => foreign"];
        table_in(&Rules::default(), &doubted, &lines);
        table_in(&Rules { keep_last: 1, yearly: 1, ..NONE }, &doubted, &lines);
        let by_count = ["2027-06-30 21:00 => newest + last", "2027-06-30 07:00 => goes, beyond"];
        table_in(&Rules::newest(1), &doubted, &by_count);
    }
}

#[test]
fn while_rows_are_missing_nothing_goes_whatever_the_rules() {
    let fell = Fell { source: "kasse".parse().unwrap(), before: "20270630T050000Z".parse().unwrap(), was: 1000, is: 3 };
    let fallen = Situation { fell: Some(fell), ..situation("2027-06-30 22:00") };
    for rules in [Rules::default(), Rules::newest(1)] {
        let lines = ["2027-06-30 21:00 => suspended", "2027-06-30 07:00 => suspended", "2019-01-01 00:00 => suspended"];
        table_in(&rules, &fallen, &lines);
    }
}

#[test]
fn backups_made_by_a_wrong_clock_are_dated_by_their_neighbours_and_displace_none_with_a_date() {
    table(
        &Rules { daily: 2, ..NONE },
        "2027-06-30 22:00",
        &[
            "2027-06-30 21:00 => newest + day 1",
            "2099-01-01 12:00 doubted => day 1", // taken for the 30th, 07:40
            "1970-01-01 00:00 doubted => day 2", // taken for the 29th, 18:20
            "1970-01-01 00:00 doubted => goes, 2027-06-29",
            "2027-06-28 21:00 => day 2",
            "2027-06-27 21:00 => goes, beyond",
        ],
    );
}

/// What fits today may not fit once its neighbours are gone; then the one it displaced would be missing.
#[test]
fn a_backup_whose_clock_was_doubted_displaces_none_whose_clock_was_believed() {
    table(
        &Rules { monthly: 2, ..NONE },
        "2027-04-08 22:00",
        &[
            "2027-04-08 21:00 => newest + month 1",
            "2027-03-31 07:00 doubted => month 1",
            "2027-03-30 21:00 => month 2",
            "2027-03-29 21:00 doubted => goes, 2027-03",
        ],
    );
}

#[test]
fn a_box_that_never_had_a_clock_keeps_as_many_as_it_would_with_one() {
    table(
        &Rules { daily: 2, weekly: 2, ..NONE },
        "2027-06-30 22:00", // each is taken for a day: the 29th, 28th, 27th ...
        &[
            "1970-01-01 00:30 doubted => newest + day 1 + week 1",
            "1970-01-01 00:10 doubted => day 2",
            "1970-01-01 00:20 doubted => week 2",
            "1970-01-01 00:05 doubted => goes, the week from 2027-06-21",
        ],
    );
}

#[test]
fn a_time_in_the_future_is_not_taken_at_its_word() {
    let decisions = decide(
        &candidates(&["2027-06-30 23:00", "2027-06-28 21:00"]),
        &Rules { daily: 1, ..NONE },
        &situation("2027-06-30 22:00"),
    );
    let date = decisions.unwrap()[0].date.unwrap();
    assert!(!date.is_known() && date.time() < at("2027-06-30 22:00"), "{date:?}");
}

#[test]
fn every_reason_reads_as_a_sentence_a_person_understands() {
    let rules = Rules { keep_last: 2, yearly: 1, ..Rules::default() };
    let lines = [
        "2027-06-30 21:00",
        "2027-06-30 20:00 copied",
        "2027-06-28 20:00",
        "2027-06-28 07:00",
        "2020-06-28 07:00 foreign",
        "2020-06-28 06:00 unreadable",
    ];
    let decisions = decide(&candidates(&lines), &rules, &situation("2027-06-30 22:00")).unwrap();
    let texts = |decision: &Decision| match &decision.fate {
        Fate::Keep(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Fate::Delete(reason) => reason.to_string(),
    };
    let texts: Vec<String> = decisions.iter().map(texts).collect();
    assert_eq!(
        texts,
        [
            "the newest; the newest that is whole; one of the newest 2; no older than 24 hours; \
             the newest of 2027-06-30 (day 1 of 7); the newest of the week from 2027-06-28 (week 1 of 4); \
             the newest of 2027-06 (month 1, all are kept); the newest of 2027 (year 1 of 1)",
            "the newest that is known to be elsewhere too; one of the newest 2; no older than 24 hours",
            "the newest of 2027-06-28 (day 2 of 7)",
            "20270630T190000Z stays for 2027",
            "another box made it",
            "its manifest cannot be read, so nothing is known about it",
        ]
    );
}
