//! What is handed down through every long operation: whom to tell, and whether to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Kind, Result};

/// What a run is doing. Progress of a stage is counted in bytes unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Copying a database that is not in WAL mode into the spool, so that it is locked only in short steps.
    Snapshot,
    /// Reading the source and writing the artifact; the total is an estimate.
    Dump,
    /// Reading an artifact back.
    Verify,
    /// Encrypting a copy.
    Seal,
    /// Copying to a stick or store.
    Copy,
    /// Reading the copy back from its medium.
    ReadBack,
    /// Loading an artifact into a database.
    Load,
    /// Comparing a loaded database with its manifest, or a backup with what a store has.
    Compare,
    /// Making a file system on a stick, and reading it back.
    Format,
}

/// What a run reports while it works.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A stage begins.
    Begin {
        /// Which one.
        stage: Stage,
        /// On which object.
        what: String,
        /// How many bytes are expected; 0 when that is not known.
        total: u64,
    },
    /// The current stage has come so far.
    Progress {
        /// How many bytes are done.
        done: u64,
    },
    /// The current stage is over.
    End {
        /// Which one it was.
        stage: Stage,
    },
    /// Something a person should know although the run goes on.
    Warning {
        /// It, in one line.
        message: String,
    },
}

/// Somebody who wants to know how a run is going. Called from worker threads; must be quick and must not fail.
pub trait Monitor: Send + Sync {
    /// Takes one report.
    fn event(&self, event: Event);
}

/// A monitor that tells nobody.
pub struct Quiet;

impl Monitor for Quiet {
    fn event(&self, _: Event) {}
}

/// A flag that asks a run to end soon and leave everything consistent.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the run to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether the run was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails with [`Kind::Cancelled`] once the run was asked to end.
    pub fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::new(Kind::Cancelled, "stopped before it was finished")
                .help("nothing was lost; start it again when you like")),
            false => Ok(()),
        }
    }
}

/// The monitor and the cancel flag of one run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Whom to tell.
    pub monitor: &'a dyn Monitor,
    /// Whether to stop.
    pub cancel: &'a Cancel,
}

impl Run<'_> {
    /// Fails with [`Kind::Cancelled`] once the run was asked to end. Call it at least every few milliseconds of work.
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Reports that a stage begins.
    pub fn begin(&self, stage: Stage, what: impl Into<String>, total: u64) {
        self.monitor.event(Event::Begin { stage, what: what.into(), total });
    }

    /// Reports how many bytes of the current stage are done, and fails once cancelled.
    pub fn progress(&self, done: u64) -> Result<()> {
        self.monitor.event(Event::Progress { done });
        self.check()
    }

    /// Reports that the current stage is over.
    pub fn end(&self, stage: Stage) {
        self.monitor.event(Event::End { stage });
    }

    /// Reports something a person should know although the run goes on.
    pub fn warn(&self, message: impl Into<String>) {
        self.monitor.event(Event::Warning { message: message.into() });
    }
}
