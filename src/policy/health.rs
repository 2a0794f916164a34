//! Whether a box is well backed up, and what a person in the shop should do when it is not.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::rows::Fell;
use crate::lang::Lang;
use crate::model::FileName;

/// A backup older than this is overdue: two runs a day are usual, and one may be missed.
const OVERDUE: SignedDuration = SignedDuration::from_hours(25);

/// A clock that is set right may go back by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// A shop that lost this much could enter it again by hand; more it could not.
const COPY_OVERDUE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The age of the newest good backup.
    pub newest: Option<SignedDuration>,
    /// The age of the newest good backup of which a verified copy is elsewhere.
    pub copied: Option<SignedDuration>,
    /// How many backups here are damaged.
    pub damaged: usize,
    /// A source that lost half of its rows.
    pub fell: Option<&'a Fell>,
    /// The stores that get copies.
    pub stores: &'a [StoreStanding<'a>],
}

/// How a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStanding<'a> {
    /// Its name.
    pub name: &'a FileName,
    /// The age of the newest copy there; where it has none, that of the oldest backup that it could have.
    pub age: Option<SignedDuration>,
    /// What is too old.
    pub overdue: SignedDuration,
}

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum Trouble {
    /// There is no good backup.
    NoBackup,
    /// The newest good backup is too old.
    Overdue {
        /// Its age in hours.
        hours: i64,
    },
    /// The newest good backup is of the future: it proves nothing about today, for some clock was wrong.
    FromTheFuture,
    /// No verified copy is elsewhere (I8).
    NeverCopied {
        /// Whether there are stores that could get one.
        stores: bool,
    },
    /// The newest backup of which a verified copy is elsewhere is too old, or of the future.
    CopyOverdue {
        /// Its age in hours.
        hours: i64,
    },
    /// The newest copy in a store is too old, or of the future.
    StoreOverdue {
        /// The store.
        store: FileName,
        /// The age in hours.
        hours: i64,
    },
    /// Backups here cannot be used, or were not good when they were last looked at.
    Damaged {
        /// How many.
        backups: usize,
    },
    /// A source lost half of its rows.
    Fell(Fell),
}

/// What is not well, the most urgent first; nothing when all is.
pub fn judge(standing: &Standing<'_>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    match standing.newest {
        None => troubles.push(Trouble::NoBackup),
        Some(age) if age < -CLOCKS_DIFFER => troubles.push(Trouble::FromTheFuture),
        Some(age) if age > OVERDUE => troubles.push(Trouble::Overdue { hours: age.as_hours() }),
        Some(_) => {}
    }
    match standing.copied {
        None => troubles.push(Trouble::NeverCopied { stores: !standing.stores.is_empty() }),
        Some(age) if age < -CLOCKS_DIFFER || age > COPY_OVERDUE => {
            troubles.push(Trouble::CopyOverdue { hours: age.as_hours() });
        }
        Some(_) => {}
    }
    for store in standing.stores {
        if let Some(age) = store.age.filter(|age| *age < -CLOCKS_DIFFER || *age > store.overdue) {
            troubles.push(Trouble::StoreOverdue { store: store.name.clone(), hours: age.as_hours() });
        }
    }
    if standing.damaged > 0 {
        troubles.push(Trouble::Damaged { backups: standing.damaged });
    }
    troubles.extend(standing.fell.cloned().map(Trouble::Fell));
    troubles
}

/// Until when a box that is well stays so, if nothing is done: by when its newest backup, the newest that is elsewhere and
/// the newest in each store (with what is too old there) were made.
pub fn well_until(
    made: Option<Timestamp>,
    copied: Option<Timestamp>,
    stores: &[(Timestamp, SignedDuration)],
) -> Option<Timestamp> {
    let ends = [made.map(|at| at + OVERDUE), copied.map(|at| at + COPY_OVERDUE)];
    let stores = stores.iter().map(|(at, overdue)| *at + *overdue);
    ends.into_iter().flatten().chain(stores).min()
}

