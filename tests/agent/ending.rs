//! The agent's end leaves everything as it must be.

use nix::sys::signal::Signal;

use crate::kit::Box;
use crate::running::{Agent, BY_HAND, comes, configure, socket};

#[test]
fn sigterm_in_the_middle_of_a_backup_ends_the_agent_and_leaves_nothing_unfinished() {
    let site = Box::large();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let mut talk = agent.talk();
    talk.say(r#"{"v":1,"verb":"backup"}"#);
    let line = talk.hear().unwrap();
    assert!(line.get("progress").is_some(), "{line}");
    agent.signal(Signal::SIGTERM);
    let (_, end) = talk.answer();
    assert_eq!(end["error"]["kind"], "cancelled");
    assert_eq!(agent.ends(), Some(0));
    assert_eq!(site.ids(), Vec::<String>::new());
    assert!(!socket(&site).exists());
    site.backup();
}

#[test]
fn an_idle_agent_ends_when_it_is_asked_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let site = Box::new();
        configure(&site, BY_HAND);
        let agent = Agent::start(&site);
        agent.signal(signal);
        assert_eq!(agent.ends(), Some(0), "{signal}");
    }
}

#[test]
fn an_agent_that_was_killed_in_the_middle_of_a_backup_starts_again_and_makes_it() {
    let site = Box::large();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let mut talk = agent.talk();
    talk.say(r#"{"v":1,"verb":"backup"}"#);
    talk.hear().unwrap();
    agent.signal(Signal::SIGKILL);
    agent.ends();
    let agent = Agent::start(&site);
    site.run(&["backup"]).exits(0);
    assert_eq!(site.ids().len(), 1, "{}", agent.log(&site));
    assert!(comes(|| agent.log(&site).contains("is made")));
}
