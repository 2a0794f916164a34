//! The agent's end leaves everything as it must be.

use nix::sys::signal::Signal;

use crate::kit::{Box, ran};
use crate::running::{Agent, BY_HAND, agent, comes, configure, socket};

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

#[test]
fn a_configuration_that_an_update_broke_leaves_the_last_good_one_in_force_and_the_box_asks_for_somebody() {
    let site = Box::new();
    configure(&site, BY_HAND);
    drop(Agent::start(&site));
    std::fs::write(site.config(), "customer = 4711\n").unwrap();
    let agent = Agent::start(&site);
    let mut talk = agent.talk();
    talk.say(r#"{"v":1,"verb":"backup"}"#);
    assert!(talk.answer().1.get("result").is_some());
    let mut status = serde_json::Value::Null;
    let warns = comes(|| {
        talk.say(r#"{"v":1,"verb":"status"}"#);
        status = talk.answer().1;
        status["result"]["agent"]["signal"] == "warning"
    });
    assert!(warns, "{status}");
    assert_eq!(status["result"]["green"], false);
    let problem = status["result"]["agent"]["problem"].as_str().unwrap();
    assert!(problem.contains("customer"), "{problem}");
}

#[test]
fn a_box_that_never_had_a_good_configuration_does_not_start() {
    let site = Box::new();
    std::fs::write(site.config(), "customer = 4711\n").unwrap();
    ran(agent(&site)).exits(2).says(&["customer"]);
}

#[test]
fn the_service_manager_is_told_when_the_agent_is_ready_alive_and_stopping() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let manager = std::os::unix::net::UnixDatagram::bind(site.path("notify.sock")).unwrap();
    let mut command = agent(&site);
    command.env("NOTIFY_SOCKET", site.path("notify.sock")).env("WATCHDOG_USEC", "100000");
    let mut process = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let hear = || {
        let mut told = [0; 100];
        let len = manager.recv(&mut told).unwrap();
        String::from_utf8_lossy(&told[..len]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!([hear(), hear()], ["WATCHDOG=1", "WATCHDOG=1"]);
    let pid = nix::unistd::Pid::from_raw(process.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert!(comes(|| hear() == "STOPPING=1"));
    assert!(process.wait().unwrap().success());
}
