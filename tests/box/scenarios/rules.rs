//! Good sticks with too little room, of another box, or with names that would be commands.

use super::kit::{BY_HAND, agent, back_up, start, stop, until, until_sticks_are};
use super::scenarios;
use crate::machine::{DUMP, LARGE_RECEIPTS, LARGE_TILL, Machine, RECEIPTS};
use crate::stick::{MIB, SMALL, Stick, command};

scenarios![
    a_full_stick_is_told_and_nothing_on_it_goes,
    a_stick_with_just_enough_room_after_freeing_the_oldest_is_backed_up,
    a_dump_that_is_too_large_for_one_file_comes_in_pieces_that_cat_joins,
    two_sticks_at_once_and_one_plugged_again_get_their_backups,
    another_boxs_stick_is_told_and_taken_only_when_it_is_adopted,
    hostile_labels_and_names_do_nothing,
    every_plug_is_told_within_three_seconds,
];

fn a_full_stick_is_told_and_nothing_on_it_goes(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    let photos = vec![7; 46 * MIB as usize];
    stick.put("Fotos.zip", &photos);
    machine.attach(&stick);
    let status = until_sticks_are(machine, &["failed"]);
    assert_eq!(status["agent"]["signal"], "failed");
    assert!(status["agent"]["sticks"][0]["why"].as_str().unwrap().contains("room"), "{status}");
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    stick.is_in_order();
    assert_eq!(
        stick.files().into_iter().filter(|file| !file.starts_with("TILLSTICK")).collect::<Vec<_>>(),
        ["Fotos.zip"]
    );
    assert!(stick.read("Fotos.zip") == photos);
    // The next one comes right.
    let good = machine.sold_stick("stick2");
    machine.tillstick("stick enroll").exits(0);
    back_up(machine, &good);
    good.has_a_good_backup(DUMP, RECEIPTS);
    stop(machine, agent);
}

/// How many bytes are free.
fn free(stick: &Stick) -> u64 {
    let said = command("fsck.fat", &["-n", stick.volume().to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let counts =
        said.lines().find_map(|line| line.split_once(" files, ")?.1.split_once('/')).expect("counts of clusters");
    let number = |text: &str| text.trim_end_matches(" clusters").parse::<u64>().unwrap();
    (number(counts.1) - number(counts.0)) * 512
}

fn a_stick_with_just_enough_room_after_freeing_the_oldest_is_backed_up(machine: &mut Machine) {
    machine.guest().must(LARGE_TILL);
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    for _ in 0..3 {
        back_up(machine, &stick);
    }
    let dumps = |stick: &Stick| stick.files().into_iter().filter(|file| file.ends_with(DUMP)).collect::<Vec<_>>();
    let (before, len) = (dumps(&stick), stick.read(DUMP).len() as u64);
    assert_eq!(before.len(), 3);
    // Room for half of the next one, and for what always stays free.
    let film = vec![9; (free(&stick) - MIB - len / 2) as usize];
    stick.put("Film.mp4", &film);
    back_up(machine, &stick);
    stop(machine, agent);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, LARGE_RECEIPTS);
    let after = dumps(&stick);
    assert_eq!(after.len(), 3, "the oldest made room and no other: {before:?} {after:?}");
    assert!(stick.read("Film.mp4") == film);
}

fn a_dump_that_is_too_large_for_one_file_comes_in_pieces_that_cat_joins(machine: &mut Machine) {
    machine.guest().must(LARGE_TILL);
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\npart_size = \\\"500kB\\\"\\n"));
    let stick = machine.sold_stick("stick1");
    back_up(machine, &stick);
    back_up(machine, &stick);
    stop(machine, agent);
    stick.is_in_order();
    let pieces: Vec<Vec<u8>> = (1..=3).map(|number| stick.read(&format!("{DUMP}.{number:03}"))).collect();
    assert!(pieces[..2].iter().all(|piece| piece.len() == 500_000), "two whole pieces and the rest");
    stick.sums_are_right();
    stick.loads(&pieces.concat(), LARGE_RECEIPTS);
}

