//! The udev rule that has other programs leave an enrolled stick alone. Its text holds a serial number, which comes from
//! the stick: what could mean something to udev is replaced, and what could fit other sticks makes no rule at all.

use super::enrol::Enrolment;

/// Fewer characters that stand for themselves would fit too many sticks.
const OWN_MIN: usize = 4;
/// udev reads lines up to about 16 kB; no serial number is longer than this.
const SERIAL_MAX: usize = 126;

/// Where the rule of an enrolment is, in the folder of udev's rules. After usbmount's (90), whose wish it takes back.
pub fn file_name(id: &str) -> Option<String> {
    let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| format!("99-tillstick-{id}.rules"))
}

/// The rule, or why there is none.
///
/// udisks2 and what builds on it (desktops, udiskie) go by `UDISKS_IGNORE` and `UDISKS_AUTO`; with `UDISKS_SYSTEM` it wants
/// an administrator where a program asks all the same. usbmount from 0.0.24 on is started by systemd, because of
/// `SYSTEMD_WANTS`; earlier ones are started by udev itself and go by no property at all.
pub fn rule(enrolment: &Enrolment) -> Result<String, &'static str> {
    let serial = enrolment.marks.serial.as_deref().ok_or("the stick tells no serial number")?;
    let pattern = pattern(serial)?;
    Ok(format!(
        "# Written by tillstick: other programs leave this stick alone. `tillstick stick forget {}` takes it away.\n\
        ACTION!=\"remove\", SUBSYSTEM==\"block\", ENV{{ID_SERIAL_SHORT}}==\"{pattern}\", ENV{{UDISKS_IGNORE}}=\"1\", \
        ENV{{UDISKS_AUTO}}=\"0\", ENV{{UDISKS_SYSTEM}}=\"1\", ENV{{SYSTEMD_WANTS}}=\"\"\n",
        enrolment.id
    ))
}

/// The serial number as a pattern of udev's: each character that is no letter, digit or harmless sign fits any character.
fn pattern(serial: &str) -> Result<String, &'static str> {
    if serial.len() > SERIAL_MAX {
        return Err("the stick's serial number is too long");
    }
    if !serial.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("the stick's serial number has characters that no serial number has");
    }
    let is_own = |c: &char| c.is_ascii_alphanumeric() || "-_.:+=@#".contains(*c);
    if serial.chars().filter(is_own).count() < OWN_MIN {
        return Err("the stick's serial number would fit other sticks");
    }
    Ok(serial.chars().map(|c| if is_own(&c) { c } else { '?' }).collect())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::policy::enrol::Marks;

    fn of(serial: Option<&str>) -> Result<String, &'static str> {
        let marks = Marks { serial: serial.map(str::to_owned), uuid: None };
        rule(&Enrolment { id: "00ff".into(), marks, since: Timestamp::UNIX_EPOCH, adopted: false })
    }

    #[test]
    fn no_serial_number_becomes_more_than_a_pattern() {
        for (serial, pattern) in [
            ("070B3C9F00", "070B3C9F00"),
            ("A-B_C.D:E", "A-B_C.D:E"),
            ("AB12\", RUN+=\"/bin/sh", "AB12???RUN+=??bin?sh"),
            ("AB12*", "AB12?"),
            ("AB|12|CD", "AB?12?CD"),
            ("AB[1-9]2", "AB?1-9?2"),
            ("AB12$env{X}%k\\", "AB12?env?X??k?"),
        ] {
            let rule = of(Some(serial)).unwrap();
            assert!(rule.contains(&format!("ENV{{ID_SERIAL_SHORT}}==\"{pattern}\"")), "{serial:?}: {rule}");
            assert_eq!(rule.lines().count(), 2, "{rule}");
            assert_eq!(rule.matches('"').count(), 2 * 7, "{rule}");
        }
        let long = "A".repeat(127);
        for serial in ["", "***", "?", "AB1", "AB12\nRUN", "AB12\u{202e}", "AB12\0", "ÄÖÜÄÖÜ", &long] {
            assert!(of(Some(serial)).is_err(), "{serial:?}");
        }
        assert!(of(None).is_err());
    }

    #[test]
    fn a_file_is_named_after_an_enrolment_alone() {
        assert_eq!(file_name("00ff00ff00ff00ff").unwrap(), "99-tillstick-00ff00ff00ff00ff.rules");
        for wrong in ["", "../x", "a b", "x"] {
            assert_eq!(file_name(wrong), None, "{wrong:?}");
        }
    }
}
