//! What stays whatever the rules: the newest, what is good, what is not ours, and all of it while something is doubtful.

use tillstick::policy::clock::Clock;
use tillstick::policy::retention::{Decision, Fate, Rules, Situation, decide};
use tillstick::policy::rows::Fell;

use super::{NONE, at, candidates, situation, table, table_in};

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
