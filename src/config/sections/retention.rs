//! `[retention]`: which backups a clean-up keeps. The rules themselves are policy's.

use std::time::Duration;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, Taken, duration, whole};
use crate::config::tree::{Node, Value};
use crate::config::units;
use crate::policy::retention::{ALL, Rules};

/// The largest count on offer, so that a slip of the finger is told from an intention.
const COUNT_MAX: u32 = 100_000;

/// The longest `within` on offer: ten years, for which tills' books are kept.
const WITHIN_MAX: Duration = Duration::from_secs(3653 * 86_400);

/// Keys that are left out stay as in `default`: for a store those of `[retention]`.
pub(in crate::config) fn read(section: &mut Section<'_, '_>, default: &Rules) -> Rules {
    let read = Rules {
        keep_last: section.get("keep_last", count, default.keep_last),
        within: section.get("within", duration(Duration::ZERO, WITHIN_MAX), default.within),
        within_max: section.get("within_max", count, default.within_max),
        hourly: section.get("hourly", count, default.hourly),
        daily: section.get("daily", count, default.daily),
        weekly: section.get("weekly", count, default.weekly),
        monthly: section.get("monthly", count, default.monthly),
        yearly: section.get("yearly", count, default.yearly),
    };
    // What is inherited was complained of where it stands.
    if read.is_empty() && !default.is_empty() {
        let hint = "to keep few backups, write keep_last = 1".to_owned();
        section.complain_of_all("keeps nothing, so a clean-up would delete every backup".into(), Some(hint));
    }
    read
}

pub(in crate::config) fn show(rules: &Rules, out: &mut Out) {
    let count = |count: u32| if count == ALL { quoted("all") } else { count.to_string() };
    out.key("keep_last", count(rules.keep_last));
    out.key("within", quoted(&units::format_duration(rules.within)));
    out.key("within_max", count(rules.within_max));
    out.key("hourly", count(rules.hourly));
    out.key("daily", count(rules.daily));
    out.key("weekly", count(rules.weekly));
    out.key("monthly", count(rules.monthly));
    out.key("yearly", count(rules.yearly));
}

fn count(node: &Node) -> Taken<u32> {
    match &node.value {
        Value::Text(text) if text == "all" => Ok(ALL),
        _ => whole(0, COUNT_MAX)(node).map_err(|mut all| {
            all.iter_mut().for_each(|wrong| wrong.suggest("\"all\" means without end"));
            all
        }),
    }
}
