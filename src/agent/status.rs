//! How the box stands, as the agent tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Agent;
use super::plugs::{Plug, State};
use crate::error::Result;
use crate::job::Site;
use crate::job::status::{self, Status};
use crate::lang::Lang;
use crate::model::{Cancel, Quiet, Run, Stage};
use crate::policy::signal::Signal;
use crate::policy::slot::Slot;

/// How the box stands while an agent runs on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The backups and their copies.
    #[serde(flatten)]
    pub backups: Status,
    /// What only the agent knows.
    pub agent: Live,
}

/// What only the agent knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Live {
    /// What the light shows.
    pub signal: Signal,
    /// What is being done, while a backup is made.
    pub stage: Option<Stage>,
    /// When the next backup is due.
    pub next: Option<Timestamp>,
    /// What is plugged in.
    pub sticks: Vec<StickStatus>,
    /// What the last person who did something should know.
    pub trouble: Option<String>,
    /// Why the box needs somebody although it works.
    pub problem: Option<String>,
}

/// How far one stick has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stick {
    /// It is being looked at.
    Looking,
    /// It is a TSE, and stays untouched.
    Tse,
    /// It is not written.
    Refused,
    /// It could not be judged, and stays untouched.
    Unjudged,
    /// It waits for its copy.
    Waiting,
    /// It receives its copy.
    Copying,
    /// Its copy was read back, and it may be pulled.
    Safe,
    /// It has a copy, and something is to be known before it is pulled.
    Warned,
    /// Its copy failed.
    Failed,
    /// It is being formatted.
    Formatting,
}

/// One stick, or TSE, that is plugged in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StickStatus {
    /// Its device, such as `/dev/sdb`.
    pub device: String,
    /// How far it has come.
    pub state: Stick,
    /// Why, in the words of the shop or of the system.
    pub why: Option<String>,
    /// Its file system's id.
    pub label: Option<String>,
    /// Its slot, such as `/media/usb1`.
    pub slot: Option<String>,
    /// Whether it can be found there now.
    pub mounted: bool,
}

impl StickStatus {
    /// `None` for what is no stick.
    fn of(plug: &Plug, lang: Lang) -> Option<Self> {
        let (state, why) = match &plug.state {
            State::NoStick => return None,
            State::Looking => (Stick::Looking, None),
            State::Tse(sign) => (Stick::Tse, Some(sign.clone())),
            State::Refused(reason) => (Stick::Refused, Some(reason.text(lang))),
            State::Unjudged(why) => (Stick::Unjudged, Some(why.clone())),
            State::Waiting => (Stick::Waiting, None),
            State::Copying => (Stick::Copying, None),
            State::Done { stale: false, may_be_pulled: true } => (Stick::Safe, None),
            State::Done { stale: true, .. } => {
                let older = lang.pick(
                    "Es konnte nur eine ältere Sicherung kopiert werden.",
                    "Only an older backup could be copied.",
                    "Solo se pudo copiar un respaldo anterior.",
                );
                (Stick::Warned, Some(older.to_owned()))
            }
            State::Done { .. } => {
                let in_use = lang.pick(
                    "Ein anderes Programm benutzt den Stick noch: dort erst auswerfen.",
                    "Another program still uses the stick: eject it there first.",
                    "Otro programa aún usa la memoria: expúlsela allí primero.",
                );
                (Stick::Warned, Some(in_use.to_owned()))
            }
            State::Failed(why) => (Stick::Failed, Some(why.clone())),
            State::Formatting => (Stick::Formatting, None),
        };
        let at = plug.slot.as_ref().and_then(Slot::path);
        Some(Self {
            device: plug.disk.node.display().to_string(),
            state,
            why,
            label: plug.usable.as_ref().map(|usable| usable.label.clone()),
            slot: at.map(|at| at.display().to_string()),
            mounted: plug.shown_at.is_some() || matches!(plug.slot, Some(Slot::Theirs(_))),
        })
    }
}

impl Agent {
    /// What only the agent knows, as of now.
    pub(super) fn live(&self) -> Live {
        let lang = self.site.config.lang;
        let sticks = self.plugs().iter().filter_map(|(_, plug)| StickStatus::of(plug, lang)).collect();
        Live {
            signal: self.teller.shown(),
            stage: self.stage,
            next: self.timetable.next(Timestamp::now()),
            sticks,
            trouble: self.trouble.clone(),
            problem: self.problem.clone(),
        }
    }
}

/// Adds what the folders say; it reads them, so it is for a thread.
pub(super) fn with_backups(site: &Site, live: Live) -> Result<AgentStatus> {
    let cancel = Cancel::default();
    let run = Run { monitor: &Quiet, cancel: &cancel };
    let mut backups = status::status(site, Timestamp::now(), &run)?;
    backups.green &= live.trouble.is_none() && live.problem.is_none();
    Ok(AgentStatus { backups, agent: live })
}
