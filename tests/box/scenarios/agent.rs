//! The agent on the box: a stick is plugged in, and what happens then happens by itself.

use std::time::Instant;

use serde_json::Value;

use super::kit::{BY_HAND, agent, start, stop, until, until_sticks_are};
use super::scenarios;
use super::wrong_sticks::tse;
use crate::machine::{DUMP, LARGE_RECEIPTS, LARGE_TILL, Machine, RECEIPTS};
use crate::medium::Behaviour;
use crate::stick::MIB;

scenarios![
    a_stick_that_is_plugged_in_is_backed_up_and_called_safe_by_light_and_beep,
    beside_a_tse_two_sticks_are_found_at_usb1_and_usb2_and_the_tse_is_not_touched,
    a_wrong_stick_is_told_and_the_next_one_is_backed_up,
    a_stick_pulled_early_is_told_and_backed_up_when_it_is_plugged_again,
    a_stick_that_stays_in_gets_every_due_backup_and_one_that_was_in_at_the_start_its_first,
    a_stranger_is_refused_until_somebody_enrols_it,
    an_agent_that_was_killed_leaves_no_mount_behind,
    a_stick_that_another_program_mounted_is_written_through_that_mount,
    sigterm_in_the_middle_of_a_slow_copy_ends_the_agent_and_the_stick_is_whole,
    without_its_database_the_newest_backup_goes_to_the_stick_with_a_warning,
];

fn a_stick_that_is_plugged_in_is_backed_up_and_called_safe_by_light_and_beep(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    machine.attach(&stick);
    let status = until_sticks_are(machine, &["safe"]);
    assert_eq!(status["agent"]["signal"], "safe");
    assert!(!machine.guest().must("cat /proc/mounts").contains("vfat"));
    let light = machine.lights();
    assert!(light.iter().filter(|change| change.lights.num_lock()).count() >= 2, "it blinked: {light:?}");
    assert!(light.last().unwrap().lights.num_lock(), "it is steady: {light:?}");
    machine.pull(&stick);
    let status = until_sticks_are(machine, &[]);
    assert_eq!(status["agent"]["signal"], "idle");
    stick.has_a_good_backup(DUMP, RECEIPTS);
    stop(machine, agent);
    assert!(machine.beeps().len() >= 3, "one when it was found, two when it was safe: {:?}", machine.beeps());
}

fn beside_a_tse_two_sticks_are_found_at_usb1_and_usb2_and_the_tse_is_not_touched(machine: &mut Machine) {
    let tse = tse(machine);
    let node = machine.plug(&tse);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.guest().must("sync; exec 4< /media/usb0/TSE_COMM.DAT");
    let (mounts, before) = (machine.guest().must("grep usb0 /proc/mounts"), tse.medium.writes());
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\nafter = \\\"keep\\\"\\naccept = \\\"any\\\"\\n"));
    let (one, two) = (machine.sold_stick("stick1"), machine.sold_stick("stick2"));
    machine.plug(&one);
    until_sticks_are(machine, &["tse", "safe"]);
    machine.plug(&two);
    until_the_two_are_mounted(machine);
    for at in ["/media/usb1", "/media/usb2"] {
        let mount = machine.guest().must(&format!("grep {at} /proc/mounts"));
        for option in ["vfat ro,", "nosuid", "nodev", "noexec", "errors=remount-ro"] {
            assert!(mount.contains(option), "{option}: {mount}");
        }
        machine.guest().must(&format!("gzip -t {at}/{DUMP}"));
    }
    // The next backup takes the mounts away and brings them back.
    machine.tillstick("backup").exits(0);
    until_the_two_are_mounted(machine);
    machine.guest().must("cat /media/usb1/SHA256SUMS /media/usb2/SHA256SUMS");
    machine.pull(&one);
    machine.pull(&two);
    until_sticks_are(machine, &["tse"]);
    machine.guest().must("while grep -q /media/usb[12] /proc/mounts; do sleep 0.1; done; test ! -e /media/usb1");
    assert_eq!(machine.guest().must("grep usb0 /proc/mounts"), mounts);
    assert_eq!(tse.medium.writes(), before, "the TSE was written to");
    machine.guest().must("cat <&4 | wc -c; exec 4<&-");
    stop(machine, agent);
    one.has_a_good_backup(DUMP, RECEIPTS);
    two.has_a_good_backup(DUMP, RECEIPTS);
}

