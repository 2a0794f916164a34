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
    let speaker = "/dev/input/by-path/platform-pcspkr-event-spkr";
    let event = |hz: &str| format!(r"printf '{time}\022\0\002\0{hz}\0\0' > {speaker}", time = r"\0".repeat(16));
    let (on, off) = (event(r"\350\003"), event(r"\0\0"));
    machine.guest().must(&format!("{on}; sleep 0.3; {off}; sleep 0.3; {on}; sleep 0.3; {off}; sleep 0.5"));
    machine.guest().must("echo 1 > /sys/class/leds/input0::capslock/brightness");
    machine.guest().must("echo timer > /sys/class/leds/input0::numlock/trigger; sleep 3");
    println!("{:?} {:?}", machine.beeps(), machine.leds());
    panic!("look");
}
