//! Databases on a server that restores and drills of ours have made, told by their names.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::BackupId;

/// What a name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    /// A restore put this database aside: of which database, and which backup took its place.
    SetAside {
        /// The database whose place was taken.
        of: String,
        /// The backup that took it, or when a file did.
        by: BackupId,
    },
    /// A restore or drill is making it, or died while it did.
    InTheMaking,
}

/// `<name>_before_<id>`, perhaps with a number behind it; `<name>_new_<id>`; `tillstick_drill_<pid>`.
pub fn ours(name: &str) -> Option<Ours> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.strip_prefix(DRILL).is_some_and(is_number) {
        return Some(Ours::InTheMaking);
    }
    if let Some((_, id)) = name.rsplit_once("_new_") {
        return id.parse::<BackupId>().ok().map(|_| Ours::InTheMaking);
    }
    let (of, rest) = name.rsplit_once("_before_")?;
    let (id, number) = rest.split_once('_').map_or((rest, None), |(id, number)| (id, Some(number)));
    let by = id.parse().ok()?;
    (!of.is_empty() && number.is_none_or(is_number)).then(|| Ours::SetAside { of: of.to_owned(), by })
}

/// What speaks for and against dropping a database that a restore set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// When it was set aside, by the clock of then.
    pub since: Timestamp,
    /// How long such a one stays; `None` for ever.
    pub keep: Option<Duration>,
    /// The newest good backup of the database that took its place, made since then.
    pub backed_up: Option<BackupId>,
    /// Why nothing may be pruned now.
    pub suspended: Option<String>,
}

/// Why it goes, or why it stays.
pub fn goes(kept: &Kept, now: Timestamp) -> Result<String, String> {
    let date = kept.since.strftime("%Y-%m-%d");
    let Some(keep) = kept.keep else { return Err(format!("set aside on {date}, and kept until somebody drops it")) };
    let age = Duration::try_from(now.duration_since(kept.since)).unwrap_or_default();
    let days = |duration: Duration| duration.as_secs() / 86_400;
    match (&kept.suspended, &kept.backed_up) {
        _ if age < keep => Err(format!("set aside on {date}, and kept for {} days", days(keep))),
        (Some(why), _) => Err(format!("nothing is pruned now: {why}")),
        (None, None) => Err(format!("set aside on {date}, and there is no good backup of what took its place yet")),
        (None, Some(id)) => {
            Ok(format!("set aside {} days ago, and what took its place is backed up in {id}", days(age)))
        }
    }
}

/// What a drill's scratch database is called, followed by the number of its process.
pub const DRILL: &str = "tillstick_drill_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_set_aside_goes_when_its_time_is_over_and_nothing_speaks_against_it() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let kept = Kept {
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            keep: Some(Duration::from_secs(30 * 86_400)),
            backed_up: Some("20260228T200002Z".parse().unwrap()),
            suspended: None,
        };
        assert!(goes(&kept, now).unwrap().contains("59 days ago"));
        for (stays, why) in [
            (Kept { keep: None, ..kept.clone() }, "until somebody"),
            (Kept { since: "2026-02-10T00:00:00Z".parse().unwrap(), ..kept.clone() }, "for 30 days"),
            (Kept { since: "2027-01-01T00:00:00Z".parse().unwrap(), ..kept.clone() }, "for 30 days"),
            (Kept { backed_up: None, ..kept.clone() }, "no good backup"),
            (Kept { suspended: Some("the clock is wrong".into()), ..kept.clone() }, "the clock is wrong"),
        ] {
            let reason = goes(&stays, now).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn only_names_of_our_making_are_ours() {
        let set_aside = |name: &str| match ours(name) {
            Some(Ours::SetAside { of, by }) => format!("{of} {by}"),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(set_aside("shop_before_20261122T200002Z"), "shop 20261122T200002Z");
        assert_eq!(set_aside("shop_before_20261122T200002Z_12"), "shop 20261122T200002Z");
        assert_eq!(set_aside("a_before_b_before_20261122T200002Z"), "a_before_b 20261122T200002Z");
        for making in ["shop_new_20261122T200002Z", "tillstick_drill_77"] {
            assert_eq!(ours(making), Some(Ours::InTheMaking), "{making}");
        }
        for other in [
            "shop",
            "shop_before_christmas",
            "shop_new_2026",
            "_before_20261122T200002Z",
            "tillstick_drill_",
            "tillstick_drill_x",
            "shop_before_20261122T200002Z_x",
            "shop_before_20261122T200002Z_1_2",
            "shop_before_20261322T200002Z",
        ] {
            assert_eq!(ours(other), None, "{other}");
        }
    }
}
