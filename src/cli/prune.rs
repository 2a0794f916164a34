//! `tillstick prune`: the clean-up, with a reason for whatever stays and whatever goes.

use super::{Context, Exit, StickFlag, StoreFlag, in_store};
use crate::error::Result;
use crate::job::prune::{self, Judged, Report};
use crate::job::stores;

const EXAMPLES: &str = "\
Examples:
  tillstick prune --dry-run                   what would stay and what would go, and why
  tillstick prune                             as [retention] says; each backup does it by itself afterwards
  tillstick prune --stick /dev/sdb            this box's backups on a stick, down to sticks.keep
  tillstick prune --store nas                 this box's backups in a store, as its own retention says";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Say what would be done and change nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    stick: StickFlag,
    #[command(flatten)]
    store: StoreFlag,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let site = context.site()?;
    let report = match (args.stick.at(), args.store.at(&site)?) {
        (Some(stick), _) => prune::on_stick(&site, &stick, args.dry_run, &context.run())?,
        (None, Some(at)) => {
            in_store("clean up", &at.name, stores::prune::prune(&site, &at, args.dry_run, &context.run()))?
        }
        (None, None) => prune::primary(&site, args.dry_run, &context.run())?,
    };
    context.screen.result(&report, lines)?;
    Ok(Exit::Done)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.backups.iter().map(line).collect();
    lines.extend(report.databases.iter().map(|database| {
        let fate = if database.keep { "keep  " } else { "drop  " };
        format!("{fate}  {:?} on the server of `{}`  {}", database.name, database.source, database.reason)
    }));
    let kept = report.backups.iter().filter(|backup| backup.keep).count();
    let gone = report.backups.len() - kept;
    lines.extend(report.suspended.as_ref().map(|why| format!("nothing is pruned now: {why}")));
    lines.push(match report.dry_run {
        true => format!("would keep {kept} and delete {gone}; nothing was changed"),
        false => format!("kept {kept}, deleted {gone}"),
    });
    lines
}

fn line(backup: &Judged) -> String {
    let fate = if backup.keep { "keep  " } else { "delete" };
    let guessed = match backup.made {
        Some(made) if backup.guessed => format!("; its clock was wrong, taken for {}", made.strftime("%Y-%m-%d")),
        _ => String::new(),
    };
    format!("{fate}  {}  {}{guessed}", backup.id, backup.reasons.join("; "))
}
