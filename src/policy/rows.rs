//! Whether a database lost half of its rows: somebody should look before anything older goes.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::lang::Lang;
use crate::model::{BackupId, FileName};

/// A source with fewer rows than this may lose them all: a till that is being set up.
const ROWS_MIN: u64 = 100;

/// Nobody objected for this long: the database really became smaller.
const FOR: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The rows of one good backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its id.
    pub id: BackupId,
    /// When it was made.
    pub made: Timestamp,
    /// Rows of all tables, by source.
    pub rows: BTreeMap<FileName, u64>,
}

/// A source that lost half of its rows or more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fell {
    /// The source.
    pub source: FileName,
    /// The last backup that had the rows.
    pub before: BackupId,
    /// Its rows.
    pub was: u64,
    /// The rows of the newest backup.
    pub is: u64,
}

impl Fell {
    /// It in one line, in the words of the shop.
    pub fn text(&self, lang: Lang) -> String {
        let Self { source, before, was, is } = self;
        match lang {
            Lang::De => format!(
                "die Quelle `{source}` hat {is} Zeilen, in {before} waren es {was}: bitte nachsehen, ob die richtige \
                 Datenbank gesichert wird; solange wird nichts gelöscht"
            ),
            Lang::En => format!(
                "source `{source}` has {is} rows and had {was} in {before}: look whether the right database is backed \
                 up; nothing is pruned meanwhile"
            ),
            Lang::Es => format!(
                "la fuente `{source}` tiene {is} filas y tenía {was} en {before}: compruebe si se respalda la base \
                 correcta; mientras tanto no se borra nada"
            ),
        }
    }
}

impl fmt::Display for Fell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

/// Looks for a fall to less than half from one backup to the next that is no older than 31 days and not made good
/// since. `counted` comes newest first.
pub fn fell(now: Timestamp, counted: &[Counted]) -> Option<Fell> {
    let newest = counted.first()?;
    let recent = counted.windows(2).take_while(|pair| now.duration_since(pair[0].made) <= FOR);
    for pair in recent {
        for (source, is) in &newest.rows {
            let (Some(after), Some(was)) = (pair[0].rows.get(source), pair[1].rows.get(source)) else { continue };
            let halved = |rows: u64| rows < was.div_ceil(2);
            if *was >= ROWS_MIN && halved(*after) && halved(*is) {
                return Some(Fell { source: source.clone(), before: pair[1].id.clone(), was: *was, is: *is });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One source, oldest first; the last backup was made so many days ago, the others a day apart before it.
    fn seen(days_ago: i64, rows: &[u64]) -> Option<(u64, u64)> {
        let now: Timestamp = "2027-06-30T20:00:00Z".parse().unwrap();
        let all: Vec<Counted> = rows
            .iter()
            .rev()
            .enumerate()
            .map(|(back, rows)| {
                let made = now - SignedDuration::from_hours(24 * (days_ago + back as i64));
                let id = BackupId::next(made, None);
                Counted { id, made, rows: [("kasse".parse().unwrap(), *rows)].into() }
            })
            .collect();
        fell(now, &all).map(|fell| (fell.was, fell.is))
    }

    #[test]
    fn a_fall_to_less_than_half_is_seen_until_the_rows_are_back_or_a_month_has_passed() {
        for (days_ago, rows, expected) in [
            (0, &[1000, 499][..], Some((1000, 499))),
            (0, &[1000, 500], None),
            (0, &[99, 0], None),
            (0, &[100, 0], Some((100, 0))),
            (0, &[1000, 3, 4, 5], Some((1000, 5))),
            (0, &[1000, 3, 998], None),
            (0, &[1000, 700, 490, 343], None),
            (0, &[1000], None),
            (0, &[], None),
            (31, &[1000, 3], Some((1000, 3))),
            (32, &[1000, 3], None),
            (0, &[u64::MAX, u64::MAX / 2], Some((u64::MAX, u64::MAX / 2))),
        ] {
            assert_eq!(seen(days_ago, rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn each_source_is_looked_at_alone_and_one_that_is_no_longer_backed_up_did_not_fall() {
        let counted = |id: &str, rows: &[(&str, u64)]| Counted {
            id: id.parse().unwrap(),
            made: "2027-06-30T00:00:00Z".parse().unwrap(),
            rows: rows.iter().map(|(name, rows)| (name.parse().unwrap(), *rows)).collect(),
        };
        let before = counted("20270629T200000Z", &[("kasse", 9000), ("shop", 200), ("old", 500)]);
        let now = "2027-06-30T20:00:00Z".parse().unwrap();
        let good = counted("20270630T200000Z", &[("kasse", 9000), ("shop", 201)]);
        assert_eq!(fell(now, &[good, before.clone()]), None);
        let bad = counted("20270630T200000Z", &[("kasse", 9000), ("shop", 2)]);
        let fell = fell(now, &[bad, before]).unwrap();
        assert!(fell.to_string().starts_with("source `shop` has 2 rows and had 200 in 20270629T200000Z"), "{fell}");
    }
}
