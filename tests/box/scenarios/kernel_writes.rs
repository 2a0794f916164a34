//! What the kernel really wrote to the stick in a full cycle, in its own order: the stick is pulled after each of the
//! writes, and with those since the last flush in another order and in part.

use super::kit::{BY_HAND, agent, back_up, stop, until_sticks_are};
use super::scenarios;
use crate::disk::{Disk, Step};
use crate::judge::Judge;
use crate::machine::{Machine, TINY_TILL};
use crate::proof::cases;
use crate::stick::{MIB, Stick};
use crate::yank;

scenarios![
    a_stick_pulled_at_any_write_of_the_kernel_loses_nothing_and_the_agent_takes_it_up,
    a_mounted_stick_pulled_at_any_write_of_the_kernel_loses_nothing,
];

/// So many states with the writes since a flush in another order and in part are judged, few or all.
const REORDERED: (u32, u32) = (60, 150);
/// So many states are plugged in again, few or all, and the next backup must come right; so many at once.
const PLUGGED_AGAIN: (u32, u32) = (10, 150);
const AT_ONCE: usize = 5;
/// So many of them through the mount of another program.
const MOUNTED_AGAIN: usize = 6;

/// The till sells for a second, so that the next backup is another one.
const SELL: &str = "inside till /srv/till/kasse.db 1 50";

fn stick(machine: &mut Machine) -> Stick {
    machine.guest().must(TINY_TILL);
    let stick = machine.stick("stick1", 34 * MIB).format("mkfs.vfat", &["-F", "32", "-s", "1", "-I"]);
    stick.put("Urlaub.jpg", &b"a foreign file ".repeat(3000));
    stick
}

/// What happened to a stick, and what it holds then.
type State = (String, Disk);

/// The states in which a pulled stick may be found, each with what happened to it.
fn states(what: &str, start: &Disk, steps: &[Step]) -> (Vec<State>, Vec<State>) {
    let (mut prefixes, mut reordered) = (Vec::new(), Vec::new());
    yank::every_prefix(start, steps, |what, disk| prefixes.push((what.to_owned(), disk.clone())));
    let orders = cases(REORDERED.0, REORDERED.1) as usize;
    yank::reordered(start, steps, orders, |what, disk| reordered.push((what.to_owned(), disk.clone())));
    let flushes = steps.iter().filter(|step| matches!(step, Step::Flush)).count();
    println!("{what}: {} prefixes and {} orders, {flushes} flushes", prefixes.len(), reordered.len());
    (prefixes, reordered)
}

fn all_hold<'a>(judge: &Judge, states: impl Iterator<Item = &'a (String, Disk)>) {
    let complaints = |(what, disk): &(String, Disk)| {
        let bad = judge.complaints(disk);
        bad.into_iter().map(move |bad| format!("{what}: {bad}")).collect::<Vec<_>>()
    };
    let bad: Vec<String> = states.flat_map(complaints).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Plugs a sample of the states in, many at a time, every other one after a file system check; the agent makes a good
/// backup onto each.
fn taken_up(machine: &mut Machine, judge: &Judge, states: &[(String, Disk)]) {
    let sticks: Vec<Stick> = (0..AT_ONCE).map(|number| machine.stick(&format!("again{number}"), 34 * MIB)).collect();
    let count = (cases(PLUGGED_AGAIN.0, PLUGGED_AGAIN.1) as usize).min(states.len());
    let sample: Vec<&(String, Disk)> = (0..count).map(|n| &states[n * states.len() / count]).collect();
    for batch in sample.chunks(AT_ONCE) {
        machine.guest().must(&format!("echo plugged again: {}", batch[0].0));
        for (number, (stick, (_, disk))) in sticks.iter().zip(batch).enumerate() {
            if number % 2 == 0 {
                disk.save(&stick.image);
            } else {
                judge.checked(disk).save(&stick.image);
            }
            machine.attach(stick);
        }
        until_sticks_are(machine, &vec!["safe"; batch.len()]);
        for stick in &sticks[..batch.len()] {
            machine.pull(stick);
        }
        until_sticks_are(machine, &[]);
        for (number, (stick, (what, _))) in sticks.iter().zip(batch).enumerate() {
            let bad = judge.complaints_when_safe(&stick.disk());
            assert!(bad.is_empty(), "{what}, checked: {}, then backed up: {bad:#?}", number % 2 == 1);
        }
    }
}

fn a_stick_pulled_at_any_write_of_the_kernel_loses_nothing_and_the_agent_takes_it_up(machine: &mut Machine) {
    let stick = stick(machine);
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    back_up(machine, &stick);
    let start = stick.disk();
    machine.guest().must(SELL);
    stick.medium.keeps_a_log();
    back_up(machine, &stick);
    let (prefixes, reordered) = states("the agent's cycle", &start, &stick.medium.take_log());
    let judge = Judge::new(&start);
    all_hold(&judge, prefixes.iter().chain(&reordered));
    let all: Vec<(String, Disk)> = prefixes.into_iter().chain(reordered).collect();
    taken_up(machine, &judge, &all);
    stop(machine, agent);
}

fn a_mounted_stick_pulled_at_any_write_of_the_kernel_loses_nothing(machine: &mut Machine) {
    let stick = stick(machine);
    back_up_through_the_folder(machine, &stick);
    let start = stick.disk();
    machine.guest().must(SELL);
    stick.medium.keeps_a_log();
    back_up_through_the_folder(machine, &stick);
    let (prefixes, reordered) = states("a mounted stick's", &start, &stick.medium.take_log());
    let judge = Judge::of_a_mounted(&start);
    all_hold(&judge, prefixes.iter().chain(&reordered));
    for (what, disk) in prefixes.iter().step_by(prefixes.len() / MOUNTED_AGAIN) {
        machine.guest().must(&format!("echo plugged again: {what}"));
        disk.save(&stick.image);
        back_up_through_the_folder_or_as_told(machine, &stick);
        let bad = judge.complaints_when_safe(&stick.disk());
        assert!(bad.is_empty(), "{what}, then backed up: {bad:#?}");
    }
    // The agent writes what nobody has mounted by itself, and takes up what another program's mount left.
    let agent = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    let all: Vec<(String, Disk)> = prefixes.into_iter().chain(reordered).collect();
    taken_up(machine, &judge, &all);
    stop(machine, agent);
}

/// What Linux cannot mend while it has the stick mounted is told with the way out, which is gone here.
#[track_caller]
fn back_up_through_the_folder_or_as_told(machine: &mut Machine, stick: &Stick) {
    let node = machine.plug(stick);
    machine.mount(&node, "/media/usb0");
    let ran = machine.tillstick("backup --stick /media/usb0");
    machine.guest().must("umount /media/usb0");
    if ran.code != 0 {
        ran.says(&["in pieces", "unmount the stick and name its device"]);
        machine.tillstick(&format!("backup --stick {node}")).exits(0);
    }
    machine.pull(stick);
}

#[track_caller]
fn back_up_through_the_folder(machine: &mut Machine, stick: &Stick) {
    let node = machine.plug(stick);
    machine.mount(&node, "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(0);
    machine.guest().must("umount /media/usb0");
    machine.pull(stick);
}
