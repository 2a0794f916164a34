//! How sizes, ages and verdicts read for people.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::journal::{How, Proof};
use crate::lang::Lang;

/// A size in bytes, in the decimal units that stand on sticks: `12.3 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A number with its thousands apart: `200 121`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// How long ago something was, in its largest unit.
pub(super) fn age(seconds: i64, lang: Lang) -> String {
    let age = SignedDuration::from_secs(seconds);
    if seconds < 0 {
        return lang.pick("in der Zukunft", "in the future", "en el futuro").to_owned();
    }
    let (value, de, en, es) = match (age.as_hours() / 24, age.as_hours(), age.as_mins()) {
        (days @ 2.., _, _) => (days, "Tagen", "days", "días"),
        (_, hours @ 2.., _) => (hours, "Stunden", "hours", "horas"),
        (_, _, minutes @ 2..) => (minutes, "Minuten", "minutes", "minutos"),
        _ if seconds == 1 => (1, "Sekunde", "second", "segundo"),
        _ => (seconds, "Sekunden", "seconds", "segundos"),
    };
    match lang {
        Lang::De => format!("vor {value} {de}"),
        Lang::En => format!("{value} {en} ago"),
        Lang::Es => format!("hace {value} {es}"),
    }
}

/// How long before `now` something was.
pub(super) fn ago(then: Timestamp, now: Timestamp, lang: Lang) -> String {
    age(now.duration_since(then).as_secs(), lang)
}

/// What was last shown of a copy, and how long ago.
pub(super) fn proof(proof: Proof, now: Timestamp, lang: Lang) -> String {
    let how = match proof.how {
        How::ReadBack => lang.pick("zurückgelesen", "read back", "releído"),
        How::Checked => lang.pick("geprüft", "checked", "comprobado"),
        How::Restored => lang.pick("wiederhergestellt", "restored", "restaurado"),
        How::Drilled => lang.pick(
            "probeweise wiederhergestellt und verglichen",
            "restored on trial and compared",
            "restaurado a prueba y comparado",
        ),
    };
    format!("{how} {}", ago(proof.at, now, lang))
}

/// A moment in the box's time zone: `Mon 2026-11-23 07:00`.
pub(super) fn moment(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string()
}

/// The word for one or for many.
pub(super) fn plural<'a>(number: usize, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([size(0), size(999), size(12_345_678), size(999_999_999)], ["0 B", "999 B", "12.3 MB", "1.0 GB"]);
        assert_eq!([count(7), count(200_121), count(1_000_000)], ["7", "200 121", "1 000 000"]);
        assert_eq!(age(90, Lang::De), "vor 90 Sekunden");
        assert_eq!(age(3 * 86_400, Lang::Es), "hace 3 días");
        assert_eq!(age(-5, Lang::En), "in the future");
    }
}
