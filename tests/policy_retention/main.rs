//! Which backups a clean-up keeps and why, as tables: one line for each backup, with what becomes of it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod rules;
mod stays;

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tillstick::model::BackupId;
use tillstick::policy::clock::{Clock, Made};
use tillstick::policy::retention::{Candidate, Decision, Delete, Fate, Keep, Origin, Rules, Situation, decide};

const NONE: Rules = Rules {
    keep_last: 0,
    within: Duration::ZERO,
    within_max: 0,
    hourly: 0,
    daily: 0,
    weekly: 0,
    monthly: 0,
    yearly: 0,
};

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// A time on the wall in Berlin, or in UTC with a `Z`.
fn at(text: &str) -> Timestamp {
    let text = text.trim();
    match text.strip_suffix('Z') {
        Some(utc) => utc.parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp(),
        None => text.parse::<DateTime>().unwrap().to_zoned(berlin()).unwrap().timestamp(),
    }
}

/// A line `<time> [broken|copied|foreign|unreadable|doubted]... => <fate>`; lines stand newest first, as a list shows them.
fn candidates(lines: &[&str]) -> Vec<Candidate> {
    let mut newest: Option<BackupId> = None;
    let mut all: Vec<Candidate> = Vec::new();
    for line in lines.iter().rev() {
        let (words, _) = line.split_once("=>").unwrap_or((line, ""));
        let (time, flags) = words.split_at(words.find(|c: char| c.is_ascii_lowercase()).unwrap_or(words.len()));
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let id = BackupId::next(at(time), newest.as_ref());
        let origin = match () {
            () if has("foreign") => Origin::Foreign,
            () if has("unreadable") => Origin::Unreadable,
            () => Origin::Own(Made { started: at(time), trusted: !has("doubted") }),
        };
        newest = Some(id.clone());
        all.push(Candidate { id, origin, whole: !has("broken"), copied: has("copied") });
    }
    all.reverse();
    all
}

fn situation(now: &str) -> Situation {
    Situation { now: at(now), clock: Clock::Plausible, zone: berlin(), fell: None }
}

/// What a table says of a fate. Of the three that always stay only `newest` is said where they are one.
fn words(decision: &Decision) -> String {
    match &decision.fate {
        Fate::Delete(Delete::Beyond) => "goes, beyond".into(),
        Fate::Delete(Delete::Surpassed { span, .. }) => format!("goes, {span}"),
        Fate::Keep(reasons) => {
            let newest = reasons.contains(&Keep::Newest);
            let said = reasons.iter().filter(|reason| !(newest && **reason == Keep::NewestWhole));
            said.map(word).collect::<Vec<_>>().join(" + ")
        }
    }
}

fn word(reason: &Keep) -> String {
    match reason {
        Keep::Suspended(_) => "suspended".into(),
        Keep::Unreadable => "unreadable".into(),
        Keep::Foreign => "foreign".into(),
        Keep::Newest => "newest".into(),
        Keep::NewestWhole => "newest whole".into(),
        Keep::NewestCopied => "newest copied".into(),
        Keep::Last(_) => "last".into(),
        Keep::Within(_) => "within".into(),
        Keep::Of { period, nth, .. } => format!("{period} {nth}"),
    }
}

/// Decides and compares line by line.
#[track_caller]
fn table(rules: &Rules, now: &str, lines: &[&str]) {
    table_in(rules, &situation(now), lines);
}

#[track_caller]
fn table_in(rules: &Rules, situation: &Situation, lines: &[&str]) {
    let decisions = decide(&candidates(lines), rules, situation).unwrap();
    let line = |(line, decision): (&&str, &Decision)| {
        let (words_of, _) = line.split_once("=>").unwrap();
        format!("{}=> {}", words_of, words(decision))
    };
    let got: Vec<String> = lines.iter().zip(&decisions).map(line).collect();
    assert_eq!(got, lines, "\n{}", got.join("\n"));
}