/// What is called safe is mounted already.
fn until_the_two_are_mounted(machine: &mut Machine) {
    let status = until_sticks_are(machine, &["tse", "safe", "safe"]);
    let sticks = &status["agent"]["sticks"];
    assert!((1..3).all(|number| sticks[number]["mounted"] == true), "{sticks:#}");
}

fn a_wrong_stick_is_told_and_the_next_one_is_backed_up(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let wrong = machine.stick("ntfs", 32 * MIB).format("mkfs.ntfs", &["-F", "-Q"]);
    let node = machine.plug(&wrong);
    let writes = wrong.medium.writes();
    let status = until_sticks_are(machine, &["refused"]);
    assert_eq!(status["agent"]["signal"], "wrong-stick");
    let stick = &status["agent"]["sticks"][0];
    assert_eq!(stick["device"], node.as_str());
    assert!(stick["why"].as_str().unwrap().contains("NTFS"), "{stick}");
    assert_eq!(wrong.medium.writes(), writes);
    machine.pull(&wrong);
    until_sticks_are(machine, &[]);
    let stick = machine.sold_stick("stick1");
    machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    stop(machine, agent);
}

fn a_stick_pulled_early_is_told_and_backed_up_when_it_is_plugged_again(machine: &mut Machine) {
    machine.guest().must(LARGE_TILL);
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    for moment in [0, 2, 9, 30] {
        let at = stick.medium.writes() + moment;
        stick.medium.behaves(Behaviour { pulled_at: Some(at), ..Behaviour::default() });
        machine.attach(&stick);
        stick.medium.waits_for_writes(at + 1);
        machine.pull(&stick);
        let status = until(machine, |status| status["agent"]["sticks"].as_array().is_some_and(Vec::is_empty));
        assert_ne!(status["agent"]["signal"], "safe");
        until(machine, |status| status["agent"]["signal"] == "failed");
        stick.medium.behaves(Behaviour::default());
    }
    machine.attach(&stick);
    let status = until_sticks_are(machine, &["safe"]);
    assert_eq!(status["agent"]["signal"], "safe");
    machine.pull(&stick);
    stick.has_a_good_backup(DUMP, LARGE_RECEIPTS);
    stop(machine, agent);
}

fn a_stick_that_stays_in_gets_every_due_backup_and_one_that_was_in_at_the_start_its_first(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    machine.plug(&stick);
    let agent = agent(machine, "");
    until_sticks_are(machine, &["safe"]);
    let made = |status: &Value| status["backups"].as_u64().unwrap_or(0);
    let mut before = made(&until(machine, |status| status["agent"]["stage"].is_null()));
    for _ in 0..3 {
        // The clock is set on by a day: the agent notices, and makes good for the runs that it missed.
        machine.guest().must("date -u -s @$(($(date +%s) + 86400))");
        let status = until(machine, |status| made(status) > before && status["agent"]["stage"].is_null());
        assert_eq!(made(&status), before + 1, "one run makes good for both");
        until_sticks_are(machine, &["safe"]);
        before = made(&status);
    }
    machine.pull(&stick);
    let held = machine.tillstick("list --json").exits(0).json();
    let newest = held[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(held[0]["copies"].as_array().unwrap().len(), 1, "the newest one is on the stick: {held}");
    stop(machine, agent);
    stick.has_a_good_backup(DUMP, RECEIPTS);
    assert!(stick.files().iter().any(|file| file.contains(&newest)));
}

fn a_stranger_is_refused_until_somebody_enrols_it(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let (first, stranger) = (machine.sold_stick("stick1"), machine.sold_stick("stick2"));
    machine.plug(&first);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&first);
    until_sticks_are(machine, &[]);
    machine.plug(&stranger);
    let writes = stranger.medium.writes();
    let status = until_sticks_are(machine, &["refused"]);
    assert!(status["agent"]["sticks"][0]["why"].as_str().unwrap().contains("not enrolled"), "{status}");
    assert_eq!(stranger.medium.writes(), writes);
    machine.tillstick("stick enroll").exits(0);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stranger);
    until_sticks_are(machine, &[]);
    // An image of the first stick on another one: the token is there, the serial number is not.
    let clone = machine.stick("clone", first.medium.size());
    std::fs::copy(&first.image, &clone.image).unwrap();
    machine.plug(&clone);
    until_sticks_are(machine, &["refused"]);
    machine.pull(&clone);
    machine.plug(&first);
    until_sticks_are(machine, &["safe"]);
    stop(machine, agent);
}

