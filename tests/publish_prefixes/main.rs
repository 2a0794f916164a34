//! Pulls the stick out after every single write, and with the writes since the last flush in another order and in part,
//! and looks at what a person, a file system check and the next run find.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

mod disk;
mod foreign;
mod look;
#[path = "../proof/mod.rs"]
mod proof;
#[path = "../stick_kit/mod.rs"]
mod stick_kit;
mod world;
mod yank;

use disk::{Disk, Image, Recorded};
use tillstick::stick::layout::{HOME, NOTE};
use world::{Checked, Story, World};

/// Each story is told with so many reorderings: ten thousand and more in all.
fn reorderings() -> usize {
    proof::cases(8, 1_670) as usize
}

/// Looks at every state, as it is and after a file system check.
fn pull_everywhere(story: &Story) {
    let world = World::new(story);
    let mut image = Image::new();
    let mut look = |what: &str, disk: &Disk| {
        let after = world.survives(disk, Checked::No, what);
        let home = Recorded::new(disk).open().list(HOME).unwrap();
        // The first two steps on a fresh stick come before it has the note of what could be lost.
        if home.iter().any(|entry| NOTE.ends_with(&entry.name)) {
            image.is_sound(&after, what);
        }
        world.survives(&image.mended(disk), Checked::ByFsck, &format!("{what}, checked by fsck.fat"));
    };
    let prefixes = yank::every_prefix(&world.start, &world.steps, &mut look);
    assert!(prefixes > 60, "only {prefixes} writes");
    let orders = yank::reordered(&world.start, &world.steps, reorderings(), &mut look);
    assert_eq!(orders, reorderings());
}

/// Every so many states of the first yank are yanked again while the next run repairs them.
fn again() -> usize {
    proof::cases(40, 5) as usize
}

#[test]
fn a_stick_pulled_again_while_the_first_yank_is_repaired_loses_nothing() {
    let world = World::new(&Story { earlier: 2, gaps: Some(90), keep: 9, ..Story::default() });
    let mut number = 0;
    yank::every_prefix(&world.start, &world.steps, |what, disk| {
        number += 1;
        if number % again() == 0 {
            let steps = world.next_run(disk);
            yank::every_prefix(disk, &steps, |again, disk| {
                world.survives(disk, Checked::No, &format!("{what}, then {again}"));
            });
        }
    });
}

#[test]
fn a_stick_pulled_at_any_write_of_its_first_backup_has_no_half_one() {
    pull_everywhere(&Story { gaps: Some(90), keep: 9, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_of_a_repeat_loses_nothing() {
    pull_everywhere(&Story { earlier: 2, gaps: Some(120), keep: 9, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_when_an_old_backup_is_one_too_many() {
    pull_everywhere(&Story { earlier: 2, gaps: Some(120), keep: 2, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_when_an_old_backup_makes_room() {
    pull_everywhere(&Story { earlier: 3, gaps: Some(73), tight: true, keep: 9, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_of_a_split_backup_loses_nothing() {
    pull_everywhere(&Story { earlier: 2, gaps: Some(120), keep: 2, split: true, ..Story::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_of_another_boxs_either() {
    pull_everywhere(&Story { earlier: 2, others: 2, gaps: Some(140), keep: 2, ..Story::default() });
}
