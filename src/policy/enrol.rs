//! Which sticks are this shop's own. A serial number alone proves nothing, for cheap sticks share it, and neither does
//! a file alone, for it can be copied: both must fit what was remembered when the stick was enrolled.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which sticks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// The first stick is enrolled by being plugged in, later strangers are refused.
    First,
    /// Only those that somebody enrolled.
    Enrolled,
    /// Every stick.
    Any,
}

/// What tells one stick from another, apart from what we put onto it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The serial number of the device.
    pub serial: Option<String>,
    /// The id of its file system; formatting changes it.
    pub uuid: Option<String>,
}

/// A stick that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// A random number, 16 hex digits, that stands in the stick's token.
    pub id: String,
    /// What the stick was known by.
    #[serde(flatten)]
    pub marks: Marks,
    /// When that was.
    pub since: Timestamp,
    /// It was another box's, and was adopted.
    #[serde(default)]
    pub adopted: bool,
}

/// What the token on a stick is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// There is none.
    Missing,
    /// This box made it for the enrolment with this id.
    Of(String),
    /// It is damaged, forged, another box's, or of a stick that was forgotten.
    Invalid,
}

/// What the decision depends on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The rule.
    pub accept: Accept,
    /// The sticks that are enrolled.
    pub enrolled: &'a [Enrolment],
    /// Whether any stick ever was: then a lost list does not make the next stick the first one.
    pub had_any: bool,
    /// Somebody asked for this stick, or the next one, to be enrolled.
    pub asked: bool,
    /// The stick.
    pub marks: &'a Marks,
    /// Its token.
    pub token: &'a Token,
}

/// What is done with a stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is written.
    Welcome,
    /// It is enrolled, then written.
    Enrol(&'static str),
    /// It is not written.
    Refused(Stranger),
}

/// Why a stick is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stranger {
    /// Nobody enrolled it.
    Unknown,
    /// It has the serial number and the file system of an enrolled one, and not its token.
    WithoutToken,
    /// It has the token of another stick.
    CopiedToken,
}

/// Decides whether a stick is written.
pub fn admit(facts: &Facts) -> Admission {
    if facts.accept == Accept::Any {
        return Admission::Welcome;
    }
    let of_token = match facts.token {
        Token::Of(id) => facts.enrolled.iter().find(|enrolment| enrolment.id == *id),
        Token::Missing | Token::Invalid => None,
    };
    if of_token.is_some_and(|enrolment| enrolment.marks == *facts.marks) {
        return Admission::Welcome;
    }
    if facts.asked {
        return Admission::Enrol("somebody asked for it");
    }
    if facts.accept == Accept::First && facts.enrolled.is_empty() && !facts.had_any {
        return Admission::Enrol("it is the first one");
    }
    Admission::Refused(match of_token {
        Some(_) => Stranger::CopiedToken,
        None if facts.enrolled.iter().any(|enrolment| enrolment.marks == *facts.marks) => Stranger::WithoutToken,
        None => Stranger::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(serial: &str, uuid: &str) -> Marks {
        Marks { serial: Some(serial.into()), uuid: Some(uuid.into()) }
    }

    fn enrolment(id: &str, marks: Marks) -> Enrolment {
        Enrolment { id: id.into(), marks, since: Timestamp::UNIX_EPOCH, adopted: false }
    }

    #[test]
    fn a_stick_is_known_by_what_it_is_and_by_its_token_together() {
        let enrolled = [enrolment("a", marks("S1", "U1")), enrolment("b", marks("S2", "U2"))];
        let of = |id: &str| Token::Of(id.into());
        let refused = Admission::Refused;
        for (name, stick, token, expected) in [
            ("ours", marks("S1", "U1"), of("a"), Admission::Welcome),
            ("a cheap stick with the same serial", marks("S1", "U9"), Token::Missing, refused(Stranger::Unknown)),
            ("an image of ours on another stick", marks("S9", "U1"), of("a"), refused(Stranger::CopiedToken)),
            ("the token alone, copied", marks("S9", "U9"), of("a"), refused(Stranger::CopiedToken)),
            ("the token of another of ours", marks("S1", "U1"), of("b"), refused(Stranger::CopiedToken)),
            ("serial and file system cloned", marks("S1", "U1"), Token::Missing, refused(Stranger::WithoutToken)),
            ("a forged token", marks("S1", "U1"), Token::Invalid, refused(Stranger::WithoutToken)),
            ("ours, formatted by somebody", marks("S1", "U8"), Token::Missing, refused(Stranger::Unknown)),
            ("a forgotten one", marks("S3", "U3"), Token::Invalid, refused(Stranger::Unknown)),
        ] {
            for accept in [Accept::First, Accept::Enrolled] {
                let facts =
                    Facts { accept, enrolled: &enrolled, had_any: true, asked: false, marks: &stick, token: &token };
                assert_eq!(admit(&facts), expected, "{name}");
                let asked = Facts { asked: true, ..facts.clone() };
                let ours = expected == Admission::Welcome;
                assert_eq!(admit(&asked) == Admission::Welcome, ours, "{name}, asked for");
                assert_eq!(matches!(admit(&asked), Admission::Enrol(_)), !ours, "{name}, asked for");
                assert_eq!(admit(&Facts { accept: Accept::Any, ..facts }), Admission::Welcome, "{name}");
            }
        }
    }

    #[test]
    fn the_first_stick_is_enrolled_and_a_box_that_lost_its_list_takes_no_other_for_the_first() {
        let stick = marks("S1", "U1");
        for (accept, had_any, expected) in [
            (Accept::First, false, Admission::Enrol("it is the first one")),
            (Accept::First, true, Admission::Refused(Stranger::Unknown)),
            (Accept::Enrolled, false, Admission::Refused(Stranger::Unknown)),
        ] {
            let token = Token::Missing;
            let facts = Facts { accept, enrolled: &[], had_any, asked: false, marks: &stick, token: &token };
            assert_eq!(admit(&facts), expected, "{accept:?} {had_any}");
        }
    }
}
