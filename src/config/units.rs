//! Values with a unit, as people write them: `"200MB"`, `"5s"`, `"07:00"`; and back. Pure.

use std::time::Duration;

use jiff::civil::Time;

/// Sizes: what a unit is worth in bytes. The first that divides a size is used when it is written.
const SIZES: [(&str, u64); 9] = [
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Durations: what a unit is worth in milliseconds.
const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes from `200MB` or `1 GiB`: a whole number and a unit. The error says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    number_and_unit(text, &SIZES)
}

/// The shortest text that [`parse_size`] turns into `bytes` again.
pub fn format_size(bytes: u64) -> String {
    format_in(bytes, &SIZES, "B")
}

/// A duration from `500ms`, `5s`, `2m`, `24h` or `7d`: a whole number and a unit. The error says what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    number_and_unit(text, &DURATIONS).map(Duration::from_millis)
}

/// The shortest text that [`parse_duration`] turns into `duration` again; parts of a millisecond are dropped.
pub fn format_duration(duration: Duration) -> String {
    format_in(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS, "s")
}

/// A time of day from `07:00`: two digits, a colon, two digits.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let wrong = || "not a time from 00:00 to 23:59".to_owned();
    let two = |digits: &str| -> Option<i8> {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = two(hour).zip(two(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

/// `07:00`.
pub fn format_time(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ');
    let known = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if number.is_empty() {
        return Err(format!("not a whole number with a unit ({})", known()));
    }
    if unit.is_empty() {
        return Err(format!("a number without its unit ({})", known()));
    }
    let Some((_, worth)) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(format!("not in a unit known here ({})", known()));
    };
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(*worth)).ok_or_else(|| "larger than this program can count".to_owned())
}

fn format_in(amount: u64, units: &[(&str, u64)], zero_unit: &str) -> String {
    if amount == 0 {
        return format!("0{zero_unit}");
    }
    let shortest = units
        .iter()
        .filter(|(_, worth)| amount.is_multiple_of(*worth))
        .map(|(name, worth)| format!("{}{name}", amount / worth))
        .min_by_key(String::len);
    shortest.expect("the smallest unit is worth 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_their_unit() {
        for (text, bytes) in
            [("200MB", 200_000_000), ("1GiB", 1 << 30), ("1 gib", 1 << 30), ("0B", 0), ("007kB", 7_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, millis) in [("5s", 5_000), ("2m", 120_000), ("24h", 86_400_000), ("7d", 604_800_000), ("50 ms", 50)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, why) in [
            ("5", "without its unit"),
            ("", "not a whole number"),
            ("-1MB", "not a whole number"),
            ("1.5GB", "not in a unit"),
            ("5 parsecs", "not in a unit"),
            ("99999999999999999999999B", "larger"),
            ("18446744073709551615TB", "larger"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_time_of_day_has_two_digits_on_each_side() {
        assert_eq!(parse_time("07:05").map(format_time), Ok("07:05".into()));
        for wrong in ["7:00", "25:00", "24:00", "12:60", "1200", "12:00:00", "+1:00", "", ":", "１２:00"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(amount: u64) {
            assert_eq!(parse_size(&format_size(amount)), Ok(amount));
            let duration = Duration::from_millis(amount);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
