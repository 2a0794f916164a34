//! Pulls the stick out after every single write, and with the writes since the last flush in another order and in part,
//! and looks at what a person, a file system check and the next run find.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

mod disk;
mod foreign;
mod look;
#[path = "../stick_kit/mod.rs"]
mod stick_kit;
mod world;
mod yank;

use disk::{Disk, Image};
use world::{Checked, Story, World};

/// Looks at every state, as it is and after a file system check.
fn pull_everywhere(story: &Story) {
    let world = World::new(story);
    let mut image = Image::new();
    let mut look = |what: &str, disk: &Disk| {
        let after = world.survives(disk, Checked::No, what);
        if !what.contains("lot") {
            let said = image.complaints(&after);
            for line in said.lines() {
                eprintln!("SAID {line}");
            }
        }
        world.survives(&image.mended(disk), Checked::ByFsck, &format!("{what}, checked by fsck.fat"));
    };
    let t = std::time::Instant::now();
    let prefixes = yank::every_prefix(&world.start, &world.steps, &mut look);
    let n: usize = std::env::var("N").map_or(40, |n| n.parse().unwrap());
    let e1 = t.elapsed();
    let orders = yank::reordered(&world.start, &world.steps, n, 1, &mut look);
    eprintln!("{prefixes} prefixes {e1:?} and {orders} reorderings {:?}", t.elapsed());
}

#[test]
fn a_stick_pulled_at_any_write_of_its_first_backup_has_no_half_one() {
    pull_everywhere(&Story { gaps: Some(90), keep: 9, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_of_a_repeat_loses_nothing() {
    pull_everywhere(&Story { gaps: Some(120), earlier: 2, keep: 9, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_when_an_old_backup_is_one_too_many() {
    pull_everywhere(&Story { earlier: 2, keep: 2, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_when_an_old_backup_makes_room() {
    pull_everywhere(&Story { earlier: 3, keep: 9, gaps: Some(64), tight: true, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_of_a_split_backup_loses_nothing() {
    pull_everywhere(&Story { earlier: 2, keep: 2, gaps: Some(120), split: true, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_of_another_boxs_either() {
    pull_everywhere(&Story { earlier: 2, others: 2, gaps: Some(140), keep: 2, ..Story::default() });
}
