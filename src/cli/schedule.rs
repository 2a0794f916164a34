//! `tillstick schedule`: when the next backups are due.

use jiff::Timestamp;

use super::{Context, Exit, say};
use crate::error::Result;
use crate::policy::schedule::upcoming;

/// So many are shown.
const SHOWN: usize = 5;

pub(super) fn run(context: &Context) -> Result<Exit> {
    let config = context.config()?;
    let (zone, lang) = (config.zone()?, config.lang);
    let due: Vec<Timestamp> = match config.schedule.policy() {
        Some(rule) => upcoming(&rule, &zone, Timestamp::now()).take(SHOWN).collect(),
        None => Vec::new(),
    };
    context.screen.result(&due, |due| match due.is_empty() {
        true => {
            let none = lang.pick(
                "Es wird nur gesichert, wenn ein Stick eingesteckt wird oder jemand es verlangt.",
                "Backups are made only when a stick is plugged in or somebody asks.",
                "Solo se respalda al conectar una memoria o cuando alguien lo pide.",
            );
            vec![none.to_owned()]
        }
        false => due.iter().map(|due| say::moment(*due, &zone)).collect(),
    })?;
    Ok(Exit::Done)
}
