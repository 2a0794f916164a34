//! `tillstick status`: how this box stands, in the words of the shop.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Context, Exit, list, say};
use crate::agent::control::{Connection, Request};
use crate::agent::{AgentStatus, Live, Stick, StickStatus};
use crate::error::Result;
use crate::job::Site;
use crate::job::history::History;
use crate::job::status::{Failure, Held, Status, StoreStatus, status};
use crate::journal::{Outcome, PRIMARY, PastRun};
use crate::lang::Lang;

/// A failure that was made good since is no news for longer than this.
const NEWS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// More places than these are no help to a reader; `--json` has all.
const PLACES_SHOWN: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End with exit code 1 unless all is well.
    #[arg(long)]
    check: bool,
    /// List the runs that are remembered, newest first, instead.
    #[arg(long, conflicts_with = "check")]
    history: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let config = context.config()?;
    let (lang, zone) = (config.lang, config.zone()?);
    if args.history {
        let history = History::of(&Site::open(config)?, &context.run());
        context.screen.result(&history.runs, |runs| match runs.is_empty() {
            true => vec!["no run is remembered".to_owned()],
            false => runs.iter().map(|run| past(run, &zone)).collect(),
        })?;
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let green = match Connection::open(&config.agent.socket)? {
        Some(mut agent) => {
            let status: AgentStatus = agent.ask(&Request::Status, &context.run())?;
            let all =
                |status: &AgentStatus| [live(&status.agent, lang, &zone), lines(&status.backups, now, lang)].concat();
            context.screen.result(&status, all)?;
            status.backups.green
        }
        None => {
            let status = status(&Site::open(config)?, now, &context.run())?;
            context.screen.result(&status, |status| lines(status, now, lang))?;
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
        Stick::Formatting => {
            lang.pick("wird formatiert: NICHT abziehen", "is being formatted: do NOT pull", "se formatea: NO retirar")
        }
        Stick::Failed => lang.pick("NICHT gesichert", "NOT safe", "NO es segura"),
    };
    let at = stick.slot.as_ref().filter(|_| stick.mounted).map_or(String::new(), |at| format!(" ({at})"));
    let why = stick.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{}{at}  {state}{why}", stick.device)
}

fn lines(status: &Status, now: Timestamp, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(newest), Some(age)) = (&status.newest, status.age_seconds) {
        let last = lang.pick("Letzte Sicherung", "Last backup", "Último respaldo");
        lines.push(format!("{last}: {}, {}, {}", newest.id, say::age(age, lang), say::size(newest.size)));
    }
    lines.extend(status.places.iter().take(PLACES_SHOWN).map(|held| place(held, now, lang)));
    if status.places.len() > PLACES_SHOWN {
        lines.push(format!("  ... (+{})", status.places.len() - PLACES_SHOWN));
    }
    lines.extend(status.stores.iter().filter_map(|store| behind(store, now, lang)));
    let drill = lang.pick("Letzte Probe-Wiederherstellung", "Last trial restore", "Última restauración de prueba");
    let never = lang.pick("noch nie", "never", "nunca");
    let when = status.last_drill.as_ref().map_or_else(|| never.to_owned(), |drill| say::ago(drill.at, now, lang));
    lines.push(format!("{drill}: {when}"));
    let free = lang.pick("Frei für Sicherungen", "Free for backups", "Libre para respaldos");
    lines.push(format!("{free}: {}", say::size(status.free)));
    for run in &status.under_way {
        let under_way = lang.pick("Läuft gerade", "At work now", "En curso");
        lines.push(format!("{under_way}: {} ({})", run.kind, say::ago(run.started, now, lang)));
    }
    lines.extend(status.last_failure.as_ref().and_then(|failure| failed(failure, now, lang)));
    lines.extend(status.damaged.iter().map(|listed| list::line(listed, now, lang)));
    if !status.clock.is_trusted() {
        let kept = lang.pick("nichts wird nach ihr gelöscht", "nothing is pruned by it", "no se borra nada según él");
        let clock = lang.pick("Uhr", "Clock", "Reloj");
        lines.push(format!("{clock}: {}; {kept}", status.clock.text(lang)));
    }
    if status.green {
        lines.push(lang.pick("Alles in Ordnung.", "All is well.", "Todo está bien.").into());
    } else {
        lines.push(lang.pick("NICHT in Ordnung:", "NOT well:", "NO está bien:").into());
        lines.extend(status.troubles.iter().map(|trouble| format!("  {}", trouble.text(lang))));
    }
    lines
}

