//! Which backups a clean-up keeps, and why; which go, and why.

mod period;
mod reason;
mod rules;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use period::{Period, Span};
pub use reason::{Delete, Keep};
pub use rules::{ALL, Rules};

use super::clock::{Clock, Made};
use super::dating::{Date, dates};
use super::rows::Fell;
use crate::error::{Error, Kind, Result};
use crate::model::BackupId;

/// What the decision needs to know of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id; the order of ids is the order in which backups were made.
    pub id: BackupId,
    /// Whose it is.
    pub origin: Origin,
    /// Whether every file is there: it was verified when it was made.
    pub whole: bool,
    /// Whether a verified copy is known to be elsewhere.
    pub copied: bool,
}

/// Whose a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This box's, made at this time.
    Own(Made),
    /// Another box's.
    Foreign,
    /// Its manifest cannot be read.
    Unreadable,
}

/// What holds for all backups at once.
#[derive(Debug, Clone)]
pub struct Situation {
    /// The box's clock.
    pub now: Timestamp,
    /// What is thought of it.
    pub clock: Clock,
    /// Where days and weeks begin.
    pub zone: TimeZone,
    /// A source that lost half of its rows.
    pub fell: Option<Fell>,
}

/// What is to become of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: BackupId,
    /// When it was made, as far as that was asked.
    pub date: Option<Date>,
    /// Whether it stays or goes, and why.
    pub fate: Fate,
}

/// Whether a backup stays or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for all these reasons: at least one.
    Keep(Vec<Keep>),
    /// It goes.
    Delete(Delete),
}

/// Decides what becomes of each backup; the decisions come newest first, whatever the order of `candidates`.
///
/// Never go: the newest, the newest whole one, the newest with a copy elsewhere, another box's, one whose manifest
/// cannot be read. A backup that is not whole or whose clock was doubted displaces none that is and has a known date:
/// those are thinned among their own kind.
///
/// # Errors
/// Rules that keep nothing are a mistake of the configuration, never an order to delete everything.
pub fn decide(candidates: &[Candidate], rules: &Rules, situation: &Situation) -> Result<Vec<Decision>> {
    if rules.is_empty() {
        return Err(Error::new(Kind::Config, "the retention keeps nothing, so a clean-up would delete every backup")
            .help("to keep few backups, write keep_last = 1"));
    }
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| b.id.cmp(&a.id));
    let suspended = suspension(rules, situation);
    let (own, made): (Vec<&Candidate>, Vec<Made>) = sorted
        .iter()
        .filter_map(|candidate| match candidate.origin {
            Origin::Own(made) => Some((*candidate, made)),
            Origin::Foreign | Origin::Unreadable => None,
        })
        .unzip();
    let mut marks = Marks::new(own);
    let mut dated = Vec::new();
    if suspended.is_none() {
        marks.keep_always();
        marks.keep_last(rules.keep_last);
        if rules.asks_the_clock() {
            dated = dates(situation.now, &made);
            marks.keep_by_date(rules, situation, &dated);
        }
    }
    let mut own = marks.fates().into_iter().zip(dated.into_iter().map(Some).chain(std::iter::repeat(None)));
    let decide = |candidate: &Candidate| {
        let (fate, date) = match candidate.origin {
            Origin::Foreign => (Fate::Keep(vec![Keep::Foreign]), None),
            Origin::Unreadable => (Fate::Keep(vec![Keep::Unreadable]), None),
            Origin::Own(_) => {
                let (fate, date) = own.next().expect("one for each of our own");
                (suspended.clone().map_or(fate, |why| Fate::Keep(vec![Keep::Suspended(why)])), date)
            }
        };
        Decision { id: candidate.id.clone(), date, fate }
    };
    Ok(sorted.into_iter().map(decide).collect())
}

/// Why nothing at all may go now.
pub fn suspension(rules: &Rules, situation: &Situation) -> Option<String> {
    if let Some(fell) = &situation.fell {
        return Some(fell.to_string());
    }
    let doubted = rules.asks_the_clock() && !situation.clock.is_trusted();
    doubted.then(|| situation.clock.reason().to_owned())
}

