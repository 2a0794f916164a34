//! A box to which things happen at random moments: its stick is pulled, its agent killed, its stick's writes fail.

use std::time::Instant;

use super::kit::{BY_HAND, agent, back_up, start, status, until, until_sticks_are};
use super::scenarios;
use crate::PATIENCE;
use crate::guest::Job;
use crate::judge::Judge;
use crate::lot::Lot;
use crate::machine::{DUMP, Machine, TINY_RECEIPTS, TINY_TILL};
use crate::medium::Behaviour;
use crate::stick::{SMALL, Stick};

scenarios![
    a_stick_pulled_at_twenty_random_moments_loses_nothing,
    an_agent_killed_at_twenty_random_moments_loses_nothing,
];

const MOMENTS: usize = 20;
/// So many agents die one after the other before one may finish.
const IN_A_ROW: usize = 5;

/// An agent that runs, and a stick with its first backup.
pub struct Turmoil<'a> {
    machine: &'a mut Machine,
    agent: Option<Job>,
    pub stick: Stick,
    judge: Judge,
    /// How many writes a backup takes.
    pub writes: u64,
    lot: Lot,
}

impl<'a> Turmoil<'a> {
    pub fn new(machine: &'a mut Machine, what: &str) -> Self {
        machine.guest().must(TINY_TILL);
        let stick = machine.stick("stick1", SMALL).partition("KASSE");
        stick.put("Urlaub.jpg", &b"somebody's picture ".repeat(2000));
        let agent = Some(agent(machine, BY_HAND));
        back_up(machine, &stick);
        let first = stick.medium.writes();
        back_up(machine, &stick);
        let (judge, writes) = (Judge::new(&stick.disk()), stick.medium.writes() - first);
        Self { machine, agent, stick, judge, writes, lot: Lot::new(what) }
    }

    /// Nothing disturbs a backup.
    pub fn in_peace(&mut self) {
        back_up(self.machine, &self.stick);
        let bad = self.judge.complaints_when_safe(&self.stick.disk());
        assert!(bad.is_empty(), "{bad:#?}");
    }

    /// Waits until so many writes have arrived, or the backup is over after fewer: how many the kernel joins is its own business.
    fn comes_to(&mut self, writes: u64) {
        let end = Instant::now() + PATIENCE;
        while !self.stick.medium.sees_writes(writes) {
            let status = status(self.machine);
            if status["agent"]["sticks"][0]["state"] == "safe" {
                return;
            }
            assert!(Instant::now() < end, "the stick was not written to {writes} times: {status}");
        }
    }

    /// The stick is pulled before one of its writes reaches the flash.
    fn pull(&mut self) {
        let at = self.stick.medium.writes() + self.lot.below(self.writes);
        self.stick.medium.behaves(Behaviour { pulled_at: Some(at), ..Behaviour::default() });
        self.machine.attach(&self.stick);
        self.comes_to(at + 1);
        self.machine.pull(&self.stick);
        self.stick.medium.behaves(Behaviour::default());
        let status = until(self.machine, |status| {
            let gone = status["agent"]["sticks"].as_array().is_some_and(Vec::is_empty);
            gone && (status["agent"]["signal"] == "failed" || status["agent"]["signal"] == "idle")
        });
        match status["agent"]["signal"] == "failed" {
            true => self.holds(&format!("pulled before its write {at}")),
            // It was called safe: of the backup nothing was missing then. What was put away after that may be there again.
            false => {
                self.holds(&format!("called safe, and pulled before its write {at}"));
                self.stick.has_a_good_backup(DUMP, TINY_RECEIPTS);
            }
        }
    }

    /// Each agent is killed when one of its writes has reached the stick, and the next one finds the stick in its port.
    fn kill(&mut self, agents: usize) {
        self.machine.attach(&self.stick);
        for _ in 0..agents {
            let at = self.stick.medium.writes() + self.lot.below(self.writes);
            self.comes_to(at);
            let agent = self.agent.take().unwrap();
            self.machine.guest().must(&format!("kill -KILL {}", agent.pid));
            self.machine.guest().join(agent);
            // What the kernel has taken over it writes without the agent.
            self.machine.guest().must("sync");
            self.holds(&format!("the agent was killed at its write {at}"));
            self.agent = Some(start(self.machine));
        }
        until_sticks_are(self.machine, &["safe"]);
        self.machine.pull(&self.stick);
        until_sticks_are(self.machine, &[]);
        let bad = self.judge.complaints_when_safe(&self.stick.disk());
        assert!(bad.is_empty(), "{bad:#?}");
    }

    /// From the write with this number on each one fails.
    pub fn fail(&mut self, number: u64, errno: i32) {
        let from = self.stick.medium.writes() + number;
        self.stick.medium.behaves(Behaviour { fails_from: Some((from, errno)), ..Behaviour::default() });
        self.machine.attach(&self.stick);
        let status = until_sticks_are(self.machine, &["failed"]);
        assert_eq!(status["agent"]["signal"], "failed");
        self.machine.pull(&self.stick);
        self.stick.medium.behaves(Behaviour::default());
        until_sticks_are(self.machine, &[]);
        self.holds(&format!("its writes failed from {from} on"));
    }

    fn holds(&self, what: &str) {
        let bad = self.judge.complaints(&self.stick.disk());
        assert!(bad.is_empty(), "{what}: {bad:#?}");
    }
}

fn a_stick_pulled_at_twenty_random_moments_loses_nothing(machine: &mut Machine) {
    let mut turmoil = Turmoil::new(machine, "pulled at random");
    for _ in 0..MOMENTS {
        turmoil.pull();
    }
    turmoil.in_peace();
    turmoil.stick.has_a_good_backup(DUMP, TINY_RECEIPTS);
}

fn an_agent_killed_at_twenty_random_moments_loses_nothing(machine: &mut Machine) {
    let mut turmoil = Turmoil::new(machine, "killed at random");
    for _ in 0..MOMENTS / IN_A_ROW {
        turmoil.kill(IN_A_ROW);
    }
    turmoil.stick.has_a_good_backup(DUMP, TINY_RECEIPTS);
}

/// Goes on until something does not hold, or somebody stops it.
pub fn soak(machine: &mut Machine) {
    let mut turmoil = Turmoil::new(machine, "soak");
    for round in 1_u64.. {
        let number = turmoil.lot.below(turmoil.writes);
        match turmoil.lot.below(8) {
            0..3 => turmoil.pull(),
            3..5 => turmoil.kill(1),
            5 => turmoil.fail(number, libc::EIO),
            6 => turmoil.fail(number, libc::ENOSPC),
            _ => turmoil.in_peace(),
        }
        println!("{round} rounds");
    }
}
