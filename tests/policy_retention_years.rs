//! Simulated years of a till: backups twice a day with gaps, clocks that jump, broken backups, a clean-up after each
//! backup. What must hold is computed here a second time, from the words of the rules.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod proof;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tillstick::model::BackupId;
use tillstick::policy::clock::{self, Made};
use tillstick::policy::dating::{Date, dates};
use tillstick::policy::retention::{ALL, Candidate, Decision, Delete, Fate, Keep, Origin, Rules, Situation, decide};

/// SplitMix64: the same years for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.roll(chance) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize].clone()
    }
}

fn some_rules(dice: &mut Dice) -> Rules {
    loop {
        let rules = Rules {
            keep_last: dice.pick(&[0, 0, 1, 5]),
            within: Duration::from_secs(3600 * dice.pick(&[0, 24, 100])),
            within_max: dice.pick(&[0, 3, 20]),
            hourly: dice.pick(&[0, 0, 5]),
            daily: dice.pick(&[0, 7, 14]),
            weekly: dice.pick(&[0, 4]),
            monthly: dice.pick(&[0, 12, ALL]),
            yearly: dice.pick(&[0, 3, ALL]),
        };
        if !rules.is_empty() {
            return rules;
        }
    }
}

/// How far the box's clock is from the truth, and for how many more runs.
enum Fault {
    None,
    Shows(Timestamp, u64),
    Off(SignedDuration, u64),
}

struct Till {
    dice: Dice,
    rules: Rules,
    zone: TimeZone,
    /// The true time.
    truth: Timestamp,
    fault: Fault,
    /// What is there, oldest first.
    held: Vec<Candidate>,
    newest_id: Option<BackupId>,
}

impl Till {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let rules = if dice.one_in(3) { Rules::default() } else { some_rules(&mut dice) };
        let zones = ["Europe/Berlin", "America/Mexico_City", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu"];
        let zone = TimeZone::get(dice.pick(&zones)).unwrap();
        let truth = "2026-12-01T06:00:00Z".parse().unwrap();
        Self { dice, rules, zone, truth, fault: Fault::None, held: Vec::new(), newest_id: None }
    }

    /// The time goes on to the next backup; now and then the shop is closed.
    fn wait(&mut self) {
        let hours = match self.dice.roll(200) {
            0 => 24 * self.dice.roll(60) as i64,
            1..=9 => 24,
            10..=19 => 1,
            _ => 12,
        };
        self.truth += SignedDuration::from_hours(hours) + SignedDuration::from_secs(self.dice.roll(900) as i64);
    }

    fn clock(&mut self) -> Timestamp {
        if matches!(self.fault, Fault::None) && self.dice.one_in(150) {
            let runs = self.dice.pick(&[1, 2, 5, 13, 40]);
            let hours = self.dice.roll(24 * 60) as i64 - 24 * 20;
            self.fault = match self.dice.roll(4) {
                0 => Fault::Shows("1970-01-01T00:00:07Z".parse().unwrap(), runs),
                1 => Fault::Shows("2099-01-01T00:00:00Z".parse().unwrap(), runs),
                2 => Fault::Off("2099-06-01T00:00:00Z".parse::<Timestamp>().unwrap().duration_since(self.truth), runs),
                _ => Fault::Off(SignedDuration::from_hours(hours), runs),
            };
        }
        let (shown, left) = match &mut self.fault {
            Fault::None => return self.truth,
            Fault::Shows(time, runs) => (*time, runs),
            Fault::Off(by, runs) => (self.truth + *by, runs),
        };
        *left -= 1;
        if *left == 0 {
            self.fault = Fault::None;
        }
        shown
    }

    fn past(&self) -> Vec<Made> {
        self.held.iter().rev().map(made).collect()
    }

    /// One run: a backup, then a clean-up.
    fn run(&mut self) {
        self.wait();
        let now = self.clock();
        let trusted = clock::judge(now, &self.past()).is_trusted();
        let id = BackupId::next(now, self.newest_id.as_ref());
        assert!(self.newest_id.as_ref().is_none_or(|newest| *newest < id), "ids rise");
        self.newest_id = Some(id.clone());
        let (whole, copied) = (!self.dice.one_in(40), self.dice.one_in(10));
        self.held.push(Candidate { id, origin: Origin::Own(Made { started: now, trusted }), whole, copied });

        let clock = clock::judge(now, &self.past());
        let situation = Situation { now, clock, zone: self.zone.clone(), fell: None };
        let decisions = decide(&self.held, &self.rules, &situation).unwrap();
        self.look(&decisions, &situation);
        if self.dice.one_in(40) {
            self.look_closely(&decisions, &situation);
        }
        let goes: BTreeSet<&BackupId> =
            decisions.iter().filter(|one| !is_kept(one)).map(|decision| &decision.id).collect();
        self.held.retain(|held| !goes.contains(&held.id));
    }

