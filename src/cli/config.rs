//! `tillstick config`: check, show or explain the configuration.

use super::{Context, Exit, say};
use crate::config::{self, example};
use crate::error::Result;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Read the configuration and report every mistake with file, line and remedy.
    Check,
    /// Print the configuration in force, with all defaults.
    Show,
    /// Print an example with the meaning, unit and default of every key.
    Example,
}

pub(super) fn run(context: &Context, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Check => check(context),
        Verb::Show => context.screen.text(&config::show(&context.config()?)).map(|()| Exit::Done),
        Verb::Example => context.screen.text(example()).map(|()| Exit::Done),
    }
}

fn check(context: &Context) -> Result<Exit> {
    let loaded = config::load(&context.config)?;
    context.screen.result(&loaded.files, |files| {
        let mut lines: Vec<String> = files.iter().map(|file| format!("read {file:?}")).collect();
        let sources = loaded.config.sources.len();
        let word = say::plural(sources, "source", "sources");
        lines.push(format!("the configuration of customer {} is good: {sources} {word}", loaded.config.customer));
        lines
    })?;
    Ok(Exit::Done)
}
