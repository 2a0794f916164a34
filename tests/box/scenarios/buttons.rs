//! What a person does beside the box: presses its keys, formats a stick.

use super::kit::{BY_HAND, agent, stop, until, until_sticks_are};
use super::scenarios;
use crate::machine::{DUMP, Machine, RECEIPTS};
use crate::stick::{MIB, SMALL};

scenarios![
    a_key_of_the_box_makes_a_backup_and_another_enrols_the_next_stick,
    a_stick_of_another_format_is_formatted_through_the_agent_and_then_backed_up,
];

fn a_key_of_the_box_makes_a_backup_and_another_enrols_the_next_stick(machine: &mut Machine) {
    let keys = "[agent]\\nbackup_key = \\\"KEY_F12\\\"\\nenroll_key = \\\"KEY_F11\\\"\\n";
    let agent = agent(machine, &format!("{BY_HAND}{keys}"));
    let (first, stranger) = (machine.sold_stick("stick1"), machine.sold_stick("stick2"));
    machine.attach(&first);
    assert_eq!(until_sticks_are(machine, &["safe"])["backups"], 1);
    let beeps = machine.beeps().len();
    machine.press("f10");
    machine.press("f12");
    until(machine, |status| status["backups"] == 2 && status["agent"]["stage"].is_null());
    until_sticks_are(machine, &["safe"]);
    assert!(machine.beeps().len() >= beeps + 2, "whoever pressed the key hears that it is done");
    machine.pull(&first);
    until_sticks_are(machine, &[]);
    machine.attach(&stranger);
    until_sticks_are(machine, &["refused"]);
    machine.pull(&stranger);
    until_sticks_are(machine, &[]);
    machine.press("f11");
    machine.attach(&stranger);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stranger);
    stop(machine, agent);
    for stick in [first, stranger] {
        stick.has_a_good_backup(DUMP, RECEIPTS);
    }
}

fn a_stick_of_another_format_is_formatted_through_the_agent_and_then_backed_up(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.stick("exfat", SMALL + 16 * MIB).format("mkfs.exfat", &[]);
    let node = machine.plug(&stick);
    until_sticks_are(machine, &["refused"]);
    // Nobody is there to be asked.
    let before = stick.medium.writes();
    let asked = machine.tillstick(&format!("stick format {node}"));
    assert!(asked.code != 0 && stick.medium.writes() == before, "{asked:?}");
    machine.tillstick(&format!("stick format {node} --name KASSE-1 --yes")).exits(0);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    let tse = super::wrong_sticks::tse(machine);
    let node = machine.plug(&tse);
    until_sticks_are(machine, &["tse"]);
    let before = tse.medium.writes();
    let refused = machine.tillstick(&format!("stick format {node} --yes"));
    assert!(refused.code != 0 && refused.err.contains("TSE"), "{refused:?}");
    assert_eq!(tse.medium.writes(), before);
    stop(machine, agent);
    let stick = stick.begins_at(MIB);
    stick.is_in_order();
    stick.has_a_good_backup(DUMP, RECEIPTS);
}
