//! kill -9 and failing calls at every moment of the journal's two transactions, and kill -9 at any moment of a run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{Box, Ran, ran};
use crate::{is_sound, journal, proof, quiet_about_it, runs, set_aside};

/// The calls with which SQLite changes a journal, and how many of each are looked for at the most.
const CALLS: [(&str, u32); 4] = [("pwrite64", 80), ("fsync", 20), ("unlink", 4), ("openat", 20)];

/// Runs a verb of which the `n`th `call` on the journal's files meets `fault`, which `strace` understands.
fn struck(site: &Box, args: &[&str], call: &str, fault: &str, n: &str) -> Ran {
    let file = journal(site);
    let rollback = PathBuf::from(format!("{}-journal", file.display()));
    let program = site.command(args);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(site.path("trace"));
    for path in [&file, &rollback, &site.path("state")] {
        strace.arg("-P").arg(path);
    }
    strace.arg(format!("--trace={call}")).arg(format!("--inject={call}:{fault}:when={n}"));
    strace.arg(program.get_program()).args(program.get_args()).env("LC_ALL", "C").env_remove("RUST_LOG");
    ran(strace)
}

/// Whether the last run under `strace` met its fault.
fn was_struck(site: &Box) -> bool {
    let trace = fs::read_to_string(site.path("trace")).unwrap();
    trace.contains("(INJECTED)") || trace.contains("killed by SIGKILL")
}

/// The numbers of the calls to strike: every one where everything is tried, else a few that are spread.
fn moments(most: u32) -> impl Iterator<Item = u32> {
    (1..=most).step_by(proof::cases((most / 3).max(2), 1) as usize)
}

#[test]
fn death_at_any_call_on_the_journal_leaves_a_sound_one_and_the_next_run_goes_on_with_it() {
    let site = Box::new();
    site.backup();
    let mut died = 0;
    for (call, most) in CALLS {
        for n in moments(most) {
            let before = runs(&site);
            struck(&site, &["backup"], call, "signal=SIGKILL", &n.to_string());
            if !was_struck(&site) {
                break;
            }
            let after = runs(&site);
            assert!(after.starts_with(&before) && after.len() <= before.len() + 1, "{call} {n}: {before:?} {after:?}");
            let outcome = after.get(before.len()).map(|(_, outcome)| outcome.as_str());
            assert!(matches!(outcome, None | Some("died" | "done")), "{call} {n}: {after:?}");
            died += u32::from(outcome == Some("died"));
            quiet_about_it(site.run(&["check"]).exits(0));
            is_sound(&site);
            // History only grows, and 60 backups would make each round longer than the last.
            for id in site.ids().iter().rev().skip(2) {
                fs::remove_dir_all(site.primary().join(id)).unwrap();
            }
        }
    }
    assert!(died >= 3, "only {died} runs were seen to have died");
    assert!(set_aside(&site).is_empty());
}

#[test]
fn a_call_on_the_journal_that_fails_never_fails_the_run() {
    let site = Box::new();
    site.backup();
    for (call, error) in
        [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fsync", "EIO"), ("unlink", "EIO"), ("openat", "ENOSPC")]
    {
        let most = CALLS.iter().find(|(name, _)| *name == call).unwrap().1;
        for n in moments(most) {
            // Once, and from then on for good.
            for when in [n.to_string(), format!("{n}+")] {
                let before = runs(&site);
                let ran = struck(&site, &["check"], call, &format!("error={error}"), &when).exits(0);
                if !was_struck(&site) {
                    break;
                }
                let after = runs(&site);
                let noted = after.len() > before.len() && after.last().unwrap().1 == "done";
                let told = ran.err.contains("this run is not in the history") && ran.err.contains("journal.db");
                assert!(noted || told, "{call} {error} {when}: neither noted nor told: {after:?} {}", ran.err);
                assert!(after.starts_with(&before), "{call} {error} {when}: history is lost");
                quiet_about_it(site.run(&["check"]).exits(0));
                is_sound(&site);
            }
        }
    }
    assert!(set_aside(&site).is_empty());
}

#[test]
fn death_at_any_moment_of_a_run_is_told_as_one() {
    let site = Box::new();
    let begun = Instant::now();
    site.backup();
    let long = begun.elapsed();
    let moments = proof::cases(6, 60);
    for moment in 0..moments {
        let before = runs(&site);
        let mut child = site.start(&["backup"]);
        std::thread::sleep(long * moment / moments + Duration::from_millis(1));
        // It may be over: then there is nobody to strike.
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        child.wait().unwrap();
        let after = runs(&site);
        assert!(after.starts_with(&before) && after.len() <= before.len() + 1, "{before:?} {after:?}");
        assert!(after[before.len()..].iter().all(|(_, outcome)| outcome == "died" || outcome == "done"), "{after:?}");
    }
    quiet_about_it(site.run(&["backup"]).exits(0));
    is_sound(&site);
    site.run(&["check"]).exits(0);
}
