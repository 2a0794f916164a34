//! Sticks that are not for backups: told by name, and not written to, as the stick itself counts.

use super::scenarios;
use crate::gadget::Gadget;
use crate::machine::Machine;
use crate::stick::{MIB, SMALL, Stick};

scenarios![
    sticks_with_other_file_systems_are_refused_by_name,
    a_tse_is_refused_and_never_written_to,
    a_tse_that_the_till_uses_stays_mounted_as_it_is,
    a_tse_known_by_its_usb_ids_is_not_even_read,
    a_full_stick_is_refused_and_nothing_on_it_goes,
];

/// Refused with these words, and not a write arrived.
#[track_caller]
fn refused(machine: &mut Machine, stick: &Stick, name: &str, words: &[&str]) {
    let before = stick.medium.writes();
    machine.tillstick(&format!("backup --stick {name}")).exits(1).says(words);
    assert_eq!(stick.medium.writes(), before, "the stick was written to");
}

fn sticks_with_other_file_systems_are_refused_by_name(machine: &mut Machine) {
    let formats: [(&str, &[&str], &str); 3] =
        [("mkfs.ntfs", &["-q", "-F"], "NTFS"), ("mkfs.exfat", &[], "exFAT"), ("mkfs.ext4", &["-q", "-F"], "ext")];
    for (mkfs, args, word) in formats {
        let stick = machine.stick(word, SMALL).format(mkfs, args);
        let node = machine.plug(&stick);
        refused(machine, &stick, &node, &["refused", word]);
        machine.pull(&stick);
    }
    let blank = machine.stick("blank", SMALL);
    let node = machine.plug(&blank);
    refused(machine, &blank, &node, &["refused"]);
}

/// A TSE as it shows itself: FAT32, and a file whose every written block is a command.
pub(super) fn tse(machine: &Machine) -> Stick {
    let tse = machine.stick("tse", SMALL).partition("SWISSBIT");
    tse.put("TSE_INFO.DAT", &[1; 512]);
    tse.put("TSE_COMM.DAT", &[0; 512]);
    tse
}

fn a_tse_is_refused_and_never_written_to(machine: &mut Machine) {
    let tse = tse(machine);
    let node = machine.plug(&tse);
    for name in [node.clone(), format!("{node}1")] {
        refused(machine, &tse, &name, &["TSE"]);
    }
    assert_eq!(tse.medium.writes(), 0, "something wrote to the TSE");
}

fn a_tse_that_the_till_uses_stays_mounted_as_it_is(machine: &mut Machine) {
    let (tse, stick) = (tse(machine), machine.sold_stick("stick1"));
    let node = machine.plug(&tse);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.guest().must("sync; exec 4< /media/usb0/TSE_COMM.DAT");
    let (mounts, before) = (machine.guest().must("cat /proc/mounts"), tse.medium.writes());
    refused(machine, &tse, "/media/usb0", &["TSE"]);
    let beside = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {beside}1")).exits(0);
    assert_eq!(machine.guest().must("cat /proc/mounts"), mounts);
    assert_eq!(tse.medium.writes(), before, "the TSE was written to");
    machine.guest().must("cat <&4 | wc -c; exec 4<&-");
}

fn a_tse_known_by_its_usb_ids_is_not_even_read(machine: &mut Machine) {
    let guest = machine.guest();
    guest.must("dd if=/dev/zero of=/tmp/tse.img bs=1M count=2");
    let medium = "echo /tmp/tse.img > file";
    Gadget { vendor_id: "1370", model_id: "0349", vendor: "Swissbit", medium }.plug(machine);
    let guest = machine.guest();
    guest.must("udevadm wait --settle --timeout=100 /dev/sda");
    guest.must("udevadm info -q property /dev/sda | grep -x ID_VENDOR_ID=1370");
    let counts = guest.must("cat /sys/block/sda/stat");
    machine.tillstick("backup --stick /dev/sda").exits(1).says(&["TSE", "1370:0349"]);
    machine.tillstick("stick inspect /dev/sda").exits(1);
    assert_eq!(machine.guest().must("cat /sys/block/sda/stat"), counts, "the TSE was read or written");
}

fn a_full_stick_is_refused_and_nothing_on_it_goes(machine: &mut Machine) {
    let stick = machine.sold_stick("stick1");
    let photos = vec![7; 46 * MIB as usize];
    stick.put("Fotos.zip", &photos);
    let node = machine.plug(&stick);
    machine.tillstick(&format!("backup --stick {node}1")).exits(3).says(&["room"]);
    machine.mount(&format!("{node}1"), "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(3).says(&["room"]);
    machine.guest().must("umount /media/usb0");
    machine.pull(&stick);
    stick.is_in_order();
    assert_eq!(stick.files(), ["Fotos.zip"]);
    assert!(stick.read("Fotos.zip") == photos);
}
