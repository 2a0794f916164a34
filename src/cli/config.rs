//! `tillstick config`: check, show or explain the configuration.

use super::{Context, Exit, say};
use crate::config::{self, Config, SourceKind, example};
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

/// A configuration may be written before its till is there, but mostly it is a slip of the pen.
fn missing_databases(config: &Config) -> Vec<String> {
    let sources = config.sources.iter().filter_map(|(name, source)| match &source.kind {
        SourceKind::Sqlite(sqlite) => Some((name, &sqlite.path)),
        SourceKind::Files(_) | SourceKind::Mariadb(_) | SourceKind::Postgresql(_) => None,
    });
    let missing = sources.filter(|(_, path)| !path.is_file());
    missing.map(|(name, path)| format!("note: the database of source `{name}` is not there: {path:?}")).collect()
}

fn check(context: &Context) -> Result<Exit> {
    let loaded = config::load(&context.config)?;
    context.screen.result(&loaded.files, |files| {
        let mut lines: Vec<String> = files.iter().map(|file| format!("read {file:?}")).collect();
        let sources = loaded.config.sources.len();
        let word = say::plural(sources, "source", "sources");
        lines.push(format!("the configuration of customer {} is good: {sources} {word}", loaded.config.customer));
        lines.extend(missing_databases(&loaded.config));
        lines
    })?;
    Ok(Exit::Done)
}
