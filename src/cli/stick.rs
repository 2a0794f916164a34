//! `tillstick stick ...`: what lies on a stick, and which sticks are this box's own.

use std::path::PathBuf;

use super::{Context, Exit, format, lang_of_environment, say};
use crate::agent::control::{Connection, Enrolling, Request};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::enrolment::{self, Enrolled};
use crate::job::stick_report::{self, Report};
use crate::job::{Site, StickAt};
use crate::lang::Lang;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Look at a stick, read-only, and say what may be done with it.
    Inspect {
        /// The stick: an image file, a block device, or the folder where it is mounted.
        #[arg(value_name = "STICK")]
        stick: PathBuf,
    },
    /// Make FAT32 of a stick, after showing what is on it and asking.
    Format(format::Args),
    /// List the sticks that are enrolled.
    List,
    /// Make a stick one of this box's own: the one that was refused, or the next one that is plugged in.
    Enroll {
        /// The stick; needed where no agent runs.
        #[arg(value_name = "STICK")]
        stick: Option<PathBuf>,
    },
    /// Take a stick out of this box's own; what lies on it stays.
    Forget {
        /// Its enrolment, serial number or file system's id, as `stick list` shows them.
        name: String,
    },
    /// Take over the stick of another box of the same name, which this box replaces.
    Adopt {
        /// The stick: an image file, a block device, or the folder where it is mounted.
        #[arg(value_name = "STICK")]
        stick: PathBuf,
    },
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Inspect { stick } => inspect(context, stick),
        Verb::Format(args) => format::run(context, args),
        Verb::List => {
            let config = context.config()?;
            let zone = config.zone()?;
            show(context, &by(context, config, &Request::Sticks, enrolment::list)?, &zone)
        }
        Verb::Enroll { stick } => enroll(context, stick),
        Verb::Forget { name } => {
            let config = context.config()?;
            let zone = config.zone()?;
            let request = Request::Forget { name: name.clone() };
            show(context, &by(context, config, &request, |site| enrolment::forget(site, &name))?, &zone)
        }
        Verb::Adopt { stick } => {
            let config = context.config()?;
            let zone = config.zone()?;
            let request = Request::Adopt { device: stick.clone() };
            let adopted = by(context, config, &request, |site| {
                enrolment::adopt(site, &StickAt { path: stick, plain_folder: false })
            })?;
            show(context, &adopted, &zone)
        }
    }
}

fn enroll(context: &Context, stick: Option<PathBuf>) -> Result<Exit> {
    let config = context.config()?;
    let (lang, zone) = (config.lang, config.zone()?);
    match Connection::open(&config.agent.socket)? {
        Some(mut agent) => {
            let enrolling: Enrolling = agent.ask(&Request::Enroll { device: stick }, &context.run())?;
            context.screen.result(&enrolling, |enrolling| vec![will_enrol(enrolling, lang)])?;
            Ok(Exit::Done)
        }
        None => {
            let none = || Error::new(Kind::Usage, "no agent runs that could wait for a stick").help("name the stick");
            let at = StickAt { path: stick.ok_or_else(none)?, plain_folder: false };
            show(context, &enrolment::enroll(&Site::open(config)?, &at)?, &zone)
        }
    }
}

fn show(context: &Context, enrolled: &Enrolled, zone: &jiff::tz::TimeZone) -> Result<Exit> {
    context.screen.result(enrolled, |enrolled| lines(enrolled, zone))?;
    Ok(Exit::Done)
}

/// Has the agent do it where one runs, for it holds the sticks that are plugged in.
fn by(
    context: &Context,
    config: Config,
    request: &Request,
    alone: impl FnOnce(&Site) -> Result<Enrolled>,
) -> Result<Enrolled> {
    match Connection::open(&config.agent.socket)? {
        Some(mut agent) => agent.ask(request, &context.run()),
        None => alone(&Site::open(config)?),
    }
}

fn inspect(context: &Context, stick: PathBuf) -> Result<Exit> {
    // Without a configuration a stick can still be judged, only not by whose it is.
    let site = if context.config.exists() { Some(context.site()?) } else { None };
    let lang = site.as_ref().map_or_else(lang_of_environment, |site| site.config.lang);
    let report = stick_report::inspect(&StickAt { path: stick, plain_folder: false }, site.as_ref(), lang)?;
    context.screen.result(&report, |report| report_lines(report, lang))?;
    Ok(if report.usable { Exit::Done } else { Exit::Failed })
}

fn report_lines(report: &Report, lang: Lang) -> Vec<String> {
    let mut lines = report.found.clone();
    lines.push(match report.usable {
        true => lang.pick("Dieser Stick ist geeignet.", "This stick can be used.", "Esta memoria sirve.").to_owned(),
        false => report.reason.clone().unwrap_or_default(),
    });
    lines
}

fn will_enrol(enrolling: &Enrolling, lang: Lang) -> String {
    let seconds = enrolling.seconds;
    match (enrolling.devices.is_empty(), lang) {
        (true, Lang::De) => format!("Jetzt den Stick einstecken (in den nächsten {seconds} Sekunden)."),
        (true, Lang::En) => format!("Plug the stick in now (within {seconds} seconds)."),
        (true, Lang::Es) => format!("Conecte la memoria ahora (en {seconds} segundos)."),
        (false, Lang::De) => "Der Stick wird angemeldet und bekommt gleich seine Sicherung.".into(),
        (false, Lang::En) => "The stick is being enrolled, and gets its backup now.".into(),
        (false, Lang::Es) => "La memoria se registra y recibe ahora su respaldo.".into(),
    }
}

fn lines(enrolled: &Enrolled, zone: &jiff::tz::TimeZone) -> Vec<String> {
    let line = |enrolment: &crate::policy::enrol::Enrolment| {
        let marks = &enrolment.marks;
        let serial = marks.serial.as_ref().map_or(String::new(), |serial| format!("  serial {serial:?}"));
        let uuid = marks.uuid.as_ref().map_or(String::new(), |uuid| format!("  file system {uuid}"));
        format!("{}{serial}{uuid}  since {}", enrolment.id, say::moment(enrolment.since, zone))
    };
    enrolled.enrolled.iter().map(line).collect()
}
