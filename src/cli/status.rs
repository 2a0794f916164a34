//! `tillstick status`: how this box stands, in the words of the shop.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Context, Exit, list::line, say};
use crate::agent::control::{Connection, Request};
use crate::agent::{AgentStatus, Live, Stick, StickStatus};
use crate::error::Result;
use crate::job::Site;
use crate::job::list::{Status, status};
use crate::lang::Lang;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End with exit code 1 unless all is well.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let config = context.config()?;
    let (lang, zone) = (config.lang, config.zone()?);
    let green = match Connection::open(&config.agent.socket)? {
        Some(mut agent) => {
            let status: AgentStatus = agent.ask(&Request::Status, &context.run())?;
            let all = |status: &AgentStatus| [live(&status.agent, lang, &zone), lines(&status.backups, lang)].concat();
            context.screen.result(&status, all)?;
            status.backups.green
        }
        None => {
            let status = status(&Site::open(config)?, Timestamp::now())?;
            context.screen.result(&status, |status| lines(status, lang))?;
            status.green
        }
    };
    Ok(if args.check && !green { Exit::Failed } else { Exit::Done })
}

/// What the agent knows beside the backups.
fn live(live: &Live, lang: Lang, zone: &TimeZone) -> Vec<String> {
    let mut lines: Vec<String> = live.sticks.iter().map(|stick| stick_line(stick, lang)).collect();
    if live.stage.is_some() {
        let working =
            lang.pick("Es wird gerade gesichert.", "A backup is being made.", "Se está haciendo un respaldo.");
        lines.push(working.to_owned());
    }
    if let Some(next) = live.next {
        let label = lang.pick("Nächste Sicherung", "Next backup", "Próximo respaldo");
        lines.push(format!("{label}: {}", say::moment(next, zone)));
    }
    lines.extend(live.trouble.iter().chain(&live.problem).cloned());
    lines
}

pub(super) fn stick_line(stick: &StickStatus, lang: Lang) -> String {
    let state = match stick.state {
        Stick::Looking => lang.pick("wird angesehen", "is being looked at", "se está examinando"),
        Stick::Tse => lang.pick("TSE, bleibt unberührt", "TSE, stays untouched", "TSE, no se toca"),
        Stick::Refused => lang.pick("wird nicht benutzt", "is not used", "no se usa"),
        Stick::Unjudged => lang.pick("bleibt unberührt", "stays untouched", "no se toca"),
        Stick::Waiting => lang.pick("wartet auf die Sicherung", "waits for the backup", "espera el respaldo"),
        Stick::Copying => {
            lang.pick("wird beschrieben: NICHT abziehen", "is written: do NOT pull", "se escribe: NO retirar")
        }
        Stick::Safe => lang.pick("kann abgezogen werden", "may be pulled", "se puede retirar"),
        Stick::Warned => lang.pick("Achtung", "note", "atención"),
        Stick::Failed => lang.pick("NICHT gesichert", "NOT safe", "NO es segura"),
    };
    let at = stick.slot.as_ref().filter(|_| stick.mounted).map_or(String::new(), |at| format!(" ({at})"));
    let why = stick.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{}{at}  {state}{why}", stick.device)
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
