//! `tillstick recover`: a fresh box gets everything back from a stick or a store.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Context, Exit, lang_of_environment, say};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::job::recover::{self, Plan};
use crate::job::{RecoverFrom, StickAt, StoreAt};
use crate::model::{BackupId, FileName};

const EXAMPLES: &str = "\
Examples:
  tillstick recover /dev/sdb                     database and configuration to where they were
  tillstick recover stick.img --into /tmp/look   everything into one folder
  tillstick recover /dev/sdb --box kasse-2       when several boxes share the stick
  tillstick recover --stores access.toml         from a store that the file names as tillstick.toml does";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The stick: an image file, a block device, or the folder where it is mounted.
    #[arg(value_name = "STICK", required_unless_present = "stores", conflicts_with = "stores")]
    stick: Option<PathBuf>,
    /// From a store: a file that names it as tillstick.toml does, in [stores.NAME]; nothing else in it counts.
    #[arg(long, value_name = "FILE")]
    stores: Option<PathBuf>,
    /// Which store of that file, when it names several.
    #[arg(long, value_name = "STORE", requires = "stores")]
    store: Option<FileName>,
    /// Which customer's backups, when several share the store.
    #[arg(long, value_name = "NUMBER", requires = "stores")]
    customer: Option<FileName>,
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
    #[arg(long, conflicts_with = "stores")]
    plain_folder: bool,
    /// The file with the key of an encrypted backup, as `age-keygen` makes it.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let from = match (args.stick, &args.stores) {
        (Some(path), _) => RecoverFrom::Stick(StickAt { path, plain_folder: args.plain_folder }),
        (None, Some(file)) => RecoverFrom::Store(store_of(file, args.store.as_ref())?, args.customer.clone()),
        (None, None) => return Err(Error::new(Kind::Usage, "name a stick, or a store with --stores FILE")),
    };
    let (name, into, path) = (args.box_name.as_deref(), args.into.as_deref(), &context.config);
    let identities = args.identity.as_deref().map(recover::identities).transpose()?.unwrap_or_default();
    let plan = recover::plan(&from, (name, args.id.as_ref()), into, path, identities, &context.run())?;
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
        lines.extend(report.servers.iter().map(|name| format!("  on its server  {name:?}")));
        lines.push(format!("  configuration  {:?}", report.config));
        lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
        lines
    })?;
    Ok(Exit::Done)
}

fn store_of(file: &Path, name: Option<&FileName>) -> Result<StoreAt> {
    let mut stores = config::load_stores(file)?;
    let names: Vec<String> = stores.keys().map(ToString::to_string).collect();
    let chosen = match (name, stores.len()) {
        (Some(name), _) => stores.remove_entry(name),
        (None, 1) => stores.pop_first(),
        (None, _) => None,
    };
    let (name, config) = chosen.ok_or_else(|| {
        Error::new(Kind::Usage, format!("which store of {file:?} is meant?"))
            .help(format!("choose one with --store: {}", names.join(", ")))
    })?;
    Ok(StoreAt { name, config })
}

fn describe(plan: &Plan) -> Vec<String> {
    let manifest = plan.manifest();
    let lang = lang_of_environment();
    let mut lines = vec![
        format!("customer     {}", manifest.customer),
        format!("box          {} ({})", manifest.box_name, manifest.box_id),
        format!("backup       {}, {}", manifest.id, say::age(plan.age_seconds(Timestamp::now()), lang)),
        format!("fingerprint  {}", plan.fingerprint),
        match &plan.signed_by {
            Some(key) => format!("signed by    {} (`tillstick key show` said this on that box)", key.fingerprint()),
            None => "NOT SIGNED   whoever can write to this medium may have made it".to_owned(),
        },
    ];
    lines.extend(
        plan.passed_over
            .iter()
            .map(|id| format!("NOT USED     {id}: newer, but some of its files are missing or damaged")),
    );
    for (facts, path) in &plan.databases {
        let rows: u64 = facts.facts.tables.iter().map(|table| table.rows).sum();
        let there = if plan.recovered.contains(path) { " (there already, and equal)" } else { "" };
        let where_to = match plan.is_of_a_server(facts) {
            true => "its server, where that has no such database; else put beside".to_owned(),
            false => format!("{path:?}{there}"),
        };
        lines.push(format!("database     {}: {} rows -> {where_to}", facts.name, say::count(rows)));
    }
    for (facts, target) in &plan.files {
        let to = target.as_ref().map_or("stay on the stick".to_owned(), |target| format!("-> {target:?}"));
        lines.push(format!("files        {}: {to}", facts.name));
    }
    lines.push(format!("config       -> {:?}", plan.config_path));
    lines
}
