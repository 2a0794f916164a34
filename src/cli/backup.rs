//! `tillstick backup`: the main job.

use super::{Context, Exit, StickFlag, copy, say};
use crate::agent::control::{Connection, Request};
use crate::error::{Error, Kind, Result};
use crate::job::Site;
use crate::job::backup::{Report, backup};
use crate::job::copy::CopyDone;
use crate::journal::STICK;
use crate::lang::Lang;

const EXAMPLES: &str = "\
Examples:
  tillstick backup                          into the primary folder and to every store; by the agent, where it runs,
                                            also onto every stick
  tillstick backup --ask                    in two steps by hand: it asks before it backs up, and before it sends
  tillstick backup --stick /dev/sdb         and onto a stick that is not mounted
  tillstick backup --stick /media/usb0      and onto a stick that is mounted
  tillstick backup --stick stick.img        and onto an image of a stick";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    stick: StickFlag,
    /// Ask before the backup is made, and again before it is sent to the stores.
    #[arg(long)]
    ask: bool,
    /// Send nothing to the stores; `tillstick copy` does it later.
    #[arg(long)]
    no_copy: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let config = context.config()?;
    let lang = config.lang;
    if args.ask {
        let question =
            lang.pick("Datenbank jetzt sichern?", "Back the database up now?", "¿Respaldar la base de datos ahora?");
        if !context.screen.confirm_as_told(question)? {
            return Err(Error::new(Kind::Cancelled, "no backup was made"));
        }
    }
    let here = args.stick.at().is_some() || args.ask || args.no_copy;
    let agent = if here { None } else { Connection::open(&config.agent.socket)? };
    let report: Report = match agent {
        // It knows the sticks that are plugged in, and copies to them.
        Some(mut agent) => agent.ask(&Request::Backup, &context.run())?,
        None => {
            backup(&Site::open(config.clone())?, args.stick.at().as_ref(), !args.ask && !args.no_copy, &context.run())?
        }
    };
    context.screen.result(&report, |report| lines(report, lang))?;
    if !context.screen.is_json() {
        let (sticks, stores): (Vec<CopyDone>, Vec<CopyDone>) =
            report.copies.iter().cloned().partition(|copy| copy.store == STICK);
        copy::complain(context, &stores, lang);
        for (copy, error) in sticks.iter().filter_map(|copy| Some((copy, copy.error.as_ref()?))) {
            let medium = &copy.medium;
            let failed = match lang {
                Lang::De => format!("der Stick {medium:?} ist NICHT sicher"),
                Lang::En => format!("the stick {medium:?} is NOT safe"),
                Lang::Es => format!("la memoria {medium:?} NO es segura"),
            };
            context.screen.complain(&format!("error: {failed}: {error}"));
        }
    }
    if args.ask && config.live_stores().next().is_some() {
        return copy::second_step(context, report.id, lang);
    }
    Ok(if report.all_copied() { Exit::Done } else { Exit::Partly })
}

fn lines(report: &Report, lang: Lang) -> Vec<String> {
    // The words of the product (T2).
    let mut lines = vec![format!(
        "{} {}",
        lang.pick("Datenbank gesichert.", "Database backed up.", "Base de datos respaldada."),
        report.id
    )];
    for artifact in &report.artifacts {
        let all = artifact.new_bytes + artifact.reused_bytes;
        let percent = (artifact.reused_bytes * 100).checked_div(all).unwrap_or(0);
        lines.push(format!(
            "  {}  {} of {} text, {} {}, read back; {percent} % reused, {} new",
            artifact.name,
            say::size(artifact.size),
            say::size(artifact.text_size),
            say::count(artifact.rows),
            if artifact.name.is_tar() { "files" } else { "rows" },
            say::size(artifact.new_bytes),
        ));
    }
    for (id, reason) in &report.removed {
        lines.push(format!("  removed {id}: {reason}"));
    }
    for (name, reason) in &report.dropped {
        lines.push(format!("  dropped the database {name:?}: {reason}"));
    }
    for copy in &report.copies {
        match &copy.error {
            Some(_) => {}
            None if copy.store != STICK => lines.extend(copy::sent(copy, lang)),
            None => {
                for repaired in &copy.repaired {
                    lines.push(format!("  repaired on the stick: {repaired}"));
                }
                for (id, reason) in &copy.freed {
                    lines.push(format!("  removed {id} from the stick: {reason}"));
                }
                let safe = lang.pick(
                    "Auf dem Stick und zurückgelesen: er kann abgezogen werden.",
                    "On the stick and read back: it may be pulled.",
                    "En la memoria y releída: se puede retirar.",
                );
                lines.push(format!("{safe} {} ({})", copy.files.join(", "), say::size(copy.bytes)));
            }
        }
    }
    lines
}