impl Trouble {
    /// What is wrong and what to do, in plain words.
    pub fn text(&self, lang: Lang) -> String {
        let plain = |de: &str, en: &str, es: &str| lang.pick(de, en, es).to_owned();
        match self {
            Self::NoBackup => plain(
                "Es gibt keine brauchbare Sicherung: bitte jetzt sichern.",
                "There is no backup that can be used: make one now.",
                "No hay ningún respaldo utilizable: haga uno ahora.",
            ),
            Self::Fell(fell) => fell.text(lang),
            Self::Overdue { hours } => match lang {
                Lang::De => format!("Die letzte Sicherung ist {} alt: bitte jetzt sichern.", span(*hours, lang)),
                Lang::En => format!("The last backup is {} old: make one now.", span(*hours, lang)),
                Lang::Es => format!("El último respaldo tiene {}: haga uno ahora.", span(*hours, lang)),
            },
            Self::FromTheFuture => plain(
                "Die letzte Sicherung ist von einem Tag, der noch kommt: bitte die Uhr prüfen und jetzt sichern.",
                "The last backup is of a day yet to come: look at the clock, and make a backup now.",
                "El último respaldo es de un día que aún no llega: revise el reloj y haga un respaldo ahora.",
            ),
            Self::NeverCopied { stores: true } => plain(
                "Nirgends sonst ist eine geprüfte Kopie: bitte die Datenbank senden oder auf einen Stick sichern.",
                "A verified copy is nowhere else: send the database, or make a backup onto a stick.",
                "No hay ninguna copia comprobada en otro lugar: envíe la base de datos o respalde en una memoria.",
            ),
            Self::NeverCopied { stores: false } => plain(
                "Nirgends sonst ist eine geprüfte Kopie: bitte einen Stick einstecken und sichern.",
                "A verified copy is nowhere else: plug a stick in and make a backup.",
                "No hay ninguna copia comprobada en otro lugar: conecte una memoria y haga un respaldo.",
            ),
            Self::CopyOverdue { hours } if *hours < 0 => plain(
                "Die letzte Kopie außerhalb dieses Geräts ist von einem Tag, der noch kommt: bitte auf einen Stick sichern.",
                "The last copy outside this box is of a day yet to come: make a backup onto a stick.",
                "La última copia fuera de este equipo es de un día que aún no llega: respalde en una memoria.",
            ),
            Self::CopyOverdue { hours } => match lang {
                Lang::De => {
                    format!(
                        "Die letzte geprüfte Kopie außerhalb dieses Geräts ist {} alt: bitte auf einen Stick sichern.",
                        span(*hours, lang)
                    )
                }
                Lang::En => {
                    format!(
                        "The last verified copy outside this box is {} old: make a backup onto a stick.",
                        span(*hours, lang)
                    )
                }
                Lang::Es => format!(
                    "La última copia comprobada fuera de este equipo tiene {}: respalde en una memoria.",
                    span(*hours, lang)
                ),
            },
            Self::StoreOverdue { store, hours } if *hours < 0 => match lang {
                Lang::De => {
                    format!("Die letzte Kopie in „{store}“ ist von einem Tag, der noch kommt: bitte die Uhr prüfen.")
                }
                Lang::En => format!("The last copy in \"{store}\" is of a day yet to come: look at the clock."),
                Lang::Es => format!("La última copia en \"{store}\" es de un día que aún no llega: revise el reloj."),
            },
            Self::StoreOverdue { store, hours } => match lang {
                Lang::De => {
                    format!("„{store}“ hat seit {} keine Sicherung bekommen. Bitte dem Betreuer melden.", days(*hours))
                }
                Lang::En => {
                    format!("\"{store}\" has got no backup for {}. Tell whoever looks after it.", span(*hours, lang))
                }
                Lang::Es => {
                    let span = span(*hours, lang);
                    format!("\"{store}\" no recibe respaldos desde hace {span}. Avise a quien lo mantiene.")
                }
            },
            Self::Damaged { backups } => match lang {
                Lang::De => format!("Beschädigte Sicherungen auf diesem Gerät: {backups}. Bitte dem Betreuer melden."),
                Lang::En => format!("Damaged backups on this box: {backups}. Tell whoever looks after it."),
                Lang::Es => format!("Respaldos dañados en este equipo: {backups}. Avise a quien lo mantiene."),
            },
        }
    }
}

/// How long since, in German.
fn days(hours: i64) -> String {
    match hours / 24 {
        days @ 2.. => format!("{days} Tagen"),
        _ => format!("{hours} Stunden"),
    }
}

