//! Asking the agent: with our own command line, and as another program does.

use std::os::unix::fs::PermissionsExt;

use crate::kit::{Box, Stick, ran};
use crate::running::{Agent, BY_HAND, agent, configure, socket};

#[test]
fn a_backup_that_is_asked_for_is_made_by_the_agent_and_read_by_the_command_line() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let ran = site.run(&["backup", "--json"]).exits(0);
    assert_eq!(site.ids(), [ran.json()["id"].as_str().unwrap()]);
    assert!(ran.err.contains("\"stage\":\"dump\""), "progress is shown: {}", ran.err);
    assert!(agent.log(&site).contains("asked for over the socket"));
    // For people it reads as it does without an agent.
    let ran = site.run(&["backup"]).exits(0);
    assert!(ran.out.starts_with("Database backed up."), "{}", ran.out);
}

#[test]
fn the_status_tells_what_the_agent_knows_and_works_without_one() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let status = site.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["agent"]["sticks"].as_array().unwrap().len(), 0);
    assert_eq!(status["agent"]["signal"], "warning", "there is no backup yet");
    drop(agent);
    let status = site.run(&["status", "--json"]).exits(0).json();
    assert!(status.get("agent").is_none());
    assert_eq!(status["backups"], 0);
}

#[test]
fn another_program_talks_in_lines_of_json() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let mut button = agent.talk();
    button.say(r#"{"v":1,"verb":"backup"}"#);
    let (progress, end) = button.answer();
    assert!(progress.iter().any(|line| line["progress"]["event"]["event"] == "begin"));
    assert_eq!(end["v"], 1);
    assert_eq!(site.ids(), [end["result"]["id"].as_str().unwrap()]);
    // The connection stays for the next question.
    button.say(r#"{"v":1,"verb":"status"}"#);
    assert_eq!(button.answer().1["result"]["backups"], 1);
}

#[test]
fn a_request_that_makes_no_sense_is_told_so_and_the_agent_goes_on() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let mut talk = agent.talk();
    for wrong in ["", "nonsense", r#"{"v":9,"verb":"backup"}"#, r#"{"v":1,"verb":"format-c"}"#] {
        talk.say(wrong);
        let (_, end) = talk.answer();
        assert_eq!(end["error"]["kind"], "usage", "{wrong}: {end}");
    }
    let mut flood = agent.talk();
    flood.say(&"x".repeat(100_000));
    assert_eq!(flood.hear(), None, "a line without end is hung up on");
    talk.say(r#"{"v":1,"verb":"status"}"#);
    assert!(talk.answer().1.get("result").is_some());
}

#[test]
fn through_the_socket_only_sticks_that_are_plugged_in_are_formatted() {
    let site = Box::new();
    let stick = Stick::fat32(crate::kit::STICK);
    let before = std::fs::read(&stick.path).unwrap();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    let mut talk = agent.talk();
    for device in [stick.text(), "/dev/sda", "/etc/passwd", "/dev/../etc/passwd", ""] {
        for more in ["", r#","ticket":"00""#, r#","ticket":"00","erase_backups":true,"name":"X""#] {
            talk.say(&format!(r#"{{"v":1,"verb":"format","device":{device:?}{more}}}"#));
            let (_, end) = talk.answer();
            assert_eq!(end["error"]["kind"], "missing", "{device} {more}: {end}");
        }
    }
    talk.say(r#"{"v":1,"verb":"format","device":"/dev/sdb","name":"SWISSBIT"}"#);
    assert_eq!(talk.answer().1["error"]["kind"], "usage");
    assert!(std::fs::read(&stick.path).unwrap() == before);
    // An image is none of the agent's business: the command line formats it beside it.
    site.run(&["stick", "format", stick.text(), "--yes"]).exits(0);
}

#[test]
fn a_failed_backup_reads_at_the_command_line_as_it_did_in_the_agent() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let _agent = Agent::start(&site);
    std::fs::remove_file(site.database()).unwrap();
    site.run(&["backup"]).exits(1).says(&["cannot back up source `kasse`"]);
}

#[test]
fn only_the_user_of_the_agent_may_talk_to_it_unless_a_group_is_named() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let mode = |site: &Box| std::fs::metadata(socket(site)).unwrap().permissions().mode() & 0o777;
    let agent = Agent::start(&site);
    assert_eq!(mode(&site), 0o600);
    drop(agent);
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap().name;
    site.configure("", &format!("[agent]\nsocket = {:?}\ngroup = {group:?}\n{BY_HAND}", socket(&site)));
    let _agent = Agent::start(&site);
    assert_eq!(mode(&site), 0o660);
}

#[test]
fn a_group_that_does_not_exist_is_told_at_the_start() {
    let site = Box::new();
    site.configure("", &format!("[agent]\nsocket = {:?}\ngroup = \"no-such-group\"\n", socket(&site)));
    ran(agent(&site)).exits(2).says(&["no-such-group", "no such group"]);
}

#[test]
fn a_second_agent_is_refused_and_the_place_of_a_killed_one_is_taken() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let first = Agent::start(&site);
    ran(agent(&site)).exits(1).says(&["another agent listens"]);
    drop(first);
    assert!(socket(&site).exists(), "it was killed and left its socket");
    let _agent = Agent::start(&site);
    site.run(&["status"]).exits(0);
}

#[test]
fn a_stick_is_enrolled_listed_and_forgotten_without_an_agent() {
    let site = Box::new();
    let stick = Stick::fat32(crate::kit::STICK);
    configure(&site, BY_HAND);
    site.run(&["stick", "enroll"]).exits(2).says(&["no agent runs", "name the stick"]);
    let enrolled = site.run(&["stick", "enroll", stick.text(), "--json"]).exits(0).json();
    let id = enrolled["enrolled"][0]["id"].as_str().unwrap();
    assert!(stick.files().contains(&"TILLSTICK/kasse-1/token.json".to_owned()));
    assert!(site.run(&["stick", "list"]).exits(0).out.starts_with(id));
    // The token disturbs no backup, and a second enrolment replaces the first.
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    site.run(&["stick", "enroll", stick.text()]).exits(0);
    assert_eq!(site.run(&["stick", "list", "--json"]).json()["enrolled"].as_array().unwrap().len(), 1);
    assert_eq!(stick.complaints(), Vec::<String>::new());
    let uuid = enrolled["enrolled"][0]["uuid"].as_str().unwrap();
    site.run(&["stick", "forget", uuid]).exits(0);
    site.run(&["stick", "forget", uuid]).exits(1).says(&["no stick is enrolled"]);
}

#[test]
fn a_new_box_adopts_the_stick_of_the_one_that_it_replaces_and_no_other_customers() {
    let (old, new) = (Box::new(), Box::new());
    configure(&old, BY_HAND);
    configure(&new, BY_HAND);
    let stick = Stick::fat32(crate::kit::STICK);
    old.run(&["backup", "--stick", stick.text()]).exits(0);
    new.run(&["backup", "--stick", stick.text()]).exits(1).says(&["another box"]);
    new.run(&["stick", "adopt", stick.text()]).exits(0);
    new.run(&["backup", "--stick", stick.text()]).exits(0);
    let held = new.run(&["list", "--stick", stick.text(), "--json"]).exits(0).json();
    assert_eq!(held.as_array().unwrap().len(), 2, "the old box's backup is still there: {held}");
    assert_eq!(stick.complaints(), Vec::<String>::new());
    old.run(&["backup", "--stick", stick.text()]).exits(1).says(&["another box"]);
    new.run(&["stick", "adopt", stick.text()]).exits(2).says(&["is no other box's"]);
    let other = Box::new();
    other.configure_as("004712", "kasse-1", "", "");
    other.run(&["stick", "adopt", stick.text()]).exits(1).says(&["customer"]);
}