fn an_agent_that_was_killed_leaves_no_mount_behind(machine: &mut Machine) {
    let first = agent(machine, &format!("{BY_HAND}[sticks]\\nafter = \\\"keep\\\"\\n"));
    let stick = machine.sold_stick("stick1");
    machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.guest().must(&format!("kill -KILL {}; grep /media/usb0 /proc/mounts", first.pid));
    machine.guest().join(first);
    machine.pull(&stick);
    let second = start(machine);
    // It answers when it has cleaned up; its socket is there before.
    until_sticks_are(machine, &[]);
    machine.guest().must("test ! -e /media/usb0");
    machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.guest().must("grep /media/usb0 /proc/mounts");
    let log = stop(machine, second);
    assert!(log.contains("which an earlier run had left"), "{log}");
    machine.guest().must("test ! -e /media/usb0");
}

fn a_stick_that_another_program_mounted_is_written_through_that_mount(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.mount(&format!("{node}1"), "/media/usb0");
    let agent = agent(machine, BY_HAND);
    let status = until_sticks_are(machine, &["safe"]);
    assert_eq!(status["agent"]["sticks"][0]["slot"], "/media/usb0");
    assert!(!machine.guest().must("cat /proc/mounts").contains("/media/usb0"), "it is unmounted, so it may be pulled");
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    // While another program uses it, it is not called safe.
    let node = machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.guest().must("exec 4< /media/usb0/SHA256SUMS");
    machine.tillstick("backup").exits(0);
    let status = until_sticks_are(machine, &["warned"]);
    assert_eq!(status["agent"]["signal"], "warning");
    machine.guest().must("exec 4<&-; umount /media/usb0");
    stop(machine, agent);
    machine.pull(&stick);
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn sigterm_in_the_middle_of_a_slow_copy_ends_the_agent_and_the_stick_is_whole(machine: &mut Machine) {
    let first = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    machine.guest().must(LARGE_TILL);
    let at = stick.medium.writes() + 3;
    stick.medium.behaves(Behaviour { bytes_per_second: Some(1_000_000), ..Behaviour::default() });
    machine.attach(&stick);
    stick.medium.waits_for_writes(at);
    let asked = Instant::now();
    stop(machine, first);
    let took = asked.elapsed().as_secs_f32();
    println!("SIGTERM in the middle of a copy to a stick of 1 MB/s: ended after {took:.1} s");
    assert!(took < 5.0, "{took} s");
    machine.pull(&stick);
    stick.medium.behaves(Behaviour::default());
    let second = start(machine);
    machine.plug(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    stop(machine, second);
    stick.has_a_good_backup(DUMP, LARGE_RECEIPTS);
}

fn without_its_database_the_newest_backup_goes_to_the_stick_with_a_warning(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    machine.tillstick("backup").exits(0);
    machine.guest().must("mv /srv/till/kasse.db /srv/till/gone.db");
    let stick = machine.sold_stick("stick1");
    machine.plug(&stick);
    let status = until_sticks_are(machine, &["warned"]);
    assert_eq!(status["agent"]["signal"], "warning");
    machine.pull(&stick);
    stop(machine, agent);
    stick.has_a_good_backup(DUMP, RECEIPTS);
}
