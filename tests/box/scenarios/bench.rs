//! Figures of the whole box, printed: `make bench-box`.

use std::thread;
use std::time::{Duration, Instant};

use super::kit::{BY_HAND, agent, start, stop, until_sticks_are};
use super::scenarios;
use crate::machine::{LARGE_TILL, Machine};
use crate::medium::Behaviour;

scenarios![plug_to_safe_against_dd, idle_and_peak_memory];

const PAIRS: usize = 5;
/// A backup of about ten megabytes.
const SCANS: u32 = 9000;
const SPEED: u64 = 1_000_000;

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// From the plug to the beeps that say "safe"; the same bytes written with dd, synced and read back from the medium.
fn plug_to_safe_against_dd(machine: &mut Machine) {
    machine.guest().must(&format!("inside scans /srv/till/kasse.db {SCANS}"));
    let first = agent(machine, &format!("{BY_HAND}[sticks]\\naccept = \\\"any\\\"\\n"));
    // The dump is known from here on: what is measured is the stick.
    machine.tillstick("backup").exits(0);
    stop(machine, first);
    let stick = machine.sold_stick("stick1");
    stick.medium.behaves(Behaviour { bytes_per_second: Some(SPEED), ..Behaviour::default() });
    let (mut ours, mut signals, mut dumps, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let begun = Instant::now();
        machine.tillstick("backup").exits(0);
        dumps.push(begun.elapsed().as_secs_f64());
        let agent = start(machine);
        machine.attach(&stick);
        until_sticks_are(machine, &["safe"]);
        // The beeps are on record when they have ended.
        thread::sleep(Duration::from_secs(2));
        ours.push(machine.seconds_to_the_last_beep());
        signals.push(machine.seconds_to_the_first_signal().unwrap());
        machine.pull(&stick);
        until_sticks_are(machine, &[]);
        // It would take dd's stick.
        stop(machine, agent);
        theirs.push(dd(machine));
    }
    let len = machine.guest().must("ls -l /var/backups/*/*.sql.gz | awk '{ print $5 }' | tail -n 1");
    println!("a backup of {} bytes to a stick of {SPEED} bytes a second", len.trim());
    println!("plug to safe: median {:.2} s of {ours:.2?}", median(ours.clone()));
    println!("plug to the first signal: median {:.2} s of {signals:.2?}", median(signals.clone()));
    println!("a dump with nothing changed: median {:.2} s of {dumps:.2?}", median(dumps.clone()));
    println!("dd, sync and reading back: median {:.2} s of {theirs:.2?}", median(theirs.clone()));
}

fn dd(machine: &mut Machine) -> f64 {
    let stick = machine.sold_stick("dd");
    stick.medium.behaves(Behaviour { bytes_per_second: Some(SPEED), ..Behaviour::default() });
    let node = machine.plug(&stick);
    machine.mount(&format!("{node}1"), "/mnt/dd");
    let from = machine.guest().must("find /var/backups -name '*.sql.gz' | sort | tail -n 1");
    let begun = Instant::now();
    machine.guest().must(&format!(
        "dd if={} of=/mnt/dd/x bs=1M conv=fsync && echo 3 > /proc/sys/vm/drop_caches && dd if=/mnt/dd/x of=/dev/null bs=1M",
        from.trim()
    ));
    machine.guest().must("umount /mnt/dd");
    let took = begun.elapsed().as_secs_f64();
    machine.pull(&stick);
    took
}

const IDLE_SECONDS: u64 = 60;

fn idle_and_peak_memory(machine: &mut Machine) {
    machine.guest().must(LARGE_TILL);
    let agent = agent(machine, "");
    let stick = machine.sold_stick("stick1");
    machine.attach(&stick);
    until_sticks_are(machine, &["safe"]);
    machine.pull(&stick);
    until_sticks_are(machine, &[]);
    let switches = "cat /proc/PID/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'";
    let switches = switches.replace("PID", &agent.pid.to_string());
    let before: u64 = machine.guest().must(&switches).trim().parse().unwrap();
    machine.guest().must(&format!("sleep {IDLE_SECONDS}"));
    let after: u64 = machine.guest().must(&switches).trim().parse().unwrap();
    let memory = machine.guest().must(&format!("grep -E 'VmHWM|VmRSS|RssAnon' /proc/{}/status", agent.pid));
    println!("woken {} times in {IDLE_SECONDS} s without anything to do", after - before);
    println!("{}", memory.trim());
    stop(machine, agent);
}
