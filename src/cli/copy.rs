//! `tillstick copy`: a backup goes to stores.

use super::{Context, Exit, say};
use crate::error::{Error, Kind, Result};
use crate::job::copy::CopyDone;
use crate::job::stores::copy::{Report, copy};
use crate::lang::Lang;
use crate::model::{BackupId, FileName};

const EXAMPLES: &str = "\
Examples:
  tillstick copy                              the newest backup to every store
  tillstick copy --to nas --to cloud          ... to these
  tillstick copy 20261122T200002Z --to nas    an earlier one
  tillstick copy --ask                        asks before it sends";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Which backup, instead of the newest good one.
    #[arg(value_name = "ID")]
    id: Option<BackupId>,
    /// Which store, instead of every one that gets copies.
    #[arg(long, value_name = "STORE")]
    to: Vec<FileName>,
    /// Ask before anything is sent.
    #[arg(long)]
    ask: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let site = context.site()?;
    let lang = site.config.lang;
    if args.ask && !agree(context, lang)? {
        return Err(Error::new(Kind::Cancelled, "nothing was sent"));
    }
    let report = copy(&site, args.id.as_ref(), &args.to, &context.run())?;
    context.screen.result(&report, |report| lines(report, lang))?;
    complain(context, &report.copies, lang);
    Ok(if report.all_copied() { Exit::Done } else { Exit::Partly })
}

/// The question before a backup is sent (T2).
fn agree(context: &Context, lang: Lang) -> Result<bool> {
    let question = lang.pick("Datenbank jetzt senden?", "Send the database now?", "¿Enviar la base de datos ahora?");
    context.screen.confirm_as_told(question)
}

/// The second step by hand, after the backup `id` was made. Whoever says no has a backup all the same.
pub(super) fn second_step(context: &Context, id: BackupId, lang: Lang) -> Result<Exit> {
    if !agree(context, lang)? {
        context.screen.complain(&format!("nothing was sent; `tillstick copy {id}` sends this backup later"));
        return Ok(Exit::Partly);
    }
    run(context, &Args { id: Some(id), to: Vec::new(), ask: false })
}

fn lines(report: &Report, lang: Lang) -> Vec<String> {
    report.copies.iter().filter(|copy| copy.error.is_none()).flat_map(|copy| sent(copy, lang)).collect()
}

/// What is told of a copy that a store has now.
pub(super) fn sent(copy: &CopyDone, lang: Lang) -> Vec<String> {
    // The words of the product (T2).
    let sent = lang.pick("Datenbank gesendet!", "Database sent!", "¡Base de datos enviada!");
    let size = match copy.bytes {
        0 => lang.pick("war schon dort", "was there already", "ya estaba allí").to_owned(),
        bytes => say::size(bytes),
    };
    let mut lines = vec![format!("{sent} {}: {} ({size})", copy.store, copy.files.join(", "))];
    lines.extend(copy.freed.iter().map(|(id, reason)| format!("  removed {id} from {}: {reason}", copy.store)));
    lines
}

/// Tells of the copies that a store did not get.
pub(super) fn complain(context: &Context, copies: &[CopyDone], lang: Lang) {
    for (copy, error) in copies.iter().filter_map(|copy| Some((copy, copy.error.as_ref()?))) {
        let failed = lang.pick("nicht gesendet", "not sent", "no enviada");
        context.screen.complain(&format!("error: {}: {failed}: {error}", copy.store));
    }
}
