//! The command line: one thin file per verb. The only room that writes to the terminal.

mod agent;
mod backup;
mod card;
mod check;
mod config;
mod copy;
mod dump;
mod format;
mod init;
mod key;
mod list;
mod load;
mod manual;
mod prune;
mod quiesce;
mod recover;
mod restore;
mod say;
mod schedule;
mod screen;
mod status;
mod stick;
mod store;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, LogConfig, LogTarget};
use crate::error::{Context as _, Error, Kind, Result};
use crate::host::signals;
use crate::job::{Site, StickAt, StoreAt, outbox, quiesce as quiesce_owed};
use crate::lang::Lang;
use crate::model::{Cancel, FileName};
use crate::source::sqlite;
use crate::stick::probe::apart;
use screen::Screen;

const AFTER_HELP: &str = "\
Examples:
  tillstick init                                 make a configuration by answering questions
  tillstick backup                               back up every configured source
  tillstick backup --stick /dev/sdb              ... and copy it to a stick
  tillstick copy --to nas                        ... to a store
  tillstick list                                 the backups that are there
  tillstick restore 20261122T200002Z --into new.db
  tillstick recover /dev/sdb                     a fresh box gets everything back from a stick
  tillstick dump sqlite:kasse.db -o kasse.sql.gz   without any configuration

Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration; nothing was started
  3  partly: the backup was made, and some of its copies failed";

/// Backs a till's database up onto a USB stick, and proves that it can be read back.
#[derive(Debug, Parser)]
#[command(name = "tillstick", version, after_long_help = AFTER_HELP, after_help = "`tillstick --help` shows examples.")]
pub struct Cli {
    /// The configuration file; `conf.d/*.toml` beside it is read too.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/tillstick/tillstick.toml")]
    config: PathBuf,
    /// Print the result as one JSON document, and progress as JSON lines on stderr.
    #[arg(long, global = true)]
    json: bool,
    /// Print errors only.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log what is done and decided; twice for more.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a commented configuration, by questions or by flags.
    Init(init::Args),
    /// Check, show or explain the configuration.
    #[command(subcommand)]
    Config(config::Verb),
    /// Run on the box: back up whenever a stick is plugged in, until SIGTERM.
    Agent(agent::Args),
    /// Back up every source, and copy the backup to a stick and to the stores.
    Backup(backup::Args),
    /// Copy a backup to stores.
    Copy(copy::Args),
    /// List the backups that are there, those in a store, or those on a stick, of every box (which needs no configuration).
    List(list::Args),
    /// Check that backups are what they were, and with a drill that they restore.
    Check(check::Args),
    /// Make a database, or files, of a backup again.
    Restore(restore::Args),
    /// Get a fresh box's database and configuration back from a stick.
    Recover(recover::Args),
    /// Remove the backups that are no longer to be kept, with a reason for each that stays or goes.
    Prune(prune::Args),
    /// Hold everything still while a snapshot is taken, and let it go again.
    Quiesce(quiesce::Args),
    /// Show how this box stands.
    Status(status::Args),
    /// Show when the next backups are due.
    Schedule,
    /// Look at a stick.
    #[command(subcommand)]
    Stick(stick::Verb),
    /// Set stores up, try them out, or remove all that they have of a customer.
    #[command(subcommand)]
    Store(store::Verb),
    /// Show and choose by whose signatures backups are believed.
    #[command(subcommand)]
    Key(key::Verb),
    /// Draw the card with the light's patterns and the beeps, as SVG.
    Card(card::Args),
    /// Dump a database into a .sql.gz, or a folder into a .tar.gz; needs no configuration.
    Dump(dump::Args),
    /// Load a .sql.gz into a new database, or a .tar.gz into a new folder; needs no configuration.
    Load(load::Args),
    /// Print the shell completions.
    Completions(manual::Completions),
    /// Print the manual page.
    #[command(hide = true)]
    Man,
}

/// A stick that a verb may be told to use.
#[derive(Debug, clap::Args)]
struct StickFlag {
    /// The stick: an image file, a block device, or the folder where it is mounted.
    #[arg(long, value_name = "PATH")]
    stick: Option<PathBuf>,
    /// The stick may be a folder that lies on no block device.
    #[arg(long, requires = "stick")]
    plain_folder: bool,
}

impl StickFlag {
    fn at(&self) -> Option<StickAt> {
        self.stick.clone().map(|path| StickAt { path, plain_folder: self.plain_folder })
    }
}

/// A store that a verb may be told to use.
#[derive(Debug, clap::Args)]
struct StoreFlag {
    /// The store, as the configuration names it.
    #[arg(long, value_name = "STORE", conflicts_with = "stick")]
    store: Option<FileName>,
}

impl StoreFlag {
    fn at(&self, site: &Site) -> Result<Option<StoreAt>> {
        self.store.as_ref().map(|name| StoreAt::of(site, name)).transpose()
    }
}

/// Says of a failure in which store it was, and while what was done, where it does not say so itself.
fn in_store<T>(doing: &str, name: &FileName, result: Result<T>) -> Result<T> {
    let place = format!("the store `{name}`");
    match result {
        Err(error) if error.kind() != Kind::Cancelled && !error.to_string().contains(&place) => {
            Err(error).context(|| format!("cannot {doing} {place}"))
        }
        result => result,
    }
}