fn two_sticks_at_once_and_one_plugged_again_get_their_backups(machine: &mut Machine) {
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    let (one, two) = (machine.sold_stick("stick1"), machine.sold_stick("stick2"));
    machine.attach(&one);
    machine.attach(&two);
    let status = until_sticks_are(machine, &["safe", "safe"]);
    assert_eq!(status["agent"]["signal"], "safe");
    machine.pull(&one);
    machine.pull(&two);
    until_sticks_are(machine, &[]);
    back_up(machine, &one);
    stop(machine, agent);
    for stick in [&one, &two] {
        stick.is_in_order();
        stick.has_a_good_backup(DUMP, RECEIPTS);
    }
    let dumps = |stick: &Stick| stick.files().iter().filter(|file| file.ends_with(DUMP)).count();
    assert_eq!((dumps(&one), dumps(&two)), (2, 1));
}

fn another_boxs_stick_is_told_and_taken_only_when_it_is_adopted(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let first = agent(machine, BY_HAND);
    back_up(machine, &stick);
    stop(machine, first);
    let (before, files) = (stick.medium.writes(), stick.files());
    // The box is replaced by one of the same name that knows nothing.
    machine.guest().must("rm -rf /var/lib/tillstick /var/backups/*");
    let second = start(machine);
    machine.attach(&stick);
    let status = until_sticks_are(machine, &["refused"]);
    assert_eq!(status["agent"]["signal"], "wrong-stick");
    assert!(machine.seconds_to_the_first_signal().unwrap() < 3.0);
    assert_eq!(stick.medium.writes(), before, "it was written to");
    let node = status["agent"]["sticks"][0]["device"].as_str().unwrap().to_owned();
    machine.tillstick(&format!("stick adopt {node}")).exits(0);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    stop(machine, second);
    stick.has_a_good_backup(DUMP, RECEIPTS);
    let left = stick.files();
    assert!(left.len() > files.len(), "the old box's backup stays: {files:?} {left:?}");
}

fn hostile_labels_and_names_do_nothing(machine: &mut Machine) {
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    // Names that a PC can give, and those that only a forger can: a slash, a line's end, an escape, a bell.
    let names = ["$(reboot)", "`reboot`", "%n%s%p", "; halt", "\u{202e}gpj.exe", &"x".repeat(255)];
    let stick = machine.sold_stick("stick1");
    for name in names {
        stick.put(name, name.as_bytes());
    }
    stick.put("PATCHME1.TXT", b"up");
    stick.put("PATCHME2.TXT", b"line");
    stick.patch(b"PATCHME1TXT", b"../../A TXT");
    stick.patch(b"PATCHME2TXT", b"A\n\x1b[2J\x07%nXY");
    let label = stick.patch(b"KASSE      ", b"A\n$(halt)%n");
    assert!(label >= 2, "in the boot sector and in the root");
    machine.attach_with_serial(&stick, "$(reboot);../%n`halt`");
    let status = until(machine, |status| {
        let state = status["agent"]["sticks"][0]["state"].as_str().unwrap_or_default();
        ["safe", "refused", "unjudged", "failed"].contains(&state)
    });
    let shown = machine.tillstick("status").out + &machine.tillstick("stick list").out;
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    machine.guest().must("test ! -e /A && test ! -e /A.TXT && test ! -e /media/A.TXT");
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    let log = stop(machine, agent);
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
    for name in names {
        assert_eq!(stick.read(name), name.as_bytes(), "{name:?} changed");
    }
    println!("hostile names: {}", status["agent"]["sticks"][0]["state"]);
}

fn every_plug_is_told_within_three_seconds(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let good = machine.sold_stick("good");
    let ntfs = machine.stick("ntfs", 32 * MIB).format("mkfs.ntfs", &["-F", "-Q"]);
    let blank = machine.stick("blank", SMALL);
    let stranger = machine.sold_stick("stranger");
    let tse = super::wrong_sticks::tse(machine);
    let ends = [(&good, "safe"), (&ntfs, "refused"), (&blank, "refused"), (&stranger, "refused"), (&tse, "tse")];
    let mut took = Vec::new();
    for (stick, end) in ends {
        machine.attach(stick);
        until_sticks_are(machine, &[end]);
        took.push(machine.seconds_to_the_first_signal().expect("a light"));
        machine.pull(stick);
        until_sticks_are(machine, &[]);
    }
    println!("from plug to the first signal: {took:.1?} s");
    assert!(took.iter().all(|took| *took < 3.0), "{took:?}");
    stop(machine, agent);
}
