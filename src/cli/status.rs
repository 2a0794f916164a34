//! `tillstick status`: how this box stands, in the words of the shop.

use jiff::Timestamp;

use super::{Context, Exit, list::line, say};
use crate::error::Result;
use crate::job::list::{Status, status};
use crate::lang::Lang;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End with exit code 1 unless all is well.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let site = context.site()?;
    let status = status(&site, Timestamp::now())?;
    let lang = site.config.lang;
    context.screen.result(&status, |status| lines(status, lang))?;
    Ok(if args.check && !status.green { Exit::Failed } else { Exit::Done })
}

fn lines(status: &Status, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    match (&status.newest, status.age_seconds) {
        (Some(newest), Some(age)) => {
            let last = lang.pick("Letzte Sicherung", "Last backup", "Último respaldo");
            lines.push(format!("{last}: {}, {}, {}", newest.id, say::age(age, lang), say::size(newest.size)));
        }
        _ => lines.push(
            lang.pick("Es gibt noch keine Sicherung.", "There is no backup yet.", "Todavía no hay respaldo.").into(),
        ),
    }
    let copied = lang.pick("Zuletzt außer Haus (Stick)", "Last copy elsewhere (stick)", "Última copia fuera (memoria)");
    let never = lang.pick("noch nie", "never", "nunca");
    lines.push(format!("{copied}: {}", status.newest_copied.as_ref().map_or(never.to_owned(), ToString::to_string)));
    let free = lang.pick("Frei für Sicherungen", "Free for backups", "Libre para respaldos");
    lines.push(format!("{free}: {}", say::size(status.free)));
    lines.extend(status.damaged.iter().map(line));
    if !status.clock.is_trusted() {
        let kept = lang.pick("nichts wird nach ihr gelöscht", "nothing is pruned by it", "no se borra nada según él");
        let clock = lang.pick("Uhr", "Clock", "Reloj");
        lines.push(format!("{clock}: {}; {kept}", status.clock.text(lang)));
    }
    lines.extend(status.fell.as_ref().map(|fell| fell.text(lang)));
    lines.push(
        match status.green {
            true => lang.pick("Alles in Ordnung.", "All is well.", "Todo está bien."),
            false if status.fell.is_some() => lang.pick(
                "NICHT in Ordnung: In der Datenbank fehlt vieles.",
                "NOT well: much is missing from the database.",
                "NO está bien: falta mucho en la base de datos.",
            ),
            false => lang.pick(
                "NICHT in Ordnung: Es fehlt eine frische Sicherung oder ihre Kopie auf einem Stick.",
                "NOT well: a fresh backup or its copy on a stick is missing.",
                "NO está bien: falta un respaldo reciente o su copia en una memoria.",
            ),
        }
        .into(),
    );
    lines
}
