//! `tillstick store`: setting stores up, trying them out, and the end of a contract.

use std::io::IsTerminal;

use super::{Context, Exit, in_store, say};
use crate::error::{Error, Kind, Result};
use crate::job::stores::probe::{Step, probe};
use crate::job::stores::{self, purge};
use crate::model::FileName;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Set a folder up as a store, once, while its disk is mounted.
    Init(Init),
    /// Write, list, read and delete a probe, and say what is missing.
    Test(Test),
    /// Take the place of another box of this name, whose backups a store has.
    Adopt(Test),
    /// The contract's end: remove all that stores have of a customer, of every box. It asks first.
    Purge(Purge),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tillstick store init nas")]
pub(super) struct Init {
    /// The store, as the configuration names it.
    #[arg(value_name = "STORE")]
    name: FileName,
    /// The folder may lie on the disk that holds the backups of this box.
    #[arg(long)]
    same_disk: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tillstick store test nas\n  tillstick store test nas --json")]
pub(super) struct Test {
    /// The store, as the configuration names it.
    #[arg(value_name = "STORE")]
    name: FileName,
}

const PURGE_EXAMPLES: &str = "\
Examples:
  tillstick store purge --customer 104711                  from every store that is configured
  tillstick store purge --customer 104711 --store cloud    from this one";

#[derive(Debug, clap::Args)]
#[command(after_help = PURGE_EXAMPLES)]
pub(super) struct Purge {
    /// Whose backups.
    #[arg(long, value_name = "NUMBER")]
    customer: FileName,
    /// From which store, instead of all that are configured.
    #[arg(long, value_name = "STORE")]
    store: Vec<FileName>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(context: &Context, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Init(args) => init(context, args),
        Verb::Test(args) => test(context, &args.name),
        Verb::Adopt(args) => {
            in_store("go on with", &args.name, stores::adopt(&context.site()?, &args.name, &context.run()))?;
            context.screen.result(&args.name, |name| vec![format!("this box goes on with what `{name}` has")])?;
            Ok(Exit::Done)
        }
        Verb::Purge(args) => remove_all(context, args),
    }
}

fn init(context: &Context, args: &Init) -> Result<Exit> {
    let done = stores::init(&context.site()?, &args.name, args.same_disk)?;
    context.screen.result(&done, |done| {
        let what = if done.was_one { "is a store already" } else { "is a store now" };
        vec![format!("{:?} {what} (id {})", done.path, done.id)]
    })?;
    Ok(Exit::Done)
}

fn test(context: &Context, name: &FileName) -> Result<Exit> {
    let steps = probe(&context.site()?, name, &context.run())?;
    let good = steps.iter().all(|step| step.problem.is_none());
    context.screen.result(&steps, |steps| steps.iter().map(step).collect())?;
    Ok(if good { Exit::Done } else { Exit::Failed })
}

fn step(step: &Step) -> String {
    match (&step.problem, step.free.map(say::size).as_ref().or(step.said.as_ref())) {
        (Some(problem), _) => format!("FAILED  {}: {problem}", step.what),
        (None, Some(said)) => format!("good    {}: {said}", step.what),
        (None, None) => format!("good    {}", step.what),
    }
}

fn remove_all(context: &Context, args: &Purge) -> Result<Exit> {
    let site = context.site()?;
    let found = purge::find(&site, &args.customer, &args.store, &context.run())?;
    let backups: usize = found.iter().map(|found| found.backups.len()).sum();
    for found in &found {
        let newest = found.backups.first().map_or(String::new(), |id| format!(", the newest {id}"));
        let line = format!(
            "{} ({}): box {}: {} {}{newest}",
            found.store,
            found.at,
            found.box_name,
            found.backups.len(),
            say::plural(found.backups.len(), "backup", "backups"),
        );
        // Whoever is asked must see what about, however quiet the rest is.
        if args.yes { context.screen.note(&line) } else { context.screen.complain(&line) }
    }
    if found.is_empty() {
        let nothing = serde_json::json!({ "customer": args.customer, "removed": [], "done": true, "record": null });
        context.screen.result(&nothing, |_| vec![format!("no store has anything of customer {}", args.customer)])?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(Kind::Usage, "a purge asks first, and there is no terminal to ask on")
                .help("say --yes if you mean it"));
        }
        let boxes = found.len();
        let question = format!(
            "All of it goes for good: {backups} {} of {boxes} {} of customer {}.\nRemove it?",
            say::plural(backups, "backup", "backups"),
            say::plural(boxes, "box", "boxes"),
            args.customer,
        );
        if !context.screen.confirm(&question)? {
            return Err(Error::new(Kind::Cancelled, "nothing was removed"));
        }
    }
    let done = purge::purge(&site, &args.customer, found, &context.run())?;
    context.screen.result(&done, |done| {
        let customer = &done.report.customer;
        let what = say::plural(backups, "backup", "backups");
        let mut lines = vec![
            format!("removed {backups} {what} of customer {customer}"),
            format!("  the record of it: {:?}", done.record),
        ];
        if *customer == site.config.customer {
            lines.push("  this box goes on copying: set `enabled = false` for its stores, or stop it".into());
        }
        lines
    })?;
    Ok(Exit::Done)
}
