//! Holding still what writes while a backup, a restore or a snapshot is made, and letting it go again whatever happens.
//!
//! What is to be done afterwards is written down before anything is stopped: `<state>/owed/<name>.json`.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::owed::{self, Note};
use super::record::one_line;
use super::{Site, swaps};
use crate::config::{OnFailure, QuiesceConfig};
use crate::error::{Error, Kind, Result};
use crate::host::hook::Hook;
use crate::model::{FileName, Run};

const OWED: &str = "owed";

/// What is to be done once nothing needs to stand still.
#[derive(Debug, Serialize, Deserialize)]
struct Owed {
    /// For what it was stopped.
    reason: String,
    since: Timestamp,
    /// How long each command may take, in milliseconds.
    timeout_ms: u64,
    commands: Vec<Vec<String>>,
}

/// Something stands still until this is released or dropped.
#[must_use]
pub struct Hold<'a> {
    run: &'a Run<'a>,
    owed: Option<Note>,
    /// What did not stand still, where that is no failure.
    pub warnings: Vec<String>,
}

/// Has everything stand still that `[quiesce]` names, or that of the source.
pub fn hold<'a>(site: &Site, source: Option<&FileName>, doing: &str, run: &'a Run<'a>) -> Result<Hold<'a>> {
    let own = source.and_then(|name| site.config.sources.get(name)).map(|source| &source.quiesce);
    let config = if source.is_some() { own } else { Some(&site.config.quiesce) };
    let mut hold = Hold { run, owed: None, warnings: Vec::new() };
    let Some(config) = config.filter(|config| !config.is_empty()) else { return Ok(hold) };
    let reason = source.map_or(doing.to_owned(), |name| format!("{doing} of `{name}`"));
    let env =
        [("TILLSTICK_FOR", doing.to_owned()), ("TILLSTICK_SOURCE", source.map_or("", FileName::as_str).to_owned())];
    let stopped = begin(site, config, &reason, &env, &mut hold);
    match stopped {
        Ok(()) => Ok(hold),
        Err(error) if error.kind() == Kind::Cancelled => Err(error),
        Err(error) if config.on_failure == OnFailure::Warn => {
            hold.warnings.push(format!("not everything stood still for the {reason}: {}", one_line(&error.report())));
            Ok(hold)
        }
        Err(error) => Err(Error::new(error.kind(), format!("cannot hold services still for the {reason}"))
            .because(error)
            .help("mend the command, or let the backup be made all the same with on_failure = \"warn\"")),
    }
}

fn begin(
    site: &Site,
    config: &QuiesceConfig,
    reason: &str,
    env: &[(&'static str, String)],
    hold: &mut Hold,
) -> Result<()> {
    let mut units = Vec::new();
    for unit in &config.stop_units {
        // One that does not run is not ours to start.
        let ask = words(&["systemctl", "is-active", "--quiet", "--", unit]);
        if (Hook { argv: &ask, env, timeout: config.timeout, ends_with_us: true }).succeeds(Some(hold.run))? {
            units.push(unit.as_str());
        }
    }
    let steps = steps(config, &units);
    hold.owed = Some(write_down(&site.config.state, reason, config.timeout, &steps.after)?);
    for argv in &steps.before {
        hold.run.check()?;
        log::info!("for the {reason}: {}", argv.join(" "));
        Hook { argv, env, timeout: config.timeout, ends_with_us: true }.run(Some(hold.run))?;
    }
    Ok(())
}

/// What is done before and after.
#[derive(Debug, PartialEq, Eq)]
struct Steps {
    before: Vec<Vec<String>>,
    after: Vec<Vec<String>>,
}

/// Services stop after the commands before and start in the opposite order before the commands after, so that these find
/// them running.
fn steps(config: &QuiesceConfig, running: &[&str]) -> Steps {
    let stop = running.iter().map(|unit| words(&["systemctl", "stop", "--", unit]));
    let start = running.iter().rev().map(|unit| words(&["systemctl", "start", "--", unit]));
    Steps {
        before: config.before.iter().cloned().chain(stop).collect(),
        after: start.chain(config.after.iter().cloned()).collect(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn write_down(state: &Path, reason: &str, timeout: Duration, commands: &[Vec<String>]) -> Result<Note> {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let owed = Owed { reason: reason.to_owned(), since: Timestamp::now(), timeout_ms, commands: commands.to_vec() };
    Note::write(&state.join(OWED), reason, &owed)
}

impl Hold<'_> {
    /// Lets everything go; tells what did not start again.
    pub fn release(mut self) -> Vec<String> {
        self.let_go()
    }

    fn let_go(&mut self) -> Vec<String> {
        let Some(note) = self.owed.take() else { return Vec::new() };
        pay(&note).unwrap_or_else(|error| vec![one_line(&error.report())])
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        for line in self.let_go() {
            self.run.warn(line);
        }
    }
}

/// Carries out what a file says; it goes when all of it succeeded. Every command is tried, whatever became of the others.
fn pay(note: &Note) -> Result<Vec<String>> {
    let owed: Owed = note.read("start by hand what the configuration stops, and remove the file")?;
    let env = [("TILLSTICK_FOR", "after".to_owned()), ("TILLSTICK_SOURCE", String::new())];
    let timeout = Duration::from_millis(owed.timeout_ms);
    let mut failed = Vec::new();
    let mut left = Vec::new();
    for argv in &owed.commands {
        log::info!("after the {}: {}", owed.reason, argv.join(" "));
        // It goes on when we are killed: half of it would be worse.
        if let Err(error) = (Hook { argv, env: &env, timeout, ends_with_us: false }).run(None) {
            failed.push(format!(
                "after the {}: {}; it is tried again with the next command",
                owed.reason,
                one_line(&error.report())
            ));
            left.push(argv.clone());
        }
    }
    match left.is_empty() {
        true => note.done()?,
        false => note.rewrite(&Owed { commands: left, ..owed })?,
    }
    Ok(failed)
}

/// Does what processes that died owe: restores are undone or finished, and what was stopped is started again. With `wait` it
/// waits for those that are doing it. Tells what was done and what failed.
pub fn settle(site: &Site, wait: bool) -> Vec<String> {
    let mut told = swaps::settle(site, wait);
    for note in owed::abandoned(&site.config.state.join(OWED), wait) {
        match pay(&note) {
            Ok(failed) if failed.is_empty() => {
                told.push("what a run that was cut short had stopped was started again".to_owned());
            }
            Ok(failed) => told.extend(failed),
            Err(error) => told.push(one_line(&error.report())),
        }
    }
    told
}

/// Whether something stands still, or should be started again, or a restore be undone or finished.
pub fn is_owed(state: &Path) -> bool {
    !owed::paths(&state.join(OWED)).is_empty() || swaps::are_owed(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_that_run_are_stopped_and_they_start_in_the_opposite_order() {
        let config = QuiesceConfig {
            before: vec![words(&["/b"])],
            after: vec![words(&["/a"])],
            stop_units: words(&["nginx.service", "cron", "off"]),
            ..QuiesceConfig::default()
        };
        let steps = steps(&config, &["nginx.service", "cron"]);
        let text = |all: &[Vec<String>]| all.iter().map(|argv| argv.join(" ")).collect::<Vec<_>>();
        assert_eq!(text(&steps.before), ["/b", "systemctl stop -- nginx.service", "systemctl stop -- cron"]);
        assert_eq!(text(&steps.after), ["systemctl start -- cron", "systemctl start -- nginx.service", "/a"]);
    }
}