fn place(held: &Held, now: Timestamp, lang: Lang) -> String {
    let mut line = format!("  {}: ", name(held, lang));
    if held.place.store != PRIMARY {
        line += &format!("{}, ", held.newest);
    }
    line += &match held.proof {
        Some(proof) => say::proof(proof, now, lang),
        None => lang.pick("nicht geprüft", "not checked", "sin comprobar").to_owned(),
    };
    if !held.damaged.is_empty() {
        let damaged = lang.pick("BESCHÄDIGT", "DAMAGED", "DAÑADO");
        let ids: Vec<&str> = held.damaged.iter().map(crate::model::BackupId::as_str).collect();
        line += &format!("; {damaged}: {}", ids.join(", "));
    }
    line
}

/// What a store has not got yet.
fn behind(store: &StoreStatus, now: Timestamp, lang: Lang) -> Option<String> {
    let since = store.since.filter(|_| store.behind > 0)?;
    let waiting = lang.pick("noch nicht gesendet", "not sent yet", "sin enviar");
    let newest = store.newest.as_ref().map_or_else(
        || lang.pick("noch keine Kopie", "no copy yet", "aún sin copia").to_owned(),
        |newest| format!("{newest}, {}", say::ago(since, now, lang)),
    );
    let red = if store.overdue { lang.pick(" ÜBERFÄLLIG", " OVERDUE", " ATRASADO") } else { "" };
    let why = store.problem.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    Some(format!("  {}: {newest}; {waiting}: {}{red}{why}", store.name, store.behind))
}

fn name(held: &Held, lang: Lang) -> String {
    let medium = &held.place.medium;
    match (held.place.store.as_str(), &held.label) {
        (PRIMARY, _) => lang.pick("auf diesem Gerät", "on this box", "en este equipo").to_owned(),
        (crate::journal::STICK, label) => {
            let stick = lang.pick("Stick", "stick", "memoria");
            // A label may be any text: it is quoted so that it cannot play with the terminal.
            label.as_ref().map_or_else(|| format!("{stick} {medium}"), |label| format!("{stick} {label:?} ({medium})"))
        }
        (store, Some(label)) => format!("{store} ({label})"),
        (store, None) => format!("{store} ({medium})"),
    }
}

fn failed(failure: &Failure, now: Timestamp, lang: Lang) -> Option<String> {
    let run = &failure.run;
    if failure.made_good && now.duration_since(run.started) > NEWS {
        return None;
    }
    let last = lang.pick("Letzter Fehlschlag", "Last failure", "Último fallo");
    let since = match failure.made_good {
        true => lang.pick(", seither gelungen", ", succeeded since", ", correcto desde entonces"),
        false => "",
    };
    let why = run.error.as_deref().unwrap_or(match run.outcome {
        Some(Outcome::Died) => lang.pick(
            "mittendrin abgebrochen (Stromausfall?)",
            "it ended half-way (a power cut?)",
            "se interrumpió a medias (¿un apagón?)",
        ),
        _ => "?",
    });
    Some(format!("{last}: {}, {}{since}: {why}", run.kind, say::ago(run.started, now, lang)))
}

fn past(run: &PastRun, zone: &TimeZone) -> String {
    let started = run.started.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let outcome = run.outcome.map_or("under way", Outcome::name);
    let about = run.backup.as_ref().map(|id| format!("  {id}")).unwrap_or_default();
    let why = run.error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
    format!("{started}  {:8}  {outcome:9}{about}{why}", run.kind)
}
