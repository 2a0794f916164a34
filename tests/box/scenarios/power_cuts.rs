//! The box's own disk: what the kernel wrote to the ext4 on it in a shop's day is recorded, and the power is cut after each write, and
//! with those since the last flush in another order and in part. Each time the file system comes back with what was promised before.

use std::fs;

use super::kit::{BY_HAND, agent, back_up, stop};
use super::scenarios;
use crate::disk::Disk;
use crate::machine::{Machine, TINY_TILL};
use crate::proof::cases;
use crate::rebooted::{Promised, Rebooted};
use crate::stick::{MIB, Stick};
use crate::yank;

scenarios![whenever_the_power_goes_nothing_that_was_promised_is_lost];

/// So many cuts after a write, and so many with the writes since a flush in another order and in part, few or all.
const PREFIXES: (u32, u32) = (36, 5000);
const REORDERED: (u32, u32) = (36, 600);
/// After every so many cuts the box makes its next backup, too.
const GOES_ON_EVERY: usize = 8;

/// The till sells, so that the next backup is another one.
const SELL: &str = "inside till /srv/till/kasse.db 0.2 20";

/// What is known to be on the disk from here on.
struct Moment {
    /// So many steps had been done to the disk.
    steps: usize,
    promised: Promised,
}

fn whenever_the_power_goes_nothing_that_was_promised_is_lost(machine: &mut Machine) {
    let disk = own_disk(machine);
    let stick = machine.sold_stick("stick1");
    machine.guest().must(TINY_TILL);
    let mut promised = Promised { box_id: String::new(), ids: vec![backed_up(machine)], copied: None, enrolled: false };
    promised.box_id = machine.guest().must("cat /var/lib/tillstick/box-id");
    machine.guest().must("sync");
    let start = disk.disk();
    disk.medium.keeps_a_log();
    let mut moments = vec![Moment { steps: 0, promised: promised.clone() }];
    let mut now = |promised: &Promised| moments.push(Moment { steps: disk.medium.steps(), promised: promised.clone() });

    machine.guest().must(SELL);
    promised.ids.push(backed_up(machine));
    now(&promised);
    let agent = agent(machine, BY_HAND);
    machine.guest().must(SELL);
    back_up(machine, &stick);
    let newest = newest(machine);
    promised.ids.push(newest.clone());
    (promised.copied, promised.enrolled) = (Some(newest), true);
    now(&promised);
    stop(machine, agent);
    // From here on the oldest one may be gone.
    promised.ids.remove(0);
    now(&promised);
    let keep = "[retention]\\nwithin = \\\"0s\\\"\\ndaily = 0\\nweekly = 0\\nmonthly = 0\\nkeep_last = 2\\n";
    machine.guest().must(&format!("printf \"{keep}\" > /etc/tillstick/conf.d/keep.toml"));
    machine.tillstick("prune").exits(0);
    machine.guest().must("umount /var/lib/tillstick /var/backups /var/box");
    moments.push(Moment { steps: usize::MAX, promised });

    judge(&start, &disk, &moments);
}

/// An ext4 as mkfs makes it, with state and primary on it, mounted as a box has it.
fn own_disk(machine: &mut Machine) -> Stick {
    let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    let disk = machine.stick("state", 24 * MIB).format("mkfs.ext4", &["-q", "-F", "-b", "4096", "-E", options]);
    let node = machine.build_in(&disk);
    machine.guest().must(&format!("mkdir -p /var/box && mount -t ext4 {node} /var/box"));
    machine.guest().must("mkdir /var/box/state /var/box/backups /var/lib/tillstick");
    machine
        .guest()
        .must("mount --bind /var/box/state /var/lib/tillstick && mount --bind /var/box/backups /var/backups");
    disk
}

fn backed_up(machine: &mut Machine) -> String {
    machine.tillstick("backup --json").exits(0).json()["id"].as_str().unwrap().to_owned()
}

fn newest(machine: &mut Machine) -> String {
    machine.tillstick("list --json").exits(0).json()[0]["id"].as_str().unwrap().to_owned()
}

fn judge(start: &Disk, disk: &Stick, moments: &[Moment]) {
    let steps = disk.medium.take_log();
    let flushes: Vec<usize> = (0..steps.len()).filter(|at| matches!(steps[*at], crate::disk::Step::Flush)).collect();
    // What was promised holds for every state since the flush before: what came after it may be lost.
    let flushed = |moment: &Moment| {
        let before = flushes.partition_point(|flush| *flush < moment.steps);
        before.checked_sub(1).map_or(0, |last| flushes[last] + 1)
    };
    let (mut disk, mut states) = (start.clone(), Vec::new());
    for pair in moments.windows(2) {
        let part = &steps[flushed(&pair[0])..flushed(&pair[1]).max(flushed(&pair[0]))];
        let promised = &pair[0].promised;
        let (mut prefixes, mut reordered) = (Vec::new(), Vec::new());
        yank::every_prefix(&disk, part, |what, cut| prefixes.push((what.to_owned(), cut.clone())));
        let orders = cases(REORDERED.0, REORDERED.1) as usize / (moments.len() - 1);
        // Between two moments it may be that nothing was flushed.
        if !part.iter().any(|step| !matches!(step, crate::disk::Step::Flush)) {
            continue;
        }
        yank::reordered(&disk, part, orders, |what, cut| reordered.push((what.to_owned(), cut.clone())));
        disk = prefixes.last().unwrap().1.clone();
        let some = (cases(PREFIXES.0, PREFIXES.1) as usize / (moments.len() - 1)).clamp(1, prefixes.len());
        let all = prefixes.len();
        let sample = (1..=some).map(|number| prefixes[number * all / some - 1].clone());
        states.extend(sample.chain(reordered).map(|(what, disk)| (what, disk, promised)));
    }
    let writes = steps.len() - flushes.len();
    println!("the box's disk: {writes} writes, {} flushes; the power is cut {} times", flushes.len(), states.len());
    let rebooted = Rebooted::new();
    let mut bad = Vec::new();
    for (number, (what, disk, promised)) in states.iter().enumerate() {
        let goes_on = number % GOES_ON_EVERY == 0;
        let complaints = rebooted.complaints(disk, promised, goes_on);
        if bad.is_empty() && !complaints.is_empty() {
            disk.save(&crate::runner::logs("power-cut.img"));
        }
        bad.extend(complaints.into_iter().map(|bad| format!("{what}, after {:?}: {bad}", promised.ids)));
    }
    assert!(bad.is_empty(), "{} of {} states: {}", bad.len(), states.len(), bad.join("\n"));
    let _ = fs::remove_file(crate::runner::logs("power-cut.img"));
}
