//! What a command that was killed had stopped is started again by the agent.

use std::fs;
use std::time::{Duration, Instant};

use crate::kit::Box;
use crate::running::{Agent, BY_HAND, configure};

#[test]
fn what_was_stopped_by_a_run_that_was_killed_is_started_when_the_agent_starts() {
    let site = Box::new();
    let log = site.path("log");
    let says = |word: &str| format!("[\"/bin/sh\", \"-c\", \"echo {word} >> {}\"]", log.display());
    let quiesce = format!("{BY_HAND}[quiesce]\nbefore = [{}]\nafter = [{}]\n", says("stop"), says("start"));
    configure(&site, &quiesce);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let until = |text: &str| {
        let end = Instant::now() + Duration::from_secs(60);
        while read() != text {
            assert!(Instant::now() < end, "{:?}", read());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut held = site.start(&["quiesce"]);
    until("stop\n");
    held.kill().unwrap();
    held.wait().unwrap();
    assert_eq!(read(), "stop\n");
    let agent = Agent::start(&site);
    until("stop\nstart\n");
    drop(agent);
}
