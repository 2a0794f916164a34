//! The agent as the scenarios use it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::PATIENCE;
use crate::guest::Job;
use crate::machine::Machine;
use crate::stick::Stick;

/// Whoever asks takes the one processor from the agent. So it is asked when the light, which costs nothing to look at, has
/// stopped blinking, and else only so often.
const STEADY_SECONDS: f64 = 0.7;
const ASKED_EVERY: Duration = Duration::from_millis(2500);
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// Where the agent listens.
const SOCKET: &str = "/run/tillstick/agent.sock";

/// No backup is made by itself.
pub const BY_HAND: &str = "[schedule]\\nenabled = false\\n";

/// Starts the agent with more lines of configuration.
#[track_caller]
pub fn agent(machine: &mut Machine, rest: &str) -> Job {
    let led = machine.guest().must("ls /sys/class/leds | grep numlock | head -n 1");
    let feedback = format!("[feedback]\\nled = \\\"{}\\\"\\n", led.trim());
    machine.guest().must("mkdir -p /etc/tillstick/conf.d");
    machine.guest().must(&format!("printf \"{rest}{feedback}\" > /etc/tillstick/conf.d/agent.toml"));
    start(machine)
}

#[track_caller]
pub fn start(machine: &mut Machine) -> Job {
    machine.guest().must(&format!("rm -f {SOCKET}"));
    let job = machine.start_tillstick("agent -v");
    let came = format!("while [ ! -S {SOCKET} ] && kill -0 {}; do usleep 50000; done; test -S {SOCKET}", job.pid);
    if machine.guest().run(&came).code != 0 {
        panic!("the agent did not start: {}", machine.guest().join(job).err);
    }
    job
}

/// What the box says of itself; null when it cannot.
pub fn status(machine: &mut Machine) -> Value {
    let ran = machine.tillstick("status --json");
    if ran.code == 0 { ran.json() } else { Value::Null }
}

/// Waits until the status is so.
#[track_caller]
pub fn until(machine: &mut Machine, is: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = status(machine);
        if is(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{status}");
        let asked = Instant::now();
        thread::sleep(4 * LOOKED_EVERY);
        while machine.light_is_steady_for() < STEADY_SECONDS && asked.elapsed() < ASKED_EVERY {
            thread::sleep(LOOKED_EVERY);
        }
    }
}

/// What does not change by itself.
const ENDS: [&str; 3] = ["refused", "failed", "unjudged"];

/// Waits until the sticks that are plugged in have come so far, in the order of their devices.
#[track_caller]
pub fn until_sticks_are(machine: &mut Machine, states: &[&str]) -> Value {
    until(machine, |status| {
        let sticks = status["agent"]["sticks"].as_array().map_or(&[][..], Vec::as_slice);
        let now: Vec<&str> = sticks.iter().map(|stick| stick["state"].as_str().unwrap()).collect();
        let wrong = now.iter().find(|now| ENDS.contains(now) && !states.contains(now) && !states.is_empty());
        assert!(wrong.is_none(), "{states:?} were to come: {sticks:#?}");
        !status["agent"].is_null() && now == states
    })
}

/// Ends the agent; gives its log.
#[track_caller]
pub fn stop(machine: &mut Machine, agent: Job) -> String {
    machine.guest().must(&format!("kill -TERM {}", agent.pid));
    machine.guest().join(agent).exits(0).err
}

/// Plugs the stick in and pulls it when it is called safe.
#[track_caller]
pub fn back_up(machine: &mut Machine, stick: &Stick) {
    machine.attach(stick);
    until_sticks_are(machine, &["safe"]);
    machine.pull(stick);
    until_sticks_are(machine, &[]);
}
