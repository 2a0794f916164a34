//! The journal as a person sees it through `status`, `list` and `status --history`: what it tells, and that nothing but
//! history is lost with it, whatever happens to its file. Real runs, killed and starved with `strace` and a full disk.
//!
//! Plain `cargo test` strikes a few calls of a run; `TILLSTICK_PROOF=full` strikes every call on the journal.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest of it")]
mod kit;
#[path = "../proof/mod.rs"]
mod proof;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "the demo uses the rest of it")]
mod till;

mod elsewhere;
mod lost;
mod struck;
mod told;

use std::path::PathBuf;

use serde_json::Value;

use kit::{Box, Ran, tool};

/// Where the journal of a box is.
fn journal(site: &Box) -> PathBuf {
    site.path("state").join("journal.db")
}

#[track_caller]
fn status(site: &Box) -> Value {
    site.run(&["status", "--json"]).exits(0).json()
}

/// The runs that are remembered, oldest first: kind and outcome.
#[track_caller]
fn runs(site: &Box) -> Vec<(String, String)> {
    let history = site.run(&["status", "--history", "--json"]).exits(0).json();
    let text = |value: &Value| value.as_str().unwrap_or("under way").to_owned();
    history.as_array().unwrap().iter().rev().map(|run| (text(&run["kind"]), text(&run["outcome"]))).collect()
}

/// How each backup in the primary was last proven, oldest first.
#[track_caller]
fn proofs(site: &Box) -> Vec<String> {
    let list = site.run(&["list", "--json"]).exits(0).json();
    list.as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|listed| listed["proof"]["how"].as_str().unwrap_or("none").into())
        .collect()
}

/// The names of journals that were set aside.
fn set_aside(site: &Box) -> Vec<String> {
    kit::names(&site.path("state")).into_iter().filter(|name| name.contains(".corrupt-")).collect()
}

/// It said nothing of the journal.
#[track_caller]
fn quiet_about_it(ran: Ran) -> Ran {
    assert!(!ran.err.contains("journal") && !ran.err.contains("history"), "{}", ran.err);
    ran
}

/// The journal is a sound database, with every backup of the primary in it and nothing under way.
#[track_caller]
fn is_sound(site: &Box) {
    let ran = quiet_about_it(site.run(&["status", "--history"]).exits(0));
    assert!(!ran.out.contains("under way"), "{}", ran.out);
    let file = journal(site);
    let checks = "PRAGMA integrity_check; PRAGMA foreign_key_check";
    assert_eq!(tool("sqlite3", &[file.to_str().unwrap(), checks]).trim(), "ok");
    let copies = "SELECT DISTINCT backup FROM copies JOIN proofs ON copy = copies.id
                  WHERE store = 'primary' AND gone IS NULL ORDER BY backup";
    let known = tool("sqlite3", &[file.to_str().unwrap(), copies]);
    assert_eq!(known.lines().collect::<Vec<_>>(), site.ids());
}
