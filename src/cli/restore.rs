//! `tillstick restore`: an artifact becomes a database again.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::{Context, Exit, in_store, say};
use crate::config::{Config, SourceKind};
use crate::error::{Error, Kind, Result};
use crate::job::StoreAt;
use crate::job::provenance::Trust;
use crate::job::restore::{self, Origin, Report};
use crate::job::{Site, served};
use crate::model::{BackupId, FileName, TableRows};

mod files;
pub(super) use files::lines as lines_of_files;

const EXAMPLES: &str = "\
Examples:
  tillstick restore 20261122T200002Z --into /tmp/look.db    beside the database in use
  tillstick restore 104711_kasse.sql.gz --into new.db       from a file; needs no configuration
  tillstick restore 20261122T200002Z --store nas --into new.db   from a store
  tillstick restore 104711_kasse.sql.gz.age --identity key.txt --into new.db   an encrypted one
  tillstick restore 20261122T200002Z --in-place             the old database is set aside, not deleted
  tillstick restore 20261122T200002Z --source web --dry-run    what would change of the files of `web`
  tillstick restore 20261122T200002Z --source web --in-place   what is replaced is kept beside it
  tillstick restore 20261122T200002Z --source shop --into shop_look    a new database on the source's server
  tillstick restore 20261122T200002Z --source shop --in-place --dry-run   what would be done
  tillstick restore 20261122T200002Z --source shop_accounts --into accounts.sql   to look through, and load by hand";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A backup's id, or a .sql.gz, .sql or .tar.gz file.
    #[arg(value_name = "ID|FILE")]
    what: String,
    /// Which source of the backup.
    #[arg(long, value_name = "NAME")]
    source: Option<FileName>,
    /// From this store instead of the backups here.
    #[arg(long, value_name = "STORE")]
    store: Option<FileName>,
    /// Make a new database or folder: at this path, or of this name on the source's server.
    #[arg(long, value_name = "PATH|NAME", required_unless_present_any = ["in_place", "dry_run"], conflicts_with = "in_place")]
    into: Option<PathBuf>,
    /// Put it in the place of the source's database or files; what is replaced is set aside.
    #[arg(long)]
    in_place: bool,
    /// Of a server: drop the old database once the new one is in its place, instead of keeping it.
    #[arg(long, requires = "in_place")]
    drop_old: bool,
    /// Tell what would be restored, and what that would change; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The file with the key of an encrypted backup, as `age-keygen` makes it.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Believe a backup that no known box has signed.
    #[arg(long)]
    trust_unknown: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let (mut site, origin) = match args.what.parse::<BackupId>() {
        Ok(id) => {
            let (site, source) = (context.site()?, args.source.clone());
            let origin = match &args.store {
                Some(name) => Origin::Store { at: StoreAt::of(&site, name)?, id, source },
                None => Origin::Backup { id, source },
            };
            (Some(site), origin)
        }
        Err(error) if args.store.is_some() => return Err(error),
        Err(_) => (None, Origin::File(PathBuf::from(&args.what))),
    };
    if site.is_none() && args.source.is_some() {
        // The source's server may be what the file is restored to.
        site = Some(context.site()?);
    }
    let trust = Trust::of(site.as_ref(), args.trust_unknown, args.identity.as_deref())?;
    let chosen = restore::choose(site.as_ref(), &origin, &trust, &context.run());
    let mut chosen = match &origin {
        Origin::Store { at, .. } => in_store("restore from", &at.name, chosen)?,
        _ => chosen?,
    };
    if chosen.is_files() {
        return files::run(context, &args, site, &origin, &mut chosen, &trust);
    }
    if chosen.is_accounts() {
        return accounts(context, &args, &mut chosen);
    }
    if let (Some(site), Some(target)) = (&site, served::target(site.as_ref(), &chosen, args.source.as_ref())?) {
        return to_server(context, site, &args, &origin, &mut chosen, &target);
    }
    if args.dry_run {
        return preview(context, &args, &chosen, "a file beside the till's database, or its place");
    }
    let report = match args.into {
        Some(target) => restore::into(site.as_ref(), &mut chosen, &target, &context.run())?,
        None => {
            let site = match site {
                Some(site) => site,
                None => context.site()?,
            };
            let source = chosen.facts.as_ref().map(|facts| facts.source.clone()).or(args.source);
            let (source, database) = database_of(&site.config, source)?;
            agree(context, &args.what, &database, args.yes)?;
            restore::in_place(&site, &mut chosen, &source, &database, &label_of(&origin), &context.run())?
        }
    };
    context.screen.result(&report, lines)?;
    Ok(Exit::Done)
}

