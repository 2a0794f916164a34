//! Our rules under a real udev, and what the kernel says of the process that reads strange sticks.

use super::kit::{BY_HAND, agent, stop, until_sticks_are};
use super::scenarios;
use super::wrong_sticks::tse;
use crate::gadget::{self, Gadget};
use crate::machine::Machine;
use crate::medium::Behaviour;
use crate::stick::Stick;

scenarios![
    our_udev_rules_tag_sticks_and_a_tse_and_nothing_else,
    automounters_are_told_to_leave_an_enrolled_stick_alone_until_it_is_forgotten,
    a_strange_stick_is_read_by_a_process_that_the_kernel_confines,
];

/// What udev knows of a node under this name; nothing when it does not know it.
#[track_caller]
fn property(machine: &mut Machine, node: &str, name: &str) -> Option<String> {
    let all = machine.guest().must(&format!("udevadm settle && udevadm info -q property {node}"));
    let value = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.map(str::to_owned)
}

fn our_udev_rules_tag_sticks_and_a_tse_and_nothing_else(machine: &mut Machine) {
    machine.guest().must("mkdir -p /etc/udev/rules.d && cp /srv/70-tillstick.rules /etc/udev/rules.d/");
    machine.guest().must("udevadm control --reload");
    let (stick, tse, disk) = (machine.sold_stick("stick1"), tse(machine), machine.sold_stick("disk"));
    let role = |machine: &mut Machine, node: &str| property(machine, node, "TILLSTICK_ROLE");
    let node = machine.plug(&stick);
    for node in [node.clone(), format!("{node}1")] {
        assert_eq!(role(machine, &node).as_deref(), Some("stick"), "{node}");
    }
    // Its label alone tells what it is.
    let node = machine.plug(&tse);
    assert_eq!(role(machine, &format!("{node}1")).as_deref(), Some("tse"));
    let behind = machine.build_in(&disk);
    assert_eq!(role(machine, &behind), None, "a disk that is built in");
    let medium = format!("echo {behind} > file");
    Gadget { vendor_id: "1370", model_id: "0349", vendor: "Acme", medium: &medium }.plug(machine);
    let node = gadget::node(machine);
    for node in [node.clone(), format!("{node}1")] {
        assert_eq!(role(machine, &node).as_deref(), Some("tse"), "{node}, by its USB ids");
    }
    gadget::pull(machine);
    gadget::insert(machine, None);
    assert_eq!((stick.medium.writes(), tse.medium.writes(), disk.medium.writes()), (0, 0, 0));
}

fn automounters_are_told_to_leave_an_enrolled_stick_alone_until_it_is_forgotten(machine: &mut Machine) {
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\nautomount = \\\"own\\\"\\n"));
    let (ours, other) = (machine.sold_stick("stick1"), machine.sold_stick("stick2"));
    let ignored = |machine: &mut Machine, stick: &Stick| {
        let node = machine.plug(stick);
        property(machine, &format!("{node}1"), "UDISKS_IGNORE")
    };
    machine.attach(&ours);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&ours);
    until_sticks_are(machine, &[]);
    machine.guest().must("udevadm control --reload");
    assert_eq!(ignored(machine, &ours).as_deref(), Some("1"));
    assert_eq!(ignored(machine, &other), None, "a stick that is not ours");
    machine.pull(&ours);
    machine.pull(&other);
    until_sticks_are(machine, &[]);
    machine.tillstick("stick forget SERIAL-stick1").exits(0);
    machine.guest().must("udevadm control --reload");
    assert_eq!(ignored(machine, &ours), None, "after it was forgotten");
    stop(machine, agent);
}

fn a_strange_stick_is_read_by_a_process_that_the_kernel_confines(machine: &mut Machine) {
    let agent = agent(machine, BY_HAND);
    let stick = machine.sold_stick("stick1");
    // Long enough at it to be looked at.
    stick.medium.behaves(Behaviour { bytes_per_second: Some(30_000), ..Behaviour::default() });
    machine.attach(&stick);
    let look = format!(
        "seen=; until [ -n \"$seen\" ]; do for c in $(cat /proc/{}/task/*/children); do \
         grep -q Seccomp:.2 /proc/$c/status && seen=$(cat /proc/$c/status); done; usleep 20000; done; echo \"$seen\"",
        agent.pid
    );
    let seen = machine.guest().must(&look);
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
        assert!(seen.contains(line), "{line} in: {seen}");
    }
    stop(machine, agent);
}
