//! Sticks that are pulled, fail or lie while a backup is written.

use super::kit::{BY_HAND, agent, stop, until_sticks_are};
use super::scenarios;
use crate::machine::{DUMP, Machine, RECEIPTS, TINY_RECEIPTS, TINY_TILL};
use crate::medium::Behaviour;
use crate::stick::{MIB, Stick};

scenarios![
    a_stick_pulled_in_mid_write_keeps_its_backup_and_takes_the_next,
    a_mounted_stick_pulled_in_mid_write_keeps_its_backup_and_takes_the_next,
    a_stick_whose_writes_fail_is_never_called_safe,
    a_mounted_stick_whose_writes_fail_is_never_called_safe,
    what_a_failing_stick_left_is_mended_by_the_agent_although_an_automounter_has_the_stick,
    a_stick_that_says_it_is_full_is_never_called_safe,
    a_stick_that_claims_to_be_larger_than_it_is_is_never_called_safe,
];

/// At which of its writes a backup is disturbed: the first ones, those of the content, those of the publishing.
const MOMENTS: [u64; 6] = [0, 1, 3, 6, 10, 14];

/// At which of its writes a backup begins to fail.
const FAILING: [u64; 4] = [0, 3, 6, 14];

/// How the program is told where the stick is.
#[derive(Clone, Copy)]
enum Way {
    Device,
    Folder,
}

impl Way {
    /// The stick as `--stick` names it.
    fn open(self, machine: &mut Machine, stick: &Stick) -> String {
        let node = machine.plug(stick);
        match self {
            Self::Device => format!("{node}1"),
            Self::Folder => {
                machine.mount(&format!("{node}1"), "/media/usb0");
                "/media/usb0".to_owned()
            }
        }
    }

    /// What is done after a surprise: the mount of a stick that is gone stays until somebody takes it away.
    fn close(self, machine: &mut Machine) {
        if let Self::Folder = self {
            machine.guest().must("umount /media/usb0");
        }
    }
}

/// A stick with the backup of the small till; the next one is of the tiny till.
fn with_a_backup(machine: &mut Machine, way: Way) -> Stick {
    let stick = machine.sold_stick("stick1");
    let name = way.open(machine, &stick);
    machine.tillstick(&format!("backup --stick {name}")).exits(0);
    way.close(machine);
    machine.pull(&stick);
    stick.has_a_good_backup(DUMP, RECEIPTS);
    machine.guest().must(TINY_TILL);
    stick
}

fn pull_in_mid_write(machine: &mut Machine, way: Way) {
    let stick = with_a_backup(machine, way);
    for moment in MOMENTS {
        let name = way.open(machine, &stick);
        let at = stick.medium.writes() + moment;
        stick.medium.behaves(Behaviour { pulled_at: Some(at), ..Behaviour::default() });
        let backup = machine.start_tillstick(&format!("backup --stick {name}"));
        stick.medium.waits_for_writes(at + 1);
        machine.pull(&stick);
        let ran = machine.guest().join(backup).exits(3);
        assert!(!ran.out.contains("may be pulled"), "{ran:?}");
        way.close(machine);
        stick.medium.behaves(Behaviour::default());
    }
    let name = way.open(machine, &stick);
    machine.tillstick(&format!("check --stick {name}")).exits(0);
    machine.tillstick(&format!("backup --stick {name}")).exits(0);
    way.close(machine);
    machine.pull(&stick);
    stick.survives_a_check(DUMP, TINY_RECEIPTS);
}

fn a_stick_pulled_in_mid_write_keeps_its_backup_and_takes_the_next(machine: &mut Machine) {
    pull_in_mid_write(machine, Way::Device);
}

fn a_mounted_stick_pulled_in_mid_write_keeps_its_backup_and_takes_the_next(machine: &mut Machine) {
    pull_in_mid_write(machine, Way::Folder);
}