    /// What is cheap to see of every clean-up.
    fn look(&self, decisions: &[Decision], situation: &Situation) {
        assert_eq!(decisions.len(), self.held.len(), "each has its decision");
        let always = [
            self.held.iter().next_back(),
            self.held.iter().rfind(|held| held.whole),
            self.held.iter().rfind(|held| held.whole && held.copied),
        ];
        for held in always.into_iter().flatten() {
            assert!(is_kept(decisions.iter().find(|one| one.id == held.id).unwrap()), "{} always stays", held.id);
        }
        for decision in decisions {
            assert!(!matches!(&decision.fate, Fate::Keep(reasons) if reasons.is_empty()), "a reason for every keep");
        }
        let suspended = self.rules.asks_the_clock() && !situation.clock.is_trusted();
        let kept = decisions.iter().filter(|decision| is_kept(decision)).count();
        if suspended {
            assert_eq!(kept, decisions.len(), "by a doubted clock nothing goes");
        } else {
            let bound = self.bound(situation.now);
            assert!(kept <= bound, "{kept} are kept and no more than {bound} should be");
        }
    }

    /// Twice what the dated rules allow (for the dated ones and for the others), the newest and those that always stay.
    fn bound(&self, now: Timestamp) -> usize {
        let days = now.duration_since(self.held[0].id.time()).as_hours().max(0) / 24;
        let longest = days.max(now.duration_since("2026-01-01T00:00:00Z".parse().unwrap()).as_hours() / 24) as usize;
        let count = |count: u32, days: usize| (count as usize).min(longest / days + 2);
        let rules = &self.rules;
        let dated = rules.within_max as usize
            + rules.hourly as usize
            + rules.daily as usize
            + rules.weekly as usize
            + count(rules.monthly, 28)
            + count(rules.yearly, 365);
        let broken = self.held.iter().filter(|held| !held.whole).count();
        2 * dated + rules.keep_last as usize + broken + 3
    }

    /// Everything again, from the words of the rules alone.
    fn look_closely(&mut self, decisions: &[Decision], situation: &Situation) {
        if self.rules.asks_the_clock() && !situation.clock.is_trusted() {
            return;
        }
        let newest_first: Vec<&Candidate> = self.held.iter().rev().collect();
        let made: Vec<Made> = newest_first.iter().map(|held| made(held)).collect();
        let dates = dates(situation.now, &made);
        assert!(dates.is_sorted_by(|newer, older| older.time() <= newer.time()), "dates follow the ids");
        for (at, decision) in decisions.iter().enumerate() {
            assert_eq!(decision.id, newest_first[at].id, "newest first");
            let wanted = wants(&self.rules, situation, &newest_first, &dates, at);
            match &decision.fate {
                Fate::Keep(reasons) => {
                    let said: BTreeSet<&str> = reasons.iter().map(name).collect();
                    assert_eq!(said, wanted, "{} at {}", decision.id, situation.now);
                }
                Fate::Delete(reason) => {
                    assert!(wanted.is_empty(), "{} goes and is wanted: {wanted:?}", decision.id);
                    if let Delete::Surpassed { by, .. } = reason {
                        let by = decisions.iter().find(|other| other.id == *by).unwrap();
                        assert!(by.id > decision.id && is_kept(by), "what surpasses it is newer and stays");
                    }
                }
            }
        }
        self.shuffled_is_the_same(decisions, situation);
        self.others_displace_no_dated_one(decisions, situation, &dates);
        if dates.iter().all(|date| date.is_known()) {
            let left: Vec<Candidate> = self
                .held
                .iter()
                .zip(decisions.iter().rev())
                .filter(|(_, one)| is_kept(one))
                .map(|(held, _)| held.clone())
                .collect();
            let again = decide(&left, &self.rules, situation).unwrap();
            assert!(again.iter().all(is_kept), "a second clean-up finds nothing");
        }
    }

    fn shuffled_is_the_same(&mut self, decisions: &[Decision], situation: &Situation) {
        let mut shuffled = self.held.clone();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, self.dice.roll(last as u64 + 1) as usize);
        }
        assert_eq!(decide(&shuffled, &self.rules, situation).unwrap(), decisions, "the order does not matter");
    }

    /// Without what is broken or has no date, those that are left have the same dated reasons.
    fn others_displace_no_dated_one(&self, decisions: &[Decision], situation: &Situation, dates: &[Date]) {
        let sound: Vec<Candidate> = self
            .held
            .iter()
            .rev()
            .zip(dates)
            .filter(|(held, date)| held.whole && date.is_known())
            .map(|(held, _)| held.clone())
            .collect();
        for alone in decide(&sound, &self.rules, situation).unwrap() {
            let among_all = decisions.iter().find(|one| one.id == alone.id).unwrap();
            assert_eq!(dated_reasons(&alone), dated_reasons(among_all), "{}", alone.id);
        }
    }
}

