//! Good sticks, as a device and as a mounted folder.

use super::scenarios;
use crate::machine::{DUMP, Machine, RECEIPTS};
use crate::medium::Behaviour;
use crate::runner::Scenario;
use crate::stick::SMALL;

scenarios![
    a_backup_goes_onto_the_partition_of_a_stick,
    a_backup_goes_onto_a_stick_without_partitions,
    a_mounted_stick_takes_a_backup_through_its_folder,
    a_stick_that_is_mounted_is_not_written_to_beside_its_mount,
    nobody_can_mount_a_stick_while_a_backup_is_written,
    names_and_labels_that_would_be_commands_do_nothing,
];

/// On a machine of which nothing was heard yet.
pub const FIRST: &[Scenario] = &[Scenario {
    name: "the_lights_and_the_speaker_can_be_seen_and_heard",
    run: the_lights_and_the_speaker_can_be_seen_and_heard,
}];

fn a_backup_goes_onto_the_partition_of_a_stick(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {node}1")).exits(0);
    machine.pull(&stick);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn a_backup_goes_onto_a_stick_without_partitions(machine: &mut Machine) {
    let stick = machine.stick("stick1", SMALL).format("mkfs.vfat", &["-F", "32", "-s", "1", "-I"]);
    let node = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {node}")).exits(0);
    machine.tillstick(&format!("check --stick {node}")).exits(0);
    machine.pull(&stick);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn a_mounted_stick_takes_a_backup_through_its_folder(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(0);
    machine.tillstick("backup --stick /media/usb0").exits(0);
    machine.tillstick("check --stick /media/usb0").exits(0);
    machine.guest().must("umount /media/usb0");
    machine.pull(&stick);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn a_stick_that_is_mounted_is_not_written_to_beside_its_mount(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.mount(&format!("{node}1"), "/mnt/elsewhere");
    machine.guest().must("sync");
    let before = stick.medium.writes();
    for name in [format!("{node}1"), node] {
        machine.tillstick(&format!("backup --stick {name}")).exits(1).says(&["mounted at", "/mnt/elsewhere"]);
    }
    assert_eq!(stick.medium.writes(), before, "the stick was written to");
}

fn nobody_can_mount_a_stick_while_a_backup_is_written(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    stick.medium.behaves(Behaviour { bytes_per_second: Some(100_000), ..Behaviour::default() });
    let before = stick.medium.writes();
    let backup = machine.start_tillstick(&format!("backup --stick {node}1"));
    stick.medium.waits_for_writes(before + 3);
    let mount = machine.guest().run(&format!("mkdir -p /mnt/other && mount -t vfat {node}1 /mnt/other"));
    assert!(mount.code != 0 && mount.err.contains("busy"), "{mount:?}");
    stick.medium.behaves(Behaviour::default());
    machine.guest().join(backup).exits(0);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn names_and_labels_that_would_be_commands_do_nothing(machine: &mut Machine) {
    let stick = machine.stick("stick1", SMALL).partition("$(TOUCH A)");
    let names = ["$(reboot)", "`reboot`", "%n%s%p", "; halt", "Größe ß € ü", "\u{202e}gpj.exe", &"x".repeat(255)];
    for name in names {
        stick.put(name, name.as_bytes());
    }
    let node = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {node}1")).exits(0);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(0);
    let inspected = machine.tillstick("stick inspect /media/usb0").exits(0);
    assert!(!inspected.out.contains('\u{202e}'), "a name turns the line around: {inspected:?}");
    machine.guest().must("umount /media/usb0 && test ! -e A && test ! -e a");
    machine.pull(&stick);
    for name in names {
        assert_eq!(stick.read(name), name.as_bytes(), "{name:?} changed");
    }
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}

fn the_lights_and_the_speaker_can_be_seen_and_heard(machine: &mut Machine) {
    let speaker = "/dev/input/by-path/platform-pcspkr-event-spkr";
    let time = r"\0".repeat(16);
    let event = |hz: &str| format!(r"printf '{time}\022\0\002\0{hz}\0\0' > {speaker}");
    let (on, off) = (event(r"\350\003"), event(r"\0\0"));
    machine.guest().must(&format!("{on}; sleep 0.3; {off}; sleep 0.3; {on}; sleep 0.3; {off}; sleep 0.5"));
    let beeps = machine.beeps();
    let [first, second] = beeps[..] else { panic!("two beeps: {beeps:?}") };
    assert!((990.0..1010.0).contains(&first.hz) && (990.0..1010.0).contains(&second.hz), "{beeps:?}");
    assert!(first.at + first.seconds < second.at, "one ends before the next begins: {beeps:?}");

    machine.guest().must("echo 1 > /sys/class/leds/input0::capslock/brightness");
    machine.guest().must("echo timer > /sys/class/leds/input0::numlock/trigger; sleep 3");
    let lights = machine.lights();
    assert!(lights.iter().all(|change| change.lights.caps_lock()), "{lights:?}");
    let blinks: Vec<f64> = lights.iter().filter(|change| change.lights.num_lock()).map(|change| change.at).collect();
    assert!(blinks.len() >= 2 && blinks.is_sorted(), "{lights:?}");
}
