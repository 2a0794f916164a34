//! Sticks that fail or lie while the agent writes to them.

use super::kit::{BY_HAND, agent, back_up, stop, until_sticks_are};
use super::scenarios;
use super::turmoil::Turmoil;
use crate::machine::{DUMP, Machine, RECEIPTS, TINY_RECEIPTS};
use crate::medium::Behaviour;
use crate::stick::MIB;

scenarios![
    a_stick_whose_writes_fail_is_told_by_the_agent_and_loses_nothing,
    a_stick_that_lies_about_its_size_is_never_called_safe_by_the_agent,
];

/// Into so many parts a backup is divided; at the beginning of each its writes fail once.
const PARTS: u64 = 4;

fn a_stick_whose_writes_fail_is_told_by_the_agent_and_loses_nothing(machine: &mut Machine) {
    let mut turmoil = Turmoil::new(machine, "failing");
    for errno in [libc::EIO, libc::ENOSPC] {
        for part in 0..PARTS {
            turmoil.fail(turmoil.writes * part / PARTS, errno);
        }
    }
    turmoil.in_peace();
    turmoil.stick.has_a_good_backup(DUMP, TINY_RECEIPTS);
}

fn a_stick_that_lies_about_its_size_is_never_called_safe_by_the_agent(machine: &mut Machine) {
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    let drops = |size| Behaviour { real_size: Some(size), ..Behaviour::default() };
    let wraps = |size| Behaviour { wraps_at: Some(size), ..Behaviour::default() };
    for (name, behaviour) in [("drops", drops(2 * MIB)), ("wraps", wraps(2 * MIB))] {
        let stick = machine.sold_stick(name);
        stick.medium.behaves(behaviour);
        machine.attach(&stick);
        let status = until_sticks_are(machine, &["failed"]);
        assert_eq!(status["agent"]["signal"], "failed", "{name}");
        machine.pull(&stick);
        until_sticks_are(machine, &[]);
    }
    // One whose lie begins behind what was written is as good as any, so far.
    let stick = machine.sold_stick("far");
    stick.medium.behaves(drops(40 * MIB));
    back_up(machine, &stick);
    stick.has_a_good_backup(DUMP, RECEIPTS);
    stop(machine, agent);
}
