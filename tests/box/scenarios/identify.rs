//! What is no stick, what is a TSE, and sticks that are found in unusual places.

use super::kit::{BY_HAND, agent, stop, until_sticks_are};
use super::scenarios;
use super::wrong_sticks::tse;
use crate::gadget::{self, Gadget};
use crate::machine::{DUMP, Machine, RECEIPTS};
use crate::stick::{MIB, SMALL};

scenarios![
    an_empty_card_reader_is_nothing_and_a_card_in_it_is_backed_up,
    a_cd_drive_and_a_disk_that_is_built_in_are_nothing,
    a_stick_with_several_partitions_and_one_behind_a_hub_are_backed_up,
    a_tse_with_its_real_usb_ids_that_the_till_reads_all_the_time_is_neither_read_nor_written,
];

const READER: Gadget<'_> = Gadget { vendor_id: "05e3", model_id: "0727", vendor: "Generic", medium: "true" };

fn an_empty_card_reader_is_nothing_and_a_card_in_it_is_backed_up(machine: &mut Machine) {
    // The card's content comes from a disk that is built in, so the host can look at it afterwards.
    let card = machine.sold_stick("card");
    let disk = machine.build_in(&card);
    machine.guest().must("echo 500 > /sys/module/block/parameters/events_dfl_poll_msecs");
    let agent = agent(machine, BY_HAND);
    READER.plug(machine);
    gadget::node(machine);
    let status = until_sticks_are(machine, &[]);
    assert_eq!(status["agent"]["trouble"], serde_json::Value::Null);
    assert_ne!(status["agent"]["signal"], "wrong-stick");
    gadget::insert(machine, Some(&disk));
    until_sticks_are(machine, &["safe"]);
    gadget::insert(machine, None);
    until_sticks_are(machine, &[]);
    machine.guest().must("sync");
    let log = stop(machine, agent);
    assert!(log.contains("there is no card in the reader"), "{log}");
    card.is_in_order();
    card.has_a_good_backup(DUMP, RECEIPTS);
}

fn a_cd_drive_and_a_disk_that_is_built_in_are_nothing(machine: &mut Machine) {
    // A FAT32 volume that could hold a backup, if it were a stick.
    let (disk, cd) = (machine.sold_stick("disk"), machine.sold_stick("cd"));
    machine.build_in(&disk);
    let behind = machine.build_in(&cd);
    let agent = agent(machine, BY_HAND);
    let medium = format!("echo 1 > ro && echo 1 > cdrom && echo {behind} > file");
    Gadget { medium: &medium, ..READER }.plug(machine);
    let node = gadget::node(machine);
    assert!(node.starts_with("/dev/sr"), "{node}");
    let status = until_sticks_are(machine, &[]);
    assert_ne!(status["agent"]["signal"], "wrong-stick");
    // It still takes a stick.
    let stick = machine.sold_stick("stick1");
    machine.attach(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    assert_eq!((disk.medium.writes(), cd.medium.writes()), (0, 0));
    let log = stop(machine, agent);
    assert!(log.contains("it is built in"), "{log}");
}

fn a_stick_with_several_partitions_and_one_behind_a_hub_are_backed_up(machine: &mut Machine) {
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    let parted = machine.stick("parted", SMALL + 8 * MIB).second_partition("KASSE");
    machine.attach(&parted);
    until_sticks_are(machine, &["safe"]);
    let behind = machine.sold_stick("behind");
    machine.attach_through_a_hub(&behind);
    until_sticks_are(machine, &["safe", "safe"]);
    machine.pull(&parted);
    machine.pull(&behind);
    until_sticks_are(machine, &[]);
    stop(machine, agent);
    for stick in [parted, behind] {
        stick.is_in_order();
        stick.has_a_good_backup(DUMP, RECEIPTS);
    }
}

/// What the till does with its TSE, many times a second; a mistake ends it.
const TILL_READS: &str = "exec 4< /media/usb0/TSE_COMM.DAT; n=0; while [ ! -e /run/enough ]; do \
    dd if=/media/usb0/TSE_INFO.DAT of=/dev/null bs=512 count=1 iflag=direct 2>/dev/null || exit 1; \
    cat <&4 >/dev/null || exit 1; n=$((n+1)); echo $n > /run/reads; usleep 50000; done";

fn a_tse_with_its_real_usb_ids_that_the_till_reads_all_the_time_is_neither_read_nor_written(machine: &mut Machine) {
    // What is read and written arrives at a medium that counts.
    let tse = tse(machine);
    tse.shift(MIB);
    let tse = machine.stick_of(tse.image, "tse");
    let behind = machine.build_in(&tse);
    // Of the disk that is built in nothing tells that there is a TSE on it.
    let medium = format!("losetup -o {MIB} /dev/loop0 {behind} && echo /dev/loop0 > file");
    Gadget { vendor_id: "1370", model_id: "0349", vendor: "Swissbit", medium: &medium }.plug(machine);
    let node = gadget::node(machine);
    machine.guest().must(&format!("udevadm info -q property {node} | grep -x ID_VENDOR_ID=1370"));
    // As usbmount does it.
    let options = "noexec,nodev,noatime,nodiratime,sync";
    machine.guest().must(&format!("mkdir -p /media/usb0 && mount -t vfat -o {options} {node}1 /media/usb0; sync"));
    let mount = machine.guest().must("grep /media/usb0 /proc/mounts");
    machine.guest().must("rm -f /run/enough /run/reads");
    let till = machine.guest().start(TILL_READS);
    machine.guest().must("while [ ! -s /run/reads ]; do usleep 50000; done; sync");
    let writes = tse.medium.writes();
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\nafter = \\\"keep\\\"\\n"));
    let stick = machine.sold_stick("stick1");
    machine.attach(&stick);
    let status = until_sticks_are(machine, &["tse", "safe"]);
    assert_eq!(status["agent"]["sticks"][1]["slot"], "/media/usb1", "{status}");
    machine.tillstick("backup").exits(0);
    until_sticks_are(machine, &["tse", "safe"]);
    machine.pull(&stick);
    until_sticks_are(machine, &["tse"]);
    let reads: u64 = machine.guest().must("cat /run/reads").trim().parse().unwrap();
    machine.guest().must(&format!("while [ $(cat /run/reads) -lt {} ]; do usleep 50000; done", reads + 3));
    assert_eq!(machine.guest().must("grep /media/usb0 /proc/mounts"), mount);
    machine.guest().must("touch /run/enough");
    machine.guest().join(till).exits(0);
    machine.guest().must("sync");
    assert_eq!(tse.medium.writes(), writes, "the TSE was written to");
    stop(machine, agent);
    assert_eq!(machine.guest().must("grep /media/usb0 /proc/mounts"), mount, "after the agent's end");
    machine.guest().must("umount /media/usb0");
    gadget::pull(machine);
    gadget::insert(machine, None);
    machine.guest().must("losetup -d /dev/loop0");
    stick.has_a_good_backup(DUMP, RECEIPTS);
}