fn made(held: &Candidate) -> Made {
    match held.origin {
        Origin::Own(made) => made,
        Origin::Foreign | Origin::Unreadable => panic!("all are our own here"),
    }
}

fn is_kept(decision: &Decision) -> bool {
    matches!(decision.fate, Fate::Keep(_))
}

fn name(reason: &Keep) -> &'static str {
    match reason {
        Keep::Newest => "newest",
        Keep::NewestWhole => "newest whole",
        Keep::NewestCopied => "newest copied",
        Keep::Last(_) => "last",
        Keep::Within(_) => "within",
        Keep::Of { period, .. } => match period.to_string().as_str() {
            "hour" => "hour",
            "day" => "day",
            "week" => "week",
            "month" => "month",
            _ => "year",
        },
        Keep::Suspended(_) | Keep::Unreadable | Keep::Foreign => panic!("not in these years"),
    }
}

fn dated_reasons(decision: &Decision) -> Vec<String> {
    match &decision.fate {
        Fate::Delete(_) => Vec::new(),
        Fate::Keep(reasons) => reasons
            .iter()
            .filter(|reason| matches!(reason, Keep::Within(_) | Keep::Of { .. }))
            .map(ToString::to_string)
            .collect(),
    }
}

/// The names of all rules that want the backup `at`, each by counting the newer ones.
fn wants<'a>(
    rules: &Rules,
    situation: &Situation,
    held: &[&Candidate],
    dates: &[Date],
    at: usize,
) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    let newer = &held[..at];
    let whole = |held: &&&Candidate| held.whole;
    if newer.is_empty() {
        all.insert("newest");
    }
    if held[at].whole && !newer.iter().any(|held| held.whole) {
        all.insert("newest whole");
    }
    if held[at].whole && held[at].copied && !newer.iter().any(|held| held.whole && held.copied) {
        all.insert("newest copied");
    }
    if newer.iter().filter(whole).count() < rules.keep_last as usize {
        all.insert("last");
    }
    if !rules.asks_the_clock() {
        return all;
    }
    let is_sound = |at: usize| held[at].whole && dates[at].is_known();
    let peers: Vec<Timestamp> =
        (0..at).filter(|peer| is_sound(*peer) == is_sound(at)).map(|peer| dates[peer].time()).collect();
    let time = dates[at].time();
    let young = situation.now.duration_since(time) <= SignedDuration::try_from(rules.within).unwrap();
    if !rules.within.is_zero() && young && peers.len() < rules.within_max as usize {
        all.insert("within");
    }
    let forms = [
        ("hour", "%F %H %z", rules.hourly),
        ("day", "%F", rules.daily),
        ("week", "%G %V", rules.weekly),
        ("month", "%Y %m", rules.monthly),
        ("year", "%Y", rules.yearly),
    ];
    for (name, form, count) in forms {
        let period = |time: Timestamp| time.to_zoned(situation.zone.clone()).strftime(form).to_string();
        let earlier: BTreeSet<String> = peers.iter().map(|time| period(*time)).collect();
        if !earlier.contains(&period(time)) && earlier.len() < count as usize {
            all.insert(name);
        }
    }
    all
}

#[test]
fn in_simulated_years_of_jumping_clocks_and_gaps_every_clean_up_does_what_the_rules_say() {
    const YEARS_EACH: i64 = 10;
    for seed in 0..u64::from(proof::cases(3, 100)) {
        let mut till = Till::new(seed);
        let end = till.truth + SignedDuration::from_hours(YEARS_EACH * 8766);
        while till.truth < end {
            till.run();
        }
        eprintln!("seed {seed}: {} are left of {:?}", till.held.len(), till.rules);
    }
}

/// With clocks that are plainly wrong or right, a month in which a backup had the right time never loses its last one.
#[test]
fn no_month_loses_its_last_backup_to_a_wrong_clock() {
    for seed in 0..u64::from(proof::cases(1, 10)) {
        let mut till = Till::new(1000 + seed);
        till.rules = Rules::default();
        let mut months = BTreeSet::new();
        let end = till.truth + SignedDuration::from_hours(5 * 8766);
        while till.truth < end {
            if matches!(till.fault, Fault::Off(..)) {
                till.fault = Fault::None;
            }
            till.run();
            let newest = till.held.last().unwrap();
            let made = made(newest);
            if made.started == till.truth && made.trusted && newest.whole {
                months.insert(made.started.to_zoned(till.zone.clone()).strftime("%Y-%m").to_string());
            }
        }
        let left: BTreeSet<String> = till
            .held
            .iter()
            .filter(|held| held.whole)
            .map(|held| made(held).started.to_zoned(till.zone.clone()).strftime("%Y-%m").to_string())
            .collect();
        let lost: Vec<&String> = months.difference(&left).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
    }
}
