//! What waits for a store: the agent sends it, whatever came in between.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::contract::{Subject, config_of, noise, open, quietly};
use crate::directory::Folder;
use crate::kit::{Box, names};
use crate::running::{Agent, BY_HAND, comes, configure};
use tillstick::store::Content;

fn store(site: &Box, name: &str) -> Value {
    let told = site.run(&["status", "--json"]).exits(0).json();
    let stores = told["stores"].as_array().unwrap().clone();
    stores.into_iter().find(|store| store["name"] == name).unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn the_agent_sends_to_each_store_and_a_dead_one_waits_through_restarts_until_it_is_there() {
    let (folder, late) = (Folder::new(), crate::kit::scratch());
    let late_path = late.path().join("nas");
    let site = Box::new();
    let stores = format!(
        "{BY_HAND}[stores.good]\n{}\n[stores.late]\ntype = \"directory\"\npath = {late_path:?}\n",
        folder.table()
    );
    configure(&site, &stores);
    let agent = Agent::start(&site);
    site.run(&["backup"]).exits(0).prints(&["Database backed up."]);
    let id = site.ids().pop().unwrap();
    assert!(comes(|| store(&site, "good")["newest"] == id.as_str()), "{}", agent.log(&site));
    assert!(comes(|| store(&site, "late")["problem"].is_string()), "{}", agent.log(&site));
    let waits = store(&site, "late");
    assert_eq!((&waits["waiting"], &waits["newest"]), (&1.into(), &Value::Null), "{waits}");
    assert!(waits["problem"].as_str().unwrap().contains("store init"), "{waits}");
    assert!(waits["next_try"].is_string(), "{waits}");
    agent.signal(Signal::SIGKILL);
    agent.ends();

    // The power came back, the disk is not there yet; then somebody mounts it.
    let agent = Agent::start(&site);
    assert!(comes(|| store(&site, "late")["next_try"].is_string()), "{}", agent.log(&site));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(), Some(0));
    site.run(&["store", "init", "late", "--same-disk"]).exits(0);
    let agent = Agent::start(&site);
    assert!(comes(|| store(&site, "late")["newest"] == id.as_str()), "{}", agent.log(&site));
    assert_eq!(store(&site, "late")["waiting"], 0);
    assert_eq!(fs::read_to_string(site.path("state/stores/late.queue.json")).unwrap(), "[]");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(), Some(0));
    let history = site.run(&["status", "--history"]).exits(0).out;
    assert!(!history.contains("failed"), "a store that was not there is no run that failed: {history}");
}

#[test]
fn of_what_waited_long_only_what_stays_there_is_sent() {
    let away = crate::kit::scratch();
    let path = away.path().join("nas");
    let site = Box::new();
    let rules = "keep_last = 2\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0\n";
    configure(
        &site,
        &format!("{BY_HAND}[stores.late]\ntype = \"directory\"\npath = {path:?}\n[stores.late.retention]\n{rules}"),
    );
    for _ in 0..4 {
        site.run(&["backup"]).exits(3);
    }
    let ids = site.ids();
    assert_eq!(store(&site, "late")["waiting"], 4);
    site.run(&["store", "init", "late", "--same-disk"]).exits(0);
    let agent = Agent::start(&site);
    assert!(comes(|| store(&site, "late")["waiting"] == 0), "{}", agent.log(&site));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(), Some(0));
    let log = fs::read_to_string(site.path("agent.log")).unwrap();
    for (id, sent) in ids.iter().zip([false, false, true, true]) {
        assert_eq!(log.contains(&format!("{id} is there and was read back")), sent, "{id}: {log}");
        assert_eq!(
            log.contains(&format!("{id} is not sent, as it would be removed there at once")),
            !sent,
            "{id}: {log}"
        );
    }
    site.run(&["check", "--store", "late", "--read"]).exits(0);
}

#[test]
fn a_lost_queue_owes_the_newest_backup() {
    let folder = Folder::new();
    let site = Box::new();
    configure(&site, &format!("{BY_HAND}[stores.away]\n{}\n", folder.table()));
    site.run(&["backup", "--no-copy"]).exits(0);
    let id = site.ids().pop().unwrap();
    for rubbish in [None, Some("{nonsense")] {
        if let Some(rubbish) = rubbish {
            site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(0);
            fs::write(site.path("state/stores/away.queue.json"), rubbish).unwrap();
        }
        let agent = Agent::start(&site);
        assert!(comes(|| store(&site, "away")["newest"] == id.as_str()), "{}", agent.log(&site));
    }
}

#[test]
fn outside_of_its_hours_the_agent_sends_nothing_and_a_person_may() {
    let folder = Folder::new();
    let site = Box::new();
    let hour =
        |hours: i64| (Timestamp::now() + hours.hours()).in_tz("Europe/Berlin").unwrap().strftime("%H:00").to_string();
    let table = format!("{}\nhours = \"{}-{}\"", folder.table(), hour(2), hour(4));
    configure(&site, &format!("{BY_HAND}[stores.away]\n{table}\n"));
    let agent = Agent::start(&site);
    site.run(&["backup"]).exits(0);
    let waits = store(&site, "away");
    assert_eq!((&waits["waiting"], &waits["newest"]), (&1.into(), &Value::Null), "{waits}");
    assert!(waits["next_try"].is_string(), "{waits}");
    site.run(&["copy"]).exits(0);
    assert_eq!(store(&site, "away")["waiting"], 0, "{}", agent.log(&site));
}

/// Kills a copy when much of a file has come to the folder `dir`, and tells how much.
pub(crate) fn copy_killed_half_way(site: &Box, dir: &Path) -> u64 {
    let mut copying = site.start(&["copy"]);
    let grown = || {
        let part = names(dir).into_iter().find(|name| name.ends_with(".part"));
        part.and_then(|part| fs::metadata(dir.join(part)).ok()).map_or(0, |part| part.len())
    };
    assert!(comes(|| grown() > 700_000));
    copying.kill().unwrap();
    copying.wait().unwrap();
    grown()
}

#[test]
fn a_copy_that_was_killed_goes_on_where_it_was() {
    let folder = Folder::new();
    let site = Box::large();
    site.configure("", &format!("[stores.away]\n{}\nbandwidth = \"500kB\"\n", folder.table()));
    site.run(&["backup", "--no-copy"]).exits(0);
    let id = site.ids().pop().unwrap();
    let size = fs::metadata(site.artifact(&id)).unwrap().len();
    let sent = copy_killed_half_way(&site, &folder.0.path().join(format!("nas/004711/kasse-1/{id}")));
    assert!(sent < size, "{sent} of {size}: it was to be killed half-way");
    site.configure("", &format!("[stores.away]\n{}\n", folder.table()));
    let rest = site.run(&["copy", "--json"]).exits(0).json();
    let rest = rest["copies"][0]["bytes"].as_u64().unwrap();
    assert!(rest < size - sent + 400_000, "{rest} of {size} were sent again, and {sent} were there");
    site.run(&["check", "--store", "away", "--read"]).exits(0);
}

#[test]
fn no_more_is_sent_in_a_second_than_is_wanted() {
    let folder = Folder::new();
    let mut store = open(&config_of(&format!("{}\nbandwidth = \"1MB\"", folder.table()))).unwrap();
    let begun = Instant::now();
    quietly(|run| store.put("4711/b/x", &Content::bytes(noise(1_500_000, 1)), run)).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(1200), "{:?}", begun.elapsed());
}
