//! The id of a backup: its start in UTC, stepped past the newest known one.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::{Error, Kind};

/// `20261122T200002Z`. Ids of one box never repeat and never go back, whatever its clock does,
/// and sort as text in the order of their making.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

const FORM: &str = "%Y%m%dT%H%M%SZ";

/// The year 9000 in seconds since 1970: no box gets there, and from any earlier id there is a next one.
const LATEST_SECOND: i64 = 221_845_392_000;

impl BackupId {
    /// The id of a backup that starts `now`, when `newest` is the newest id known so far.
    pub fn next(now: Timestamp, newest: Option<&BackupId>) -> Self {
        let latest = Timestamp::from_second(LATEST_SECOND - 1).unwrap_or(now);
        let by_clock = Self::of(now.min(latest));
        match newest {
            Some(newest) if by_clock <= *newest => Self::of(newest.time() + jiff::SignedDuration::from_secs(1)),
            _ => by_clock,
        }
    }

    fn of(time: Timestamp) -> Self {
        Self(time.strftime(FORM).to_string())
    }

    /// The moment the id stands for.
    pub fn time(&self) -> Timestamp {
        parse(&self.0).expect("checked when the id was made")
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime(FORM, text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match parse(text) {
            Some(time) if Self::of(time).0 == text && time.as_second() < LATEST_SECOND => Ok(Self(text.to_owned())),
            _ => Err(Error::new(Kind::Usage, format!("{text:?} is not a backup id"))
                .help("an id looks like 20261122T200002Z; `tillstick list` shows them")),
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_is_the_utc_start() {
        assert_eq!(BackupId::next(at("2026-11-22T21:00:02+01:00"), None).as_str(), "20261122T200002Z");
    }

    #[test]
    fn ids_rise_even_when_the_clock_falls() {
        let newest: BackupId = "20991231T235959Z".parse().unwrap();
        assert_eq!(BackupId::next(at("1970-01-01T00:00:00Z"), Some(&newest)).as_str(), "21000101T000000Z");
        let same: BackupId = "20261122T200002Z".parse().unwrap();
        assert_eq!(BackupId::next(at("2026-11-22T20:00:02Z"), Some(&same)).as_str(), "20261122T200003Z");
        assert!(BackupId::next(at("9999-12-30T20:00:02Z"), None).as_str().parse::<BackupId>().is_ok());
    }

    #[test]
    fn only_the_one_form_is_an_id() {
        for wrong in [
            "",
            "20261122T200002",
            "20261322T200002Z",
            "../20261122T200002Z",
            "20261122T200002Z ",
            "20261122t200002z",
            "99991231T235959Z",
        ] {
            assert!(wrong.parse::<BackupId>().is_err(), "{wrong}");
        }
    }
}
