//! A good stick, as a device and as a mounted folder.

use super::scenarios;
use crate::machine::{DUMP, Machine};

scenarios![
    a_backup_goes_onto_the_partition_of_a_stick,
    a_mounted_stick_takes_a_backup_through_its_folder,
    the_lights_and_the_speaker_can_be_seen_and_heard,
];

fn a_backup_goes_onto_the_partition_of_a_stick(machine: &mut Machine<'_>) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {node}1")).exits(0);
    machine.pull(&stick);
    stick.has_a_good_backup(DUMP, 83);
}

fn a_mounted_stick_takes_a_backup_through_its_folder(machine: &mut Machine<'_>) {
    let stick = machine.sold_stick("stick1");
    let node = machine.plug(&stick);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(0);
    machine.guest().must("umount /media/usb0");
    machine.pull(&stick);
    stick.has_a_good_backup(DUMP, 83);
}

fn the_lights_and_the_speaker_can_be_seen_and_heard(machine: &mut Machine<'_>) {
    let guest = machine.guest();
    guest.must("cat /proc/uptime; ls -l /dev/input/by-path");
    guest.must("echo 1 > /sys/class/leds/input0::capslock/brightness");
    for ms in ["0.1", "0.2"] {
        guest.must(&format!(r"printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\022\0\002\0\350\003\0\0' > /dev/input/by-path/platform-pcspkr-event-spkr; sleep {ms}"));
        guest.must(&format!(r"printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\022\0\002\0\0\0\0\0' > /dev/input/by-path/platform-pcspkr-event-spkr; sleep {ms}"));
    }
    panic!("look");
}
