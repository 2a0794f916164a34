//! Events in masses, and devices that are gone before anybody has looked.

use super::kit::{BY_HAND, agent, back_up, stop, until_sticks_are};
use super::scenarios;
use crate::gadget::{self, Gadget};
use crate::machine::{DUMP, Machine, RECEIPTS};
use crate::proof::cases;

scenarios![a_storm_of_events_makes_no_backup_and_no_harm, devices_that_come_and_vanish_within_milliseconds_do_no_harm,];

/// A hundred events that udev has no rules for: they come as fast as the kernel and udev can.
const GUST: &str = "n=0; while [ $n -lt 100 ]; do echo change > /sys/block/$disk/uevent; n=$((n+1)); done";
/// So many of them: few, or all.
const GUSTS: (u32, u32) = (2, 100);

const SETTLES: usize = 20;

fn a_storm_of_events_makes_no_backup_and_no_harm(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    let before = until_sticks_are(machine, &["safe"])["backups"].clone();
    machine.guest().must("mv /lib/udev/rules.d /lib/udev/rules.off && udevadm control --reload");
    for _ in 0..cases(GUSTS.0, GUSTS.1) {
        machine.guest().must(&format!("disk={}; {GUST}", node.trim_start_matches("/dev/")));
    }
    // udev needs minutes for so many: each try is shorter than the patience with one command.
    let settles = (0..SETTLES).any(|_| machine.guest().run("udevadm settle --timeout=90").code == 0);
    assert!(settles, "udev still has events after {SETTLES} times 90 s");
    machine.guest().must("mv /lib/udev/rules.off /lib/udev/rules.d && udevadm control --reload");
    let status = until_sticks_are(machine, &["safe"]);
    assert_eq!(status["backups"], before);
    machine.guest().must(&format!("grep -q State:.S /proc/{}/status", agent.pid));
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    back_up(machine, &stick);
    stop(machine, agent);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn devices_that_come_and_vanish_within_milliseconds_do_no_harm(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    back_up(machine, &stick);
    for _ in 0..20 {
        machine.attach(&stick);
        machine.pull(&stick);
    }
    // As short as the kernel can make it: from before its disk is there to just after.
    Gadget { vendor_id: "05e3", model_id: "0727", vendor: "Generic", medium: "true" }.plug(machine);
    for wait in 0..10 {
        gadget::pull(machine);
        gadget::plug_again(machine);
        machine.guest().must(&format!("usleep {}", wait * 40_000));
    }
    gadget::pull(machine);
    until_sticks_are(machine, &[]);
    back_up(machine, &stick);
    stop(machine, agent);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}
