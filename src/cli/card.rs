//! `tillstick card`: the card with the light's patterns and the beeps, to print and stick on the box.

use std::path::PathBuf;

use super::{Context, Exit, lang_of_environment};
use crate::error::Result;
use crate::feedback::card;
use crate::host::durable;
use crate::lang::Lang;

const EXAMPLES: &str = "\
Examples:
  tillstick card --lang de -o card.svg
  tillstick card --lang es | rsvg-convert -f pdf -o card.pdf";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// de, en or es; else the shop's.
    #[arg(long)]
    lang: Option<Lang>,
    /// Where to write it, instead of to stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let lang = match args.lang {
        Some(lang) => lang,
        None if context.config.exists() => context.config()?.lang,
        None => lang_of_environment(),
    };
    let svg = card::svg(lang);
    match &args.output {
        Some(path) => {
            durable::write(path, svg.as_bytes(), 0o644)?;
            context.screen.note(&format!("written to {path:?}"));
        }
        None => context.screen.text(&svg)?,
    }
    Ok(Exit::Done)
}