fn fail(machine: &mut Machine, way: Way, errno: i32) {
    let stick = with_a_backup(machine, way);
    for moment in FAILING {
        let name = way.open(machine, &stick);
        let from = stick.medium.writes() + moment;
        stick.medium.behaves(Behaviour { fails_from: Some((from, errno)), ..Behaviour::default() });
        let ran = machine.tillstick(&format!("backup --stick {name}")).exits(3);
        assert!(!ran.out.contains("may be pulled"), "{ran:?}");
        stick.medium.behaves(Behaviour::default());
        way.close(machine);
        machine.pull(&stick);
        if let Way::Folder = way {
            mended_where_linux_cannot(machine, &stick);
        }
    }
    let name = way.open(machine, &stick);
    machine.tillstick(&format!("backup --stick {name}")).exits(0);
    way.close(machine);
    machine.pull(&stick);
    stick.survives_a_check(DUMP, TINY_RECEIPTS);
}

/// What Linux would stumble over is told before it does, with the way out; and that way works.
fn mended_where_linux_cannot(machine: &mut Machine, stick: &Stick) {
    let at = Way::Folder.open(machine, stick);
    let ran = machine.tillstick(&format!("backup --stick {at}"));
    if ran.code != 0 {
        println!("left in pieces: {}", ran.err.lines().next().unwrap_or_default());
        let ran = ran.says(&["in pieces", "unmount the stick and name its device"]);
        assert!(!ran.out.contains("may be pulled"), "{ran:?}");
        Way::Folder.close(machine);
        let node = machine.guest().must("ls /dev/sd?1").trim().to_owned();
        machine.tillstick(&format!("backup --stick {node}")).exits(0);
    } else {
        Way::Folder.close(machine);
    }
    machine.pull(stick);
}

/// The stick fails while it is mounted, and is mounted again by the till computer when it is plugged in.
fn what_a_failing_stick_left_is_mended_by_the_agent_although_an_automounter_has_the_stick(machine: &mut Machine) {
    let stick = with_a_backup(machine, Way::Folder);
    let refused = FAILING.iter().any(|moment| {
        let name = Way::Folder.open(machine, &stick);
        let from = stick.medium.writes() + moment;
        stick.medium.behaves(Behaviour { fails_from: Some((from, libc::EIO)), ..Behaviour::default() });
        machine.tillstick(&format!("backup --stick {name}")).exits(3);
        stick.medium.behaves(Behaviour::default());
        Way::Folder.close(machine);
        machine.pull(&stick);
        let name = Way::Folder.open(machine, &stick);
        let refused = machine.tillstick(&format!("backup --stick {name}")).code != 0;
        Way::Folder.close(machine);
        machine.pull(&stick);
        refused
    });
    assert!(refused, "at none of the moments anything was left in pieces");
    Way::Folder.open(machine, &stick);
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    until_sticks_are(machine, &["safe"]);
    assert!(!machine.guest().must("cat /proc/mounts").contains("/media/usb0"), "it may be pulled");
    machine.pull(&stick);
    let log = stop(machine, agent);
    assert!(log.contains("in pieces"), "{log}");
    stick.has_a_good_backup(DUMP, TINY_RECEIPTS);
    stick.survives_a_check(DUMP, TINY_RECEIPTS);
}

fn a_stick_whose_writes_fail_is_never_called_safe(machine: &mut Machine) {
    fail(machine, Way::Device, libc::EIO);
}

fn a_mounted_stick_whose_writes_fail_is_never_called_safe(machine: &mut Machine) {
    fail(machine, Way::Folder, libc::EIO);
}

fn a_stick_that_says_it_is_full_is_never_called_safe(machine: &mut Machine) {
    fail(machine, Way::Device, libc::ENOSPC);
}

fn a_stick_that_claims_to_be_larger_than_it_is_is_never_called_safe(machine: &mut Machine) {
    for (name, way) in [("device", Way::Device), ("folder", Way::Folder)] {
        let stick = machine.sold_stick(name);
        // Its tables and the first of its clusters are real: the dump is not.
        stick.medium.behaves(Behaviour { real_size: Some(2 * MIB), ..Behaviour::default() });
        let at = way.open(machine, &stick);
        let ran = machine.tillstick(&format!("backup --stick {at}")).exits(3);
        assert!(!ran.out.contains("may be pulled"), "{ran:?}");
        way.close(machine);
        machine.pull(&stick);
    }
}