/// What speaks for each of this box's backups, newest first, and what surpasses it.
struct Marks<'a> {
    own: Vec<&'a Candidate>,
    kept: Vec<Vec<Keep>>,
    /// By the longest period that has an opinion.
    surpassed: Vec<Option<Delete>>,
}

impl<'a> Marks<'a> {
    fn new(own: Vec<&'a Candidate>) -> Self {
        Self { kept: vec![Vec::new(); own.len()], surpassed: vec![None; own.len()], own }
    }

    fn keep_always(&mut self) {
        let find = |wanted: fn(&Candidate) -> bool| self.own.iter().position(|candidate| wanted(candidate));
        let always = [
            (find(|_| true), Keep::Newest),
            (find(|candidate| candidate.whole), Keep::NewestWhole),
            (find(|candidate| candidate.whole && candidate.copied), Keep::NewestCopied),
        ];
        for (at, reason) in always {
            if let Some(kept) = at.and_then(|at| self.kept.get_mut(at)) {
                kept.push(reason);
            }
        }
    }

    /// Only whole ones are counted; what lies between them stays with them.
    fn keep_last(&mut self, count: u32) {
        let mut left = count;
        for (candidate, kept) in self.own.iter().zip(&mut self.kept) {
            if left == 0 {
                return;
            }
            kept.push(Keep::Last(count));
            left -= u32::from(candidate.whole);
        }
    }

    fn keep_by_date(&mut self, rules: &Rules, situation: &Situation, dates: &[Date]) {
        let is_sound = |at: &usize| self.own[*at].whole && dates[*at].is_known();
        let (sound, rest): (Vec<usize>, Vec<usize>) = (0..dates.len()).partition(is_sound);
        for members in [sound, rest] {
            self.keep_within(rules, situation.now, dates, &members);
            let periods = [
                (Period::Hour, rules.hourly),
                (Period::Day, rules.daily),
                (Period::Week, rules.weekly),
                (Period::Month, rules.monthly),
                (Period::Year, rules.yearly),
            ];
            for (period, count) in periods.into_iter().filter(|(_, count)| *count > 0) {
                self.keep_newest_of_each(period, count, &situation.zone, dates, &members);
            }
        }
    }

    fn keep_within(&mut self, rules: &Rules, now: Timestamp, dates: &[Date], members: &[usize]) {
        let age_max = SignedDuration::try_from(rules.within).unwrap_or(SignedDuration::MAX);
        let young = members.iter().filter(|at| now.duration_since(dates[**at].time()) <= age_max);
        for at in young.take(if rules.within.is_zero() { 0 } else { rules.within_max as usize }) {
            self.kept[*at].push(Keep::Within(rules.within));
        }
    }

    /// The newest of each of the last `count` periods in which there is one.
    fn keep_newest_of_each(&mut self, period: Period, of: u32, zone: &TimeZone, dates: &[Date], members: &[usize]) {
        let mut last: Option<(Span, usize)> = None;
        let mut nth = 0;
        for &at in members {
            let span = Span::of(period, dates[at].time(), zone);
            match last {
                Some((known, newest)) if known == span => {
                    let by = self.own[newest].id.clone();
                    self.surpassed[at] = Some(Delete::Surpassed { span, by });
                }
                _ if nth == of => return,
                _ => {
                    nth += 1;
                    self.kept[at].push(Keep::Of { period, span, nth, of });
                    last = Some((span, at));
                }
            }
        }
    }

    fn fates(self) -> Vec<Fate> {
        let fate = |(kept, surpassed): (Vec<Keep>, Option<Delete>)| match kept.is_empty() {
            true => Fate::Delete(surpassed.unwrap_or(Delete::Beyond)),
            false => Fate::Keep(kept),
        };
        self.kept.into_iter().zip(self.surpassed).map(fate).collect()
    }
}
