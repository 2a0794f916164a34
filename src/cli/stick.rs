//! `tillstick stick inspect`: what lies on a stick, and what may be done with it.

use std::path::PathBuf;

use super::{Context, Exit, lang_of_environment};
use crate::error::Result;
use crate::job::StickAt;
use crate::job::stick_report::{self, Report};
use crate::lang::Lang;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Look at a stick, read-only, and say what may be done with it.
    Inspect {
        /// The stick: an image file, a block device, or the folder where it is mounted.
        #[arg(value_name = "STICK")]
        stick: PathBuf,
    },
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<Exit> {
    let Verb::Inspect { stick } = verb;
    // Without a configuration a stick can still be judged, only not by whose it is.
    let site = if context.config.exists() { Some(context.site()?) } else { None };
    let lang = site.as_ref().map_or_else(lang_of_environment, |site| site.config.lang);
    let report = stick_report::inspect(&StickAt { path: stick, plain_folder: false }, site.as_ref(), lang)?;
    context.screen.result(&report, |report| lines(report, lang))?;
    Ok(if report.usable { Exit::Done } else { Exit::Failed })
}

fn lines(report: &Report, lang: Lang) -> Vec<String> {
    let mut lines = report.found.clone();
    lines.push(match report.usable {
        true => lang.pick("Dieser Stick ist geeignet.", "This stick can be used.", "Esta memoria sirve.").to_owned(),
        false => report.reason.clone().unwrap_or_default(),
    });
    lines
}
