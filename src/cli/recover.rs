//! `tillstick recover`: a fresh box gets everything back from a stick.

use std::io::IsTerminal;
use std::path::PathBuf;

use jiff::Timestamp;

use super::{Context, Exit, lang_of_environment, say};
use crate::error::{Error, Kind, Result};
use crate::job::StickAt;
use crate::job::recover::{self, Plan};
use crate::model::BackupId;

const EXAMPLES: &str = "\
Examples:
  tillstick recover /dev/sdb                     database and configuration to where they were
  tillstick recover stick.img --into /tmp/look   everything into one folder
  tillstick recover /dev/sdb --box kasse-2       when several boxes share the stick";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The stick: an image file, a block device, or the folder where it is mounted.
    #[arg(value_name = "STICK")]
    stick: PathBuf,
    /// Which box's backups, when several share the stick.
    #[arg(long = "box", value_name = "NAME")]
    box_name: Option<String>,
    /// Which backup, instead of the newest.
    #[arg(long, value_name = "ID")]
    id: Option<BackupId>,
    /// Put everything into this folder instead of where it was.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The stick may be a folder that lies on no block device.
    #[arg(long)]
    plain_folder: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let at = StickAt { path: args.stick, plain_folder: args.plain_folder };
    let (name, into, config) = (args.box_name.as_deref(), args.into.as_deref(), &context.config);
    let plan = recover::plan(&at, name, args.id.as_ref(), into, config, &context.run())?;
    for line in describe(&plan) {
        match args.yes {
            true => context.screen.note(&line),
            // Whoever is asked must see what about, however quiet the rest is.
            false => context.screen.complain(&line),
        }
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(Kind::Usage, "a recovery asks first, and there is no terminal to ask on")
                .help("say --yes if you mean it"));
        }
        if !context.screen.confirm("Is this the right one?")? {
            return Err(Error::new(Kind::Cancelled, "nothing was changed"));
        }
    }
    let report = recover::carry_out(plan, &context.run())?;
    context.screen.result(&report, |report| {
        let mut lines = vec![format!("recovered {}: {} rows, checked", report.id, say::count(report.rows))];
        lines.extend(report.databases.iter().map(|path| format!("  database       {path:?}")));
        lines.push(format!("  configuration  {:?}", report.config));
        lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
        lines
    })?;
    Ok(Exit::Done)
}

fn describe(plan: &Plan) -> Vec<String> {
    let manifest = plan.manifest();
    let lang = lang_of_environment();
    let mut lines = vec![
        format!("customer     {}", manifest.customer),
        format!("box          {} ({})", manifest.box_name, manifest.box_id),
        format!("backup       {}, {}", manifest.id, say::age(plan.age_seconds(Timestamp::now()), lang)),
        format!("fingerprint  {}", plan.fingerprint),
    ];
    lines.extend(
        plan.passed_over
            .iter()
            .map(|id| format!("NOT USED     {id}: newer, but some of its files are missing or damaged")),
    );
    for (facts, path) in &plan.databases {
        let rows: u64 = facts.facts.tables.iter().map(|table| table.rows).sum();
        let there = if plan.recovered.contains(path) { " (there already, and equal)" } else { "" };
        lines.push(format!("database     {}: {} rows -> {path:?}{there}", facts.name, say::count(rows)));
    }
    lines.push(format!("config       -> {:?}", plan.config_path));
    lines
}
