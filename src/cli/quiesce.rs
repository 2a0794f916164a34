//! `tillstick quiesce`: everything stands still while somebody else takes a snapshot.

use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use super::{Context, Exit};
use crate::config::parse_duration;
use crate::error::{Error, Kind, Result};
use crate::host::{hook, terminal};
use crate::job::quiesce;
use crate::model::{Quiet, Run};

const EXAMPLES: &str = "\
Examples:
  tillstick quiesce -- virsh snapshot-create-as shop before-update    hold still while the command runs
  tillstick quiesce --for 10m                                         hold still until Enter, SIGTERM or ten minutes
  tillstick quiesce --release                                         start again what a run that was killed had stopped

The exit code is that of the command.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How long at most, as in 90s, 10m or 1h; the command is ended then.
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    time: Duration,
    /// Only start again what a run that was killed had stopped.
    #[arg(long, conflicts_with = "command")]
    release: bool,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let site = context.site()?;
    let run = context.run();
    if args.release {
        // Opening the site has done it.
        return match quiesce::is_owed(&site.config.state) {
            false => Ok(Exit::Done),
            true => Err(Error::new(Kind::Io, "not everything could be started again")),
        };
    }
    let _lock = site.primary.lock("quiesce")?;
    let mut holds = vec![quiesce::hold(&site, None, "snapshot", &run)?];
    for name in site.config.sources.keys() {
        holds.push(quiesce::hold(&site, Some(name), "snapshot", &run)?);
    }
    for warning in holds.iter_mut().flat_map(|hold| std::mem::take(&mut hold.warnings)) {
        run.warn(warning);
    }
    // What programs have written is to be in the snapshot.
    crate::host::durable::sync_everything();
    let ended = match args.command.is_empty() {
        true => wait(context, args.time).map(|()| 0),
        false => hook::attended(&args.command, args.time, &run),
    };
    let mut failed = Vec::new();
    // In the opposite order.
    for hold in holds.into_iter().rev() {
        failed.extend(hold.release());
    }
    for line in &failed {
        context.screen.complain(&format!("error: {line}"));
    }
    match ended? {
        0 if !failed.is_empty() => Ok(Exit::Failed),
        0 => Ok(Exit::Done),
        code => Ok(Exit::Code(code)),
    }
}

/// Until Enter, a signal, or the time is over.
fn wait(context: &Context, time: Duration) -> Result<()> {
    let run = Run { monitor: &Quiet, cancel: &context.cancel };
    let until = Instant::now() + time;
    let seconds = time.as_secs();
    if std::io::stdin().is_terminal() {
        context.screen.note(&format!("everything stands still; press Enter to go on (at the latest in {seconds} s)"));
        while Instant::now() < until && !context.cancel.is_cancelled() {
            if terminal::input_within(Duration::from_millis(200))? {
                return Ok(());
            }
        }
    } else {
        context.screen.note(&format!("everything stands still until SIGTERM, at the latest for {seconds} s"));
        while Instant::now() < until && run.check().is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    }
    match context.cancel.is_cancelled() {
        // That is how it is asked to go on.
        true => Ok(()),
        false => Err(Error::new(Kind::Io, format!("{seconds} s are over: everything goes on"))
            .help("a snapshot that was not complete by then is worth nothing; allow more time with --for")),
    }
}
