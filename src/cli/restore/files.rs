//! `tillstick restore` of files: the preview, the question, and what came of it.

use std::io::IsTerminal;

use super::super::{Context, Exit, say};
use super::{Args, label_of};
use crate::error::{Error, Kind, Result};
use crate::job::Site;
use crate::job::provenance::Trust;
use crate::job::restore::{Chosen, Origin};
use crate::job::restore_files::{self, Content, Report};
use crate::model::FileName;
use crate::source::files::{Change, Changes};

/// So many paths are told on a terminal.
const SHOWN: usize = 20;

pub(super) fn run(
    context: &Context,
    args: &Args,
    site: Option<Site>,
    origin: &Origin,
    chosen: &mut Chosen,
    trust: &Trust,
) -> Result<Exit> {
    if let Some(target) = &args.into {
        if args.dry_run {
            return Err(Error::new(Kind::Usage, "a preview of files tells what a restore in place would change")
                .help("leave --into or --dry-run out"));
        }
        let report = restore_files::into(site.as_ref(), chosen, target, &context.run())?;
        context.screen.result(&report, lines)?;
        return Ok(Exit::Done);
    }
    let site = match site {
        Some(site) => site,
        None => context.site()?,
    };
    let name = source_of(chosen, args)?;
    let files = restore_files::source(&site, &name)?;
    let content = Content { site: &site, origin, chosen, trust };
    if args.dry_run {
        let changes = restore_files::preview(&content, &files, &context.run())?;
        context.screen.result(&changes, |changes| preview(changes, "would be"))?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(Kind::Usage, "a restore in place asks first, and there is no terminal to ask on")
                .help("look at it with --dry-run, and say --yes if you mean it"));
        }
        let changes = restore_files::preview(&content, &files, &context.run())?;
        let what = preview(&changes, "will be").join("\n");
        if !context.screen.confirm(&format!("{what}\nWhat is replaced is kept. Go on?"))? {
            return Err(Error::new(Kind::Cancelled, "nothing was changed"));
        }
    }
    let report = restore_files::in_place(&content, &name, &label_of(origin), &context.run())?;
    context.screen.result(&report, lines)?;
    Ok(Exit::Done)
}

fn source_of(chosen: &Chosen, args: &Args) -> Result<FileName> {
    let known = chosen.facts.as_ref().map(|facts| facts.source.clone());
    known.or_else(|| args.source.clone()).ok_or_else(|| {
        Error::new(Kind::Usage, "a file does not say which source it is of").help("name it with --source")
    })
}

fn preview(changes: &Changes, will: &str) -> Vec<String> {
    let Changes { new, replaced, attributes, same, foreign, paths } = changes;
    let mut lines = vec![format!(
        "{} {will} new, {} {will} replaced, {} get back owner, rights or times, {} are the same",
        say::count(*new),
        say::count(*replaced),
        say::count(*attributes),
        say::count(*same),
    )];
    if *foreign > 0 {
        lines.push(format!("  {} are none of this source and stay out", say::count(*foreign)));
    }
    for (change, path) in paths.iter().take(SHOWN) {
        let word = match change {
            Change::New => "new",
            Change::Replaced => "replaced",
            Change::Attributes => "attributes",
            Change::Same => "same",
            Change::Foreign => "stays out",
        };
        lines.push(format!("  {word:10}  {}", path.escape_debug()));
    }
    let told = paths.len().min(SHOWN) as u64;
    let more = new + replaced + attributes + foreign - told;
    if more > 0 {
        lines.push(format!("  and {} more", say::count(more)));
    }
    lines
}

pub(in super::super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = match (&report.target, &report.changes) {
        (Some(target), _) => vec![format!(
            "restored {} files, folders and links ({}) into {target:?}",
            say::count(report.entries),
            say::size(report.bytes)
        )],
        (None, Some(changes)) => preview(changes, "were"),
        (None, None) => Vec::new(),
    };
    for aside in &report.set_aside {
        lines.push(format!("  what was replaced is now in {aside:?}; delete it when you no longer need it"));
    }
    lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines
}