/// How long, in days once there are two.
fn span(hours: i64, lang: Lang) -> String {
    match hours / 24 {
        days @ 2.. => format!("{days} {}", lang.pick("Tage", "days", "días")),
        _ => format!("{hours} {}", lang.pick("Stunden", "hours", "horas")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_well_with_a_fresh_backup_and_a_copy_of_this_week_elsewhere() {
        use Trouble::{CopyOverdue, Damaged, FromTheFuture, NeverCopied, NoBackup, Overdue};
        for (newest, copied, damaged, expected) in [
            (None, None, 0, &[NoBackup, NeverCopied { stores: false }][..]),
            (Some(0), None, 0, &[NeverCopied { stores: false }]),
            (Some(0), Some(0), 0, &[]),
            (Some(25), Some(7 * 24), 0, &[]),
            (Some(26), Some(26), 0, &[Overdue { hours: 26 }]),
            (Some(1), Some(7 * 24 + 1), 0, &[CopyOverdue { hours: 169 }]),
            (Some(-1), Some(-1), 0, &[]),
            (Some(-2), Some(-2), 0, &[FromTheFuture, CopyOverdue { hours: -2 }]),
            (Some(1), Some(1), 2, &[Damaged { backups: 2 }]),
        ] {
            let (newest, copied) = (newest.map(SignedDuration::from_hours), copied.map(SignedDuration::from_hours));
            let standing = Standing { newest, copied, damaged, fell: None, stores: &[] };
            assert_eq!(judge(&standing), expected, "{standing:?}");
        }
    }

    #[test]
    fn a_store_is_red_when_its_newest_copy_is_older_than_its_own_limit() {
        let (name, overdue) = ("cloud".parse().unwrap(), SignedDuration::from_hours(72));
        for (hours, red) in [(None, false), (Some(0), false), (Some(72), false), (Some(73), true), (Some(-2), true)] {
            let age = hours.map(SignedDuration::from_hours);
            let stores = [StoreStanding { name: &name, age, overdue }];
            let fresh = Some(SignedDuration::ZERO);
            let standing = Standing { newest: fresh, copied: fresh, damaged: 0, fell: None, stores: &stores };
            let expected: Vec<_> = hours
                .filter(|_| red)
                .map(|hours| Trouble::StoreOverdue { store: name.clone(), hours })
                .into_iter()
                .collect();
            assert_eq!(judge(&standing), expected, "{hours:?}");
        }
    }

    #[test]
    fn who_has_stores_is_not_told_of_sticks_alone() {
        let name = "cloud".parse().unwrap();
        let stores = [StoreStanding { name: &name, age: None, overdue: SignedDuration::from_hours(72) }];
        let fresh = Some(SignedDuration::ZERO);
        let troubles = judge(&Standing { newest: fresh, copied: None, damaged: 0, fell: None, stores: &stores });
        assert_eq!(troubles, [Trouble::NeverCopied { stores: true }]);
        for (lang, word) in [(Lang::De, "senden"), (Lang::En, "send"), (Lang::Es, "envíe")] {
            assert!(troubles[0].text(lang).contains(word));
        }
    }

    #[test]
    fn a_database_that_lost_half_of_its_rows_is_not_well() {
        let (source, before) = ("kasse".parse().unwrap(), "20261122T200002Z".parse().unwrap());
        let fell = Fell { source, before, was: 1000, is: 3 };
        let fresh = Some(SignedDuration::ZERO);
        let troubles = judge(&Standing { newest: fresh, copied: fresh, damaged: 0, fell: Some(&fell), stores: &[] });
        assert_eq!(troubles, [Trouble::Fell(fell)]);
    }

    #[test]
    fn the_shop_is_told_in_its_language_how_old_is_too_old() {
        let old = Trouble::Overdue { hours: 75 };
        assert!(old.text(Lang::De).contains("3 Tage alt"), "{}", old.text(Lang::De));
        assert!(old.text(Lang::Es).contains("3 días"), "{}", old.text(Lang::Es));
        let copy = Trouble::CopyOverdue { hours: 200 };
        assert!(copy.text(Lang::En).contains("8 days old"), "{}", copy.text(Lang::En));
    }
}
