//! `tillstick stick format`: makes FAT32 of a stick after showing what is on it and asking.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::{Context, Exit, lang_of_environment, say};
use crate::agent::control::{Connection, Request};
use crate::error::{Error, Kind, Result};
use crate::job::Site;
use crate::job::format::{self, Formatted, Lost, Plan, Wanted};
use crate::lang::Lang;
use crate::policy::format::Label;

const EXAMPLES: &str = "\
Examples:
  tillstick stick format /dev/sdb                       shows what is on the stick, asks, and erases it
  tillstick stick format /dev/sdb --name KASSE-1        what a PC shall show as its name
  tillstick stick format stick.img --yes                without asking, for scripts
  tillstick stick format /dev/sdb --erase-backups       also where there are backups on it

Never formatted: a TSE, a disk that is built in, what is mounted (but for a mount of the agent's own).
A stick that is pulled meanwhile is not usable until it is formatted again.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The whole stick (/dev/sdb, not /dev/sdb1), or an image file.
    #[arg(value_name = "DEVICE|IMAGE")]
    stick: PathBuf,
    /// What the stick shall be called: up to eleven letters, digits, blanks, - and _.
    #[arg(long, default_value = Label::USUAL)]
    name: Label,
    /// Erase backups, too: this box's and others'.
    #[arg(long)]
    erase_backups: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    // Which TSE the configuration names must be known: one that is there and wrong is an error.
    let config = if context.config.exists() { Some(context.config()?) } else { None };
    let lang = config.as_ref().map_or_else(lang_of_environment, |config| config.lang);
    let wanted = Wanted { path: args.stick, label: args.name, erase_backups: args.erase_backups };
    let agent = match &config {
        Some(config) if format::is_for_agent(&wanted.path) => Connection::open(&config.agent.socket)?,
        _ => None,
    };
    let mut doer = match (agent, config) {
        (Some(agent), _) => Doer::Agent(agent),
        (None, Some(config)) => Doer::Here(Some(Box::new(Site::open(config)?))),
        (None, None) => Doer::Here(None),
    };
    let plan = doer.plan(context, &wanted)?;
    for line in describe(&plan, lang) {
        match args.yes {
            true => context.screen.note(&line),
            // Whoever is asked must see what about, however quiet the rest is.
            false => context.screen.complain(&line),
        }
    }
    if !args.yes {
        confirm(context, &plan, lang)?;
    }
    let formatted = doer.carry_out(context, &wanted, plan.ticket)?;
    context.screen.result(&formatted, |formatted| lines(formatted, lang))?;
    Ok(Exit::Done)
}

/// Who formats: the running agent, for it holds the sticks that are plugged in, or this process.
enum Doer {
    Agent(Connection),
    Here(Option<Box<Site>>),
}

impl Doer {
    fn plan(&mut self, context: &Context, wanted: &Wanted) -> Result<Plan> {
        match self {
            Self::Agent(agent) => agent.ask(&request(wanted, None), &context.run()),
            Self::Here(site) => format::plan(site.as_deref(), wanted),
        }
    }

    fn carry_out(&mut self, context: &Context, wanted: &Wanted, ticket: String) -> Result<Formatted> {
        match self {
            Self::Agent(agent) => agent.ask(&request(wanted, Some(ticket)), &context.run()),
            Self::Here(site) => format::carry_out(site.as_deref(), wanted, &ticket, &context.run()),
        }
    }
}

fn request(wanted: &Wanted, ticket: Option<String>) -> Request {
    Request::Format {
        device: wanted.path.clone(),
        name: Some(wanted.label.as_str().to_owned()),
        erase_backups: wanted.erase_backups,
        ticket,
    }
}

/// A typed word, for "yes" is typed too easily.
fn confirm(context: &Context, plan: &Plan, lang: Lang) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "formatting asks first, and there is no terminal to ask on")
            .help("say --yes if you mean it"));
    }
    let word = plan.device.file_name().unwrap_or(plan.device.as_os_str()).to_string_lossy().into_owned();
    let question = match lang {
        Lang::De => format!("ALLES darauf geht verloren. Zum Löschen {word:?} eintippen: "),
        Lang::En => format!("ALL of it will be lost. Type {word:?} to erase it: "),
        Lang::Es => format!("TODO se perderá. Escriba {word:?} para borrar: "),
    };
    let answer = context.screen.ask(&question)?;
    match answer.is_some_and(|answer| answer.trim().trim_matches('"') == word) {
        true => Ok(()),
        false => Err(Error::new(Kind::Cancelled, "nothing was changed")),
    }
}

fn describe(plan: &Plan, lang: Lang) -> Vec<String> {
    let names = [&plan.maker, &plan.model].into_iter().flatten().map(|text| format!("{text:?} "));
    let names: String = names.collect();
    let serial = plan.serial.as_ref().map_or(String::new(), |serial| format!(", {serial:?}"));
    let mut lines = vec![format!("{:?}  {names}{}{serial}", plan.device, say::size(plan.size))];
    lines.extend(plan.volumes.iter().map(|lost| describe_lost(lost, lang)));
    for of in &plan.backups {
        let backups = lang.pick("SICHERUNGEN von", "BACKUPS of", "RESPALDOS de");
        lines.push(format!("  {backups} {of:?}"));
    }
    lines
}

fn describe_lost(lost: &Lost, lang: Lang) -> String {
    let label = lost.label.as_ref().map_or(String::new(), |label| format!(" {label:?}"));
    let mut files: Vec<String> = lost.files.iter().map(|name| format!("{name:?}")).collect();
    if lost.more > 0 {
        files.push(match lang {
            Lang::De => format!("und {} weitere", lost.more),
            Lang::En => format!("and {} more", lost.more),
            Lang::Es => format!("y {} más", lost.more),
        });
    }
    let files = if files.is_empty() { String::new() } else { format!(": {}", files.join(", ")) };
    format!("  {}{label}, {}{files}", lost.filesystem, say::size(lost.size))
}

fn lines(formatted: &Formatted, lang: Lang) -> Vec<String> {
    let Formatted { label, uuid, .. } = formatted;
    let size = say::size(formatted.size);
    let mut lines = vec![match lang {
        Lang::De => format!("Formatiert und zurückgelesen: FAT32 {label:?}, {size}, {uuid}"),
        Lang::En => format!("Formatted and read back: FAT32 {label:?}, {size}, {uuid}"),
        Lang::Es => format!("Formateada y releída: FAT32 {label:?}, {size}, {uuid}"),
    }];
    if !formatted.known {
        lines.push(
            lang.pick(
                "Bitte einmal abziehen und wieder einstecken.",
                "Pull it out and plug it in again once.",
                "Retírela y vuelva a conectarla una vez.",
            )
            .to_owned(),
        );
    }
    lines
}