/// How a verb ended when it did not fail.
enum Exit {
    Done,
    Partly,
    Failed,
    /// As a command ended that was run for somebody.
    Code(u8),
}

/// What every verb is handed.
struct Context {
    config: PathBuf,
    verbose: u8,
    screen: Screen,
    cancel: Cancel,
}

impl Context {
    fn config(&self) -> Result<Config> {
        let loaded = crate::config::load(&self.config)?;
        for file in &loaded.files {
            log::info!("read {file:?}");
        }
        Ok(loaded.config)
    }

    fn site(&self) -> Result<Site> {
        let site = Site::open(self.config()?)?;
        for line in quiesce_owed::settle(&site, false) {
            self.run().warn(line);
        }
        Ok(site)
    }

    /// The box that is configured here, for a verb that needs none.
    fn site_if_any(&self) -> Option<Site> {
        if !self.config.exists() {
            return None;
        }
        let site = self.site();
        site.map_err(|error| self.run().warn(format!("this box is not known, and goes without a history: {error}")))
            .ok()
    }

    fn run(&self) -> crate::model::Run<'_> {
        crate::model::Run { monitor: &self.screen, cancel: &self.cancel }
    }
}

/// Parses the command line, runs the verb and gives the exit code of its end.
pub fn main() -> ExitCode {
    if let Some(ended) = apart::child(std::env::args_os()) {
        return ended;
    }
    apart::in_a_child();
    let cli = Cli::parse();
    if !matches!(cli.verb, Verb::Agent(_)) {
        // The agent's is configured.
        start_log(level_of(cli.verbose), None);
    }
    if !sqlite::bound_memory() {
        log::warn!("SQLite was running before this program: what a hostile dump takes of the memory is not bounded");
    }
    let cancel = Cancel::default();
    let screen = Screen::new(cli.json, cli.quiet, cancel.clone());
    let context = Context { config: cli.config, verbose: cli.verbose, screen, cancel };
    let ended = signals::cancel_on_signals(&context.cancel).and_then(|()| run(&context, cli.verb));
    context.screen.finish();
    outbox::settle(&context.cancel);
    match ended {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Partly) => ExitCode::from(3),
        Ok(Exit::Failed) => ExitCode::FAILURE,
        Ok(Exit::Code(code)) => ExitCode::from(code),
        Err(error) => {
            context.screen.error(&error);
            exit_code(&error)
        }
    }
}

fn run(context: &Context, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Init(args) => init::run(context, args),
        Verb::Config(verb) => config::run(context, &verb),
        Verb::Agent(args) => agent::run(context, &args),
        Verb::Backup(args) => backup::run(context, &args),
        Verb::Copy(args) => copy::run(context, &args),
        Verb::List(args) => list::run(context, &args),
        Verb::Check(args) => check::run(context, &args),
        Verb::Restore(args) => restore::run(context, args),
        Verb::Recover(args) => recover::run(context, args),
        Verb::Prune(args) => prune::run(context, &args),
        Verb::Quiesce(args) => quiesce::run(context, &args),
        Verb::Status(args) => status::run(context, &args),
        Verb::Schedule => schedule::run(context),
        Verb::Stick(verb) => stick::run(context, verb),
        Verb::Store(verb) => store::run(context, &verb),
        Verb::Key(verb) => key::run(context, &verb),
        Verb::Card(args) => card::run(context, &args),
        Verb::Dump(args) => dump::run(context, &args),
        Verb::Load(args) => load::run(context, &args),
        Verb::Completions(args) => manual::completions(context, &args),
        Verb::Man => manual::page(context),
    }
}

fn exit_code(error: &Error) -> ExitCode {
    match error.kind() {
        Kind::Usage | Kind::Config => ExitCode::from(2),
        Kind::Partly => ExitCode::from(3),
        // What a shell expects of a program that a signal ended.
        Kind::Cancelled => ExitCode::from(signals::received().map_or(1, |signal| 128 + signal as u8)),
        _ => ExitCode::FAILURE,
    }
}

fn level_of(verbose: u8) -> log::LevelFilter {
    match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    }
}

/// Starts the log of the agent.
fn log_as_configured(config: &LogConfig, verbose: u8) -> Result<()> {
    let level = if verbose == 0 { config.level } else { config.level.max(level_of(verbose)) };
    let file = match &config.target {
        LogTarget::Stderr => None,
        LogTarget::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            Some(file.context(|| format!("cannot open the log {path:?}"))?)
        }
    };
    start_log(level, file);
    Ok(())
}

/// Whoever collects stderr notes the time; lines in a file bring their own.
fn start_log(level: log::LevelFilter, file: Option<File>) {
    let mut builder = env_logger::Builder::new();
    if let Some(file) = file {
        builder.target(env_logger::Target::Pipe(Box::new(file))).format(|line, record| {
            writeln!(line, "{:.3} {:5} {}", jiff::Timestamp::now(), record.level(), record.args())
        });
    }
    // What fatfs finds odd about a stick is judged, and told, by us.
    builder
        .filter_level(level.min(log::LevelFilter::Warn))
        .filter_module("fatfs", log::LevelFilter::Off)
        .filter_module("tillstick", level)
        .parse_default_env()
        .init();
}

/// The language of the shop, as far as it is known before a configuration is.
fn lang_of_environment() -> Lang {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    set.and_then(|text| text.get(..2).and_then(|code| code.parse().ok())).unwrap_or_default()
}
