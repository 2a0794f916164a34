//! What each run had to say, as JSON lines in a file of its own, in the folder `runs` of the box's state.
//!
//! ```text
//! state/runs/20261124T070000Z-backup.jsonl    not told to others yet
//! state/runs/20261124T070000Z-backup.told     the same, when it was
//! ```
//! A file that cannot be written costs no run anything. Only what may be told to others is written: no secrets.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::{Context, Result};
use crate::host::{durable, process};
use crate::journal::{Ended, NewRun, Outcome};
use crate::model::{Event, Monitor};
use crate::policy::redact::redact;

const DIR: &str = "runs";
const NEW: &str = "jsonl";
const TOLD: &str = "told";
/// What a run may have to say, in bytes; of one that has more the rest is left out, but for its end.
const MAX: usize = 256 << 10;
/// So many characters of a line are kept.
const LINE_MAX: usize = 4000;

/// One line.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    level: String,
    text: String,
    /// Which run; in its first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<About>,
    /// How it ended; in its last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// The backup that it made or was about; in its last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct About {
    kind: String,
    customer: String,
    #[serde(rename = "box")]
    box_name: String,
    box_id: String,
    tool: String,
    process: String,
}

/// Hears what a run has to say, notes it, and hands it on.
pub(super) struct RunLog<'a> {
    monitor: &'a dyn Monitor,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// What was said before the run had begun.
    early: Vec<u8>,
    file: Option<File>,
    written: usize,
}

impl<'a> RunLog<'a> {
    pub(super) fn new(monitor: &'a dyn Monitor) -> Self {
        Self { monitor, notes: Mutex::default() }
    }

    /// The run has begun: its file is made.
    pub(super) fn begin(&self, site: &Site, new: &NewRun) {
        if let Err(error) = self.try_begin(site, new) {
            log::info!("what this run has to say is not kept: {error}");
        }
    }

    fn try_begin(&self, site: &Site, new: &NewRun) -> Result<()> {
        let dir = site.config.state.join(DIR);
        make(&dir)?;
        sweep(&dir, site.config.log.runs as usize)?;
        let kind = new.kind.name();
        let file = create(&dir, new.started, kind)?;
        let about = About {
            kind: kind.to_owned(),
            customer: site.config.customer.to_string(),
            box_name: site.config.box_name.to_string(),
            box_id: site.box_id.clone(),
            tool: concat!("tillstick ", env!("CARGO_PKG_VERSION")).to_owned(),
            process: new.process.clone(),
        };
        let text = format!("{kind} begins");
        let line = Line { at: new.started, level: "info".into(), text, run: Some(about), ..Line::default() };
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.file = Some(file);
        let early = std::mem::take(&mut notes.early);
        notes.add(&bytes_of(&line));
        notes.add(&early);
        Ok(())
    }

    /// The run is over.
    pub(super) fn end(&self, ended: &Ended) {
        let (level, text) = match (ended.outcome, &ended.error) {
            (Outcome::Failed, why) => ("error", why.clone().unwrap_or_else(|| "it failed".into())),
            (Outcome::Partly, why) => ("warn", why.clone().unwrap_or_else(|| "not all of it was done".into())),
            (outcome, _) => ("info", outcome.name().to_owned()),
        };
        let outcome = Some(ended.outcome.name().to_owned());
        let backup = ended.backup.as_ref().map(ToString::to_string);
        let line = Line { at: ended.at, level: level.into(), text: told(&text), outcome, backup, ..Line::default() };
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.write(&bytes_of(&line));
        // From now on it may be told.
        notes.file = None;
    }

    fn note(&self, level: &str, text: &str) {
        let line = Line { at: Timestamp::now(), level: level.into(), text: told(text), ..Line::default() };
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).add(&bytes_of(&line));
    }
}

impl Monitor for RunLog<'_> {
    fn event(&self, event: Event) {
        match &event {
            Event::Begin { stage, what, total } => self.note("info", &format!("{stage:?} of {what}, {total} bytes")),
            Event::Warning { message } => self.note("warn", message),
            Event::Progress { .. } | Event::End { .. } => {}
        }
        self.monitor.event(event);
    }
}

impl Notes {
    fn add(&mut self, bytes: &[u8]) {
        if self.written + bytes.len() <= MAX {
            self.written += bytes.len();
            self.write(bytes);
        }
    }

    /// Also beyond what a run may have to say.
    fn write(&mut self, bytes: &[u8]) {
        match &mut self.file {
            // A full disk is told elsewhere.
            Some(file) => drop(file.write_all(bytes)),
            None => self.early.extend(bytes),
        }
    }
}

fn told(text: &str) -> String {
    redact(text).chars().take(LINE_MAX).collect()
}

fn bytes_of(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A file that was not there: of two runs that began in one second the later one gets the next second's.
fn create(dir: &Path, started: Timestamp, kind: &str) -> Result<File> {
    let mut at = started;
    loop {
        let path = dir.join(format!("{}-{kind}.{NEW}", at.strftime("%Y%m%dT%H%M%SZ")));
        if !path.with_extension(TOLD).exists() {
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                opened => return opened.context(|| format!("cannot open {path:?}")),
            }
        }
        at += SignedDuration::from_secs(1);
    }
}

fn make(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.context(|| format!("cannot make the folder {dir:?}"))
}

/// Leaves room for one more.
fn sweep(dir: &Path, most: usize) -> Result<()> {
    let names = names(dir)?;
    for name in names.iter().rev().skip(most.saturating_sub(1)) {
        let path = dir.join(name);
        fs::remove_file(&path).context(|| format!("cannot remove {path:?}"))?;
    }
    Ok(())
}

/// The files of runs, oldest first: their names begin with the time.
fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let doing = || format!("cannot look into {dir:?}");
    for entry in fs::read_dir(dir).context(doing)? {
        if let Ok(name) = entry.context(doing)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What a run had to say that was not told yet.
pub(super) struct Untold {
    /// The run: its time and kind.
    pub(super) name: String,
    /// Its lines.
    pub(super) lines: Vec<u8>,
    path: PathBuf,
}

impl Untold {
    /// It was told.
    pub(super) fn is_told(&self) -> Result<()> {
        durable::rename(&self.path, &self.path.with_extension(TOLD))
    }
}

/// Of the runs that are over and were not told yet `most`, oldest first. Of one that died it is said that it did.
pub(super) fn untold(state: &Path, most: usize) -> Result<Vec<Untold>> {
    let dir = state.join(DIR);
    let mut all = Vec::new();
    for file in names(&dir)? {
        let Some(name) = file.strip_suffix(NEW).and_then(|name| name.strip_suffix('.')) else { continue };
        let path = dir.join(&file);
        let mut lines = durable::read(&path, 2 * MAX as u64)?;
        let parsed = || lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        if parsed().next_back().is_none_or(|last| last.outcome.is_none()) {
            let process = parsed().next().and_then(|first| first.run).map(|run| run.process);
            if process.is_some_and(|process| process::is_alive(&process)) {
                continue;
            }
            let (text, outcome) = ("it ended without a word".to_owned(), Some(Outcome::Died.name().to_owned()));
            lines.extend(bytes_of(&Line {
                at: Timestamp::now(),
                level: "error".into(),
                text,
                outcome,
                ..Line::default()
            }));
        }
        all.push(Untold { name: name.to_owned(), lines, path });
        if all.len() == most {
            break;
        }
    }
    Ok(all)
}
