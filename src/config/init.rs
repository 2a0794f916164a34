//! A first configuration from a few answers: the questions, and the shipped example with the answers in it.

use super::show::{bare_or_quoted, quoted};
use super::take::parse_path;
use super::{LANGS, MODES, Problems, example, parse_str, parse_zone};
use crate::lang::Lang;
use crate::model::FileName;

/// What `tillstick init` needs to know; each field as it will stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The customer number.
    pub customer: String,
    /// The box's name.
    pub box_name: String,
    /// `de`, `en` or `es`.
    pub lang: String,
    /// An IANA time zone.
    pub time_zone: String,
    /// `D` or `X`.
    pub mode: String,
    /// The name of the one source.
    pub source_name: String,
    /// Its database file.
    pub source_path: String,
    /// The local folder of backups.
    pub primary_dir: String,
}

impl Answers {
    /// Every question answered with its default; the customer number is still to be filled in.
    pub fn suggested(lang: Lang) -> Self {
        let mut answers = Self {
            customer: String::new(),
            box_name: String::new(),
            lang: String::new(),
            time_zone: String::new(),
            mode: String::new(),
            source_name: String::new(),
            source_path: String::new(),
            primary_dir: String::new(),
        };
        for question in questions(lang) {
            *(question.field)(&mut answers) = question.default;
        }
        answers
    }
}

/// One question of `tillstick init`.
#[derive(Debug, Clone)]
pub struct Question {
    /// The key it fills, as in the file; `source` is the name of the source.
    pub key: &'static str,
    /// What the person is asked.
    pub prompt: &'static str,
    /// The answer when they just press Enter; empty for the customer number, which nobody can guess.
    pub default: String,
    /// The answer as it will stand in the file, or what is wrong with it.
    pub check: fn(&str) -> Result<String, String>,
    /// Where the answer goes.
    pub field: fn(&mut Answers) -> &mut String,
}

/// The questions in the order in which they are asked.
pub fn questions(lang: Lang) -> Vec<Question> {
    type Check = fn(&str) -> Result<String, String>;
    type Field = fn(&mut Answers) -> &mut String;
    let ask = |key, [de, en, es]: [&'static str; 3], default: &str, check: Check, field: Field| Question {
        key,
        prompt: lang.pick(de, en, es),
        default: default.to_owned(),
        check,
        field,
    };
    let till = lang.pick("kasse", "till", "caja");
    vec![
        ask(
            "customer",
            [
                "Kundennummer (führende Nullen bleiben)",
                "Customer number (leading zeros stay)",
                "Número de cliente (los ceros iniciales se conservan)",
            ],
            "",
            check_name,
            |answers| &mut answers.customer,
        ),
        ask(
            "box",
            ["Name dieser Kasse", "Name of this till", "Nombre de esta caja"],
            &format!("{till}-1"),
            check_name,
            |answers| &mut answers.box_name,
        ),
        ask(
            "lang",
            [
                "Sprache für den Laden (de, en, es)",
                "Language for the shop (de, en, es)",
                "Idioma para la tienda (de, en, es)",
            ],
            lang.pick("de", "en", "es"),
            |text| check_word(text, &LANGS.map(|(word, _)| word)),
            |answers| &mut answers.lang,
        ),
        ask("time_zone", ["Zeitzone", "Time zone", "Zona horaria"], &suggested_zone(lang), parse_zone, |answers| {
            &mut answers.time_zone
        }),
        ask(
            "mode",
            [
                "Kopien: D = Stick und außer Haus, X = nur lokal",
                "Copies: D = stick and off-site, X = local only",
                "Copias: D = memoria USB y fuera del local, X = solo en el local",
            ],
            "D",
            |text| check_word(text, &MODES.map(|(word, _)| word)),
            |answers| &mut answers.mode,
        ),
        ask(
            "source",
            [
                "Name der Datenbank im Dateinamen",
                "Name of the database in the file name",
                "Nombre de la base de datos en el archivo",
            ],
            till,
            check_name,
            |answers| &mut answers.source_name,
        ),
        ask(
            "path",
            ["Pfad der SQLite-Datenbank", "Path of the SQLite database", "Ruta de la base de datos SQLite"],
            &format!("/var/lib/till/{till}.db"),
            check_path,
            |answers| &mut answers.source_path,
        ),
        ask(
            "primary.dir",
            [
                "Ordner für die Sicherungen auf diesem Gerät",
                "Folder for the backups on this box",
                "Carpeta de las copias en este equipo",
            ],
            "/var/lib/tillstick/backups",
            check_path,
            |answers| &mut answers.primary_dir,
        ),
    ]
}

/// The shipped example with the answers in it. It reads without problems, or the problems say what cannot be.
pub fn write_config(answers: &Answers) -> Result<String, Problems> {
    let filled = [
        ("", "customer", &answers.customer),
        ("", "box", &answers.box_name),
        ("", "lang", &answers.lang),
        ("", "time_zone", &answers.time_zone),
        ("", "mode", &answers.mode),
        ("[sources.kasse]", "path", &answers.source_path),
        ("[primary]", "dir", &answers.primary_dir),
    ];
    let mut text = String::new();
    let mut table = "";
    for line in example().lines() {
        if line.starts_with('[') {
            table = line;
        }
        let answer = filled.iter().find(|(of, key, _)| {
            *of == table && line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        text += &match answer {
            Some((_, key, answer)) => format!("{key} = {}", quoted(answer)),
            None if line == "[sources.kasse]" => format!("[sources.{}]", bare_or_quoted(&answers.source_name)),
            None => line.to_owned(),
        };
        text.push('\n');
    }
    parse_str("tillstick.toml", &text).map(|_| text)
}

fn check_name(text: &str) -> Result<String, String> {
    let name: FileName = text.trim().parse().map_err(|error: crate::error::Error| error.to_string())?;
    Ok(name.into())
}

fn check_path(text: &str) -> Result<String, String> {
    parse_path(text.trim())?;
    Ok(text.trim().to_owned())
}

fn check_word(text: &str, words: &[&str]) -> Result<String, String> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text.trim()));
    found.map(|word| (*word).to_owned()).ok_or_else(|| format!("one of {} is expected", words.join(", ")))
}

/// The system's zone, unless it says nothing about the place: then the zone in which most readers of `lang` live.
fn suggested_zone(lang: Lang) -> String {
    let system = jiff::tz::TimeZone::try_system().ok();
    let name = system.as_ref().and_then(|zone| zone.iana_name());
    match name.filter(|name| name.contains('/') && !name.starts_with("Etc/")).map(parse_zone) {
        Some(Ok(name)) => name,
        _ => lang.pick("Europe/Berlin", "Europe/London", "America/Mexico_City").to_owned(),
    }
}