/// Accounts are shown or written, and put back by a person.
fn accounts(context: &Context, args: &Args, chosen: &mut restore::Chosen) -> Result<Exit> {
    match &args.into {
        _ if args.in_place => Err(Error::new(
            Kind::Usage,
            "accounts are not put back by themselves: some may have been closed since the backup",
        )
        .help(
            "look at them with --dry-run, write them with --into FILE, and load what you want with the server's client",
        )),
        Some(target) if !args.dry_run => {
            restore::accounts_into(chosen, target)?;
            context.screen.result(target, |target| {
                vec![format!("wrote {target:?}: look through it, and load it with the server's client")]
            })?;
            Ok(Exit::Done)
        }
        _ => {
            let text = restore::accounts(chosen)?;
            context.screen.result(&text, |text| text.lines().map(str::to_owned).collect())?;
            Ok(Exit::Done)
        }
    }
}

/// A server keeps the database.
fn to_server(
    context: &Context,
    site: &Site,
    args: &Args,
    origin: &Origin,
    chosen: &mut restore::Chosen,
    target: &served::Target,
) -> Result<Exit> {
    let name = args.into.as_ref().map(|path| path.to_string_lossy().into_owned());
    if args.dry_run {
        let place = match &name {
            Some(name) => format!("a new database {name:?} on the server"),
            None => {
                format!("{0:?}, which stays on the server as \"{0}_before_{1}\"", target.database, label_of(origin))
            }
        };
        return preview(context, args, chosen, &place);
    }
    let report = match name {
        Some(name) => served::into(site, chosen, target, &name, &context.run())?,
        None => {
            agree(context, &args.what, target.database.as_ref(), args.yes)?;
            served::in_place(site, chosen, target, &label_of(origin), args.drop_old, &context.run())?
        }
    };
    context.screen.result(&report, lines)?;
    Ok(Exit::Done)
}

/// What would be restored, and where to; nothing is changed.
fn preview(context: &Context, args: &Args, chosen: &restore::Chosen, place: &str) -> Result<Exit> {
    context.screen.result(&chosen.facts, |facts| {
        let mut lines = vec![format!("{} would be restored into {place}; nothing was changed", args.what)];
        if let Some(facts) = facts {
            lines.push(format!("  {} of {} text", facts.name, say::size(facts.text.size)));
            let row = |table: &TableRows| format!("  {:>12} rows  {}", say::count(table.rows), table.name);
            lines.extend(facts.facts.tables.iter().map(row));
        }
        lines
    })?;
    Ok(Exit::Done)
}

/// What is set aside is called after this.
fn label_of(origin: &Origin) -> String {
    match origin {
        Origin::Backup { id, .. } | Origin::Store { id, .. } => id.to_string(),
        Origin::File(_) => BackupId::next(jiff::Timestamp::now(), None).to_string(),
    }
}

fn database_of(config: &Config, source: Option<FileName>) -> Result<(FileName, PathBuf)> {
    let names: Vec<&FileName> = config.sources.keys().collect();
    let name = match (source, names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => (*only).clone(),
        (None, _) => {
            let list: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Err(Error::new(Kind::Usage, "there are several sources")
                .help(format!("choose one with --source: {}", list.join(", "))));
        }
    };
    match config.sources.get(&name).map(|source| &source.kind) {
        Some(SourceKind::Sqlite(sqlite)) => Ok((name, sqlite.path.clone())),
        _ => Err(Error::new(Kind::Usage, format!("the configuration has no SQLite source `{name}`"))
            .help("use --into, or name one with --source")),
    }
}

fn agree(context: &Context, what: &str, database: &std::path::Path, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "a restore in place asks first, and there is no terminal to ask on")
            .help("say --yes if you mean it"));
    }
    let question = format!(
        "{what} will take the place of {database:?}; the database that is there now is kept beside it, under another name.\nGo on?"
    );
    match context.screen.confirm(&question)? {
        true => Ok(()),
        false => Err(Error::new(Kind::Cancelled, "nothing was changed")),
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("restored {:?}: {} rows, checked", report.database, say::count(report.rows))];
    if let Some(aside) = &report.set_aside {
        lines.push(format!("  the database that was there is now {aside:?}; delete it when you no longer need it"));
    }
    lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines
}
