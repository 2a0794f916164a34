//! A cycle of the agent, with guests of the test in the place of sticks: those take a kernel of their own.

use std::fs;
use std::sync::Mutex;

use tillstick::config;
use tillstick::job::Site;
use tillstick::job::cycle::{self, Guests};
use tillstick::job::plugged::{Copied, Target};
use tillstick::model::{BackupId, Cancel, Event};

use crate::kit::Box;

/// Remembers which backup the sticks were to get, and brings none.
#[derive(Default)]
struct NoSticks(Mutex<Option<BackupId>>);

impl Guests for NoSticks {
    fn newest(&self) -> Option<BackupId> {
        None
    }

    fn take(&self, id: &BackupId) -> Vec<(String, Target)> {
        *self.0.lock().unwrap() = Some(id.clone());
        Vec::new()
    }

    fn progress(&self, _: Option<&str>, _: Event) {}

    fn copied(&self, _: &str, _: Copied, _: bool) {}
}

#[test]
fn without_its_database_a_box_gives_its_sticks_the_newest_backup_of_its_own_that_is_whole_and_was_found_good() {
    let site = Box::new();
    for _ in 0..4 {
        site.run(&["backup"]).exits(0);
    }
    let ids = site.ids();
    // The newest is another box's, the one before lacks its artifact, a check found the third one damaged.
    let manifest = site.primary().join(&ids[3]).join("manifest.json");
    let own = site.manifest(&ids[3])["box_id"].as_str().unwrap().to_owned();
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace(&own, &"f".repeat(32))).unwrap();
    site.seal(&ids[3]);
    fs::remove_file(site.artifact(&ids[2])).unwrap();
    let mut bytes = fs::read(site.artifact(&ids[1])).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(site.artifact(&ids[1]), bytes).unwrap();
    site.run(&["check"]).exits(1);
    fs::remove_file(site.database()).unwrap();

    let guests = NoSticks::default();
    let config = config::load(&site.config()).unwrap().config;
    let outcome = cycle::run(&Site::open(config).unwrap(), &guests, &Cancel::default()).unwrap();
    assert!(outcome.report.is_none() && outcome.failure.is_some());
    assert_eq!(guests.0.into_inner().unwrap().unwrap().as_str(), ids[0]);
}
