//! The real program with its clock set by `faketime`: wrong clocks, clocks that jump, summer time.

use serde_json::Value;

use crate::kit::{Box, STICK, Stick};

/// Keeps as little as there is to keep, so that a wrong decision is seen at once.
const ONE_A_DAY: &str = "[retention]\nwithin = \"0s\"\ndaily = 2\nweekly = 0\nmonthly = 0";

fn id(report: &Value) -> String {
    report["id"].as_str().unwrap().to_owned()
}

/// What `prune` would do: each id with whether it stays.
fn fates(site: &Box, time: &str) -> Vec<(String, bool)> {
    let report = site.run_at(time, &["prune", "--dry-run", "--json"]).exits(0).json();
    let backups = report["backups"].as_array().unwrap();
    backups.iter().map(|backup| (id(backup), backup["keep"].as_bool().unwrap())).collect()
}

#[test]
fn at_1970_and_2099_and_back_ids_rise_nothing_is_pruned_and_everybody_is_told() {
    let site = Box::new();
    site.configure("", ONE_A_DAY);
    let mut ids = vec![id(&site.backup_at("2027-06-29T07:00:00Z")), id(&site.backup_at("2027-06-30T07:00:00Z"))];
    for (time, why) in [
        ("1970-01-01T00:00:20Z", "before this program was made"),
        ("2099-01-01T00:00:00Z", "more than 31 days ahead"),
        ("2026-12-01T00:00:00Z", "before the newest backup"),
        ("2099-01-02T00:00:00Z", "more than 31 days ahead"),
        ("1970-01-01T00:00:10Z", "before this program was made"),
    ] {
        let ran = site.run_at(time, &["backup", "--json"]).exits(0);
        let report = ran.json();
        assert!(ran.err.contains(why) && ran.err.contains("nothing is pruned"), "{time}: {}", ran.err);
        assert!(report["warnings"][0].as_str().unwrap().contains(why), "{time}: {report}");
        assert_eq!(report["removed"], serde_json::json!([]));
        ids.push(id(&report));
        assert_eq!(site.manifest(ids.last().unwrap())["clock_trusted"], false);

        let status = site.run_at(time, &["status"]).exits(0).out;
        assert!(status.contains("Clock: ") && status.contains(why), "{status}");
        let pruned = site.run_at(time, &["prune"]).exits(0).out;
        assert!(pruned.contains("nothing is pruned now") && pruned.contains(why), "{pruned}");
        assert_eq!(site.ids(), ids, "{time}: in the order of their making, and all there");
    }

    // The clock is right again: at once, in spite of what was made in 2099.
    let ran = site.run_at("2027-06-30T21:00:00Z", &["backup", "--json"]).exits(0);
    assert!(!ran.err.contains("clock"), "{}", ran.err);
    let last = id(&ran.json());
    assert!(last > *ids.last().unwrap());
    assert_eq!(site.manifest(&last)["clock_trusted"], true);
    let status = site.run_at("2027-06-30T21:10:00Z", &["status", "--json"]).exits(0).json();
    assert_eq!((&status["clock"], &status["newest"]["id"]), (&"plausible".into(), &last.clone().into()));
    assert!((0..3600).contains(&status["age_seconds"].as_i64().unwrap()), "{status}");
    // Two days with a date stay with their newest; those without one are thinned among themselves.
    let left = site.ids();
    assert!(left.contains(&last) && left.contains(&ids[0]) && !left.contains(&ids[1]), "{left:?}");
    site.run(&["check"]).exits(0);
}

#[test]
fn a_shop_that_was_closed_all_winter_is_told_for_a_week_and_then_believed() {
    let site = Box::new();
    site.configure("", ONE_A_DAY);
    site.backup_at("2026-12-01T07:00:00Z");
    for day in 1..=7 {
        let report = site.backup_at(&format!("2027-03-{day:02}T07:00:00Z"));
        assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
    }
    assert_eq!(site.ids().len(), 8);
    let report = site.backup_at("2027-03-08T07:30:00Z");
    assert_eq!(report["warnings"], serde_json::json!([]));
    assert_eq!(report["removed"].as_array().unwrap().len(), 5, "{report}");
    // One a day for two days, of those whose clock was believed and of those whose clock was not.
    let days: Vec<String> = site.ids().iter().map(|id| id[..8].to_owned()).collect();
    assert_eq!(days, ["20261201", "20270306", "20270307", "20270308"]);
}

#[test]
fn a_box_whose_first_backups_were_made_in_1970_keeps_them_until_it_has_others() {
    let site = Box::new();
    site.configure("", ONE_A_DAY);
    for _ in 0..3 {
        site.backup_at("1970-01-01T00:00:30Z");
    }
    assert_eq!(site.ids(), ["19700101T000030Z", "19700101T000031Z", "19700101T000032Z"]);
    site.backup_at("2027-06-30T07:00:00Z");
    // Taken for the two days before: one a day, as with a clock.
    assert_eq!(site.ids(), ["19700101T000031Z", "19700101T000032Z", "20270630T070000Z"]);
}

#[test]
fn at_the_end_of_summer_time_a_day_has_25_hours_and_its_doubled_hour_counts_twice() {
    let site = Box::new();
    site.configure("", "[retention]\nkeep_last = \"all\"");
    // In Berlin: 23:30 on Saturday; on Sunday 00:30, twice 02:30, 23:30.
    for time in ["30T21:30", "30T22:30", "31T00:30", "31T01:30", "31T22:30"] {
        site.backup_at(&format!("2027-10-{time}:00Z"));
    }
    let keeps = |rule: &str| -> Vec<bool> {
        let others = ["hourly", "daily"].iter().filter(|key| !rule.starts_with(**key));
        let others: String = others.map(|key| format!("{key} = 0\n")).collect();
        site.configure("", &format!("[retention]\nwithin = \"0s\"\nweekly = 0\nmonthly = 0\n{others}{rule}"));
        fates(&site, "2027-10-31T23:00:00Z").into_iter().map(|(_, keep)| keep).collect()
    };
    assert_eq!(keeps("daily = \"all\""), [true, false, false, false, true]);
    assert_eq!(keeps("hourly = 3"), [true, true, true, false, false]);
}

#[test]
fn a_month_of_backups_twice_a_day_is_pruned_by_itself_as_the_product_says() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    for day in 14..=30 {
        for hour in ["07", "21"] {
            site.backup_at(&format!("2027-06-{day:02}T{hour}:00:00Z"));
        }
        if day == 14 {
            site.run_at("2027-06-14T21:30:00Z", &["backup", "--stick", stick.text()]).exits(0);
        }
    }
    let day = |id: &String| id[6..11].to_owned();
    let kept: Vec<String> = site.ids().iter().map(day).collect();
    // The copied one; the last of two weeks; six days; and all of the last 24 hours.
    assert_eq!(kept, ["14T21", "20T21", "24T21", "25T21", "26T21", "27T21", "28T21", "29T21", "30T07", "30T21"]);
    let status = site.run_at("2027-06-30T22:00:00Z", &["status", "--json"]).json();
    // The clock goes on, so that its seconds may have moved.
    assert!(status["newest_copied"].as_str().unwrap().starts_with("20270614T2130"), "{status}");
}
