//! What a state of the box looks and sounds like: patterns as data, and which of them is shown.

use serde::{Deserialize, Serialize};

/// What a person near the box is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Nothing to tell.
    Idle,
    /// A stick was found and is being looked at.
    Detected,
    /// A backup is being made or copied: do not pull.
    Working,
    /// The copy was read back: the stick may be pulled.
    Safe,
    /// The copy was not made.
    Failed,
    /// This stick is not written: another format, another shop's, a stranger.
    WrongStick,
    /// That is the TSE; it stays untouched.
    TseIgnored,
    /// Somebody should look: a backup is overdue, or only an older one could be copied.
    Warning,
}

/// All signals, in the order in which a card lists them.
pub const SIGNALS: [Signal; 8] = [
    Signal::Idle,
    Signal::Detected,
    Signal::Working,
    Signal::Safe,
    Signal::Failed,
    Signal::WrongStick,
    Signal::TseIgnored,
    Signal::Warning,
];

/// How long the light is on and then off, in milliseconds. Off for 0: steady. On for 0: dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blink {
    /// On.
    pub on_ms: u32,
    /// Off.
    pub off_ms: u32,
}

/// One sound: a tone, then silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// Its pitch in hertz.
    pub hz: u32,
    /// How long it sounds, in milliseconds.
    pub on_ms: u32,
    /// How long it is silent after it, in milliseconds.
    pub off_ms: u32,
}

/// What a signal looks and sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// The light, again and again as long as the signal holds.
    pub light: &'static [Blink],
    /// Whether it is shown by the red light, where a box has one.
    pub alarm: bool,
    /// The sound, once.
    pub sound: &'static [Tone],
}

const fn blink(on_ms: u32, off_ms: u32) -> Blink {
    Blink { on_ms, off_ms }
}

const fn tone(hz: u32, on_ms: u32, off_ms: u32) -> Tone {
    Tone { hz, on_ms, off_ms }
}

const SHORT: Tone = tone(2000, 120, 120);
const LONG_LOW: Tone = tone(500, 600, 200);

const fn pattern(light: &'static [Blink], sound: &'static [Tone]) -> Pattern {
    Pattern { light, alarm: false, sound }
}

const fn alarm(light: &'static [Blink], sound: &'static [Tone]) -> Pattern {
    Pattern { light, alarm: true, sound }
}

const IDLE: Pattern = pattern(&[], &[]);
const DETECTED: Pattern = pattern(&[blink(100, 100)], &[tone(1000, 60, 60)]);
const WORKING: Pattern = pattern(&[blink(500, 500)], &[]);
const SAFE: Pattern = pattern(&[blink(1000, 0)], &[SHORT, SHORT]);
const FAILED: Pattern = alarm(&[blink(100, 100), blink(100, 100), blink(100, 900)], &[LONG_LOW; 3]);
const WRONG_STICK: Pattern = alarm(&[blink(100, 100), blink(100, 900)], &[LONG_LOW, SHORT]);
const TSE_IGNORED: Pattern = pattern(&[blink(50, 950)], &[tone(1000, 60, 60), tone(700, 60, 60)]);
const WARNING: Pattern = alarm(&[blink(1500, 500)], &[SHORT, SHORT, LONG_LOW]);

impl Signal {
    /// Its name for programs, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Detected => "detected",
            Self::Working => "working",
            Self::Safe => "safe",
            Self::Failed => "failed",
            Self::WrongStick => "wrong-stick",
            Self::TseIgnored => "tse-ignored",
            Self::Warning => "warning",
        }
    }

    /// Its pattern. No two look alike on a box with a single light.
    pub fn pattern(self) -> Pattern {
        match self {
            Self::Idle => IDLE,
            Self::Detected => DETECTED,
            Self::Working => WORKING,
            Self::Safe => SAFE,
            Self::Failed => FAILED,
            Self::WrongStick => WRONG_STICK,
            Self::TseIgnored => TSE_IGNORED,
            Self::Warning => WARNING,
        }
    }
}

/// What is to be told of one stick that is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StickSign {
    /// Nothing: no stick, or one that has been told of already.
    Nothing,
    /// It is being looked at.
    Detected,
    /// It waits for its copy, or receives it.
    Working,
    /// Its copy was read back, and it may be pulled.
    Safe,
    /// It has an older backup than it should, or is still in use by another program.
    Warned,
    /// It is not written.
    Wrong,
    /// Its copy failed.
    Failed,
}

/// What the light depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoxSigns {
    /// The sticks that are plugged in.
    pub sticks: Vec<StickSign>,
    /// A backup is being made.
    pub working: bool,
    /// The last thing that a person did failed, such as a stick that was pulled too early.
    pub trouble: bool,
    /// A backup or its copy is overdue, or the box needs somebody for another reason.
    pub overdue: bool,
}

/// What the light shows. While anything is written nothing else counts, for that is when a stick must not be pulled.
pub fn shown(signs: &BoxSigns) -> Signal {
    let any = |sign| signs.sticks.contains(&sign);
    if any(StickSign::Working) {
        Signal::Working
    } else if any(StickSign::Detected) {
        Signal::Detected
    } else if any(StickSign::Failed) || signs.trouble {
        Signal::Failed
    } else if any(StickSign::Wrong) {
        Signal::WrongStick
    } else if any(StickSign::Warned) {
        Signal::Warning
    } else if any(StickSign::Safe) {
        Signal::Safe
    } else if signs.working {
        Signal::Working
    } else if signs.overdue {
        Signal::Warning
    } else {
        Signal::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::StickSign::{Detected, Failed, Nothing, Safe, Warned, Working, Wrong};
    use super::*;

    #[test]
    fn safe_is_never_shown_while_another_stick_is_written() {
        let cases: &[(&[StickSign], bool, bool, bool, Signal)] = &[
            (&[], false, false, false, Signal::Idle),
            (&[], false, false, true, Signal::Warning),
            (&[], true, false, true, Signal::Working),
            (&[Nothing], false, false, false, Signal::Idle),
            (&[Detected], false, false, true, Signal::Detected),
            (&[Safe, Detected], false, false, false, Signal::Detected),
            (&[Working], true, true, true, Signal::Working),
            (&[Safe, Working], true, false, false, Signal::Working),
            (&[Wrong, Working], true, false, false, Signal::Working),
            (&[Safe], false, false, true, Signal::Safe),
            (&[Safe, Nothing], false, false, false, Signal::Safe),
            (&[Safe, Wrong], false, false, false, Signal::WrongStick),
            (&[Safe, Failed], false, false, false, Signal::Failed),
            (&[Safe, Warned], false, false, false, Signal::Warning),
            (&[], false, true, false, Signal::Failed),
        ];
        for (sticks, working, trouble, overdue, expected) in cases {
            let signs = BoxSigns { sticks: sticks.to_vec(), working: *working, trouble: *trouble, overdue: *overdue };
            assert_eq!(shown(&signs), *expected, "{signs:?}");
        }
    }

    #[test]
    fn a_signal_has_one_name_everywhere() {
        for signal in SIGNALS {
            assert_eq!(serde_json::to_value(signal).unwrap(), signal.name());
        }
    }

    #[test]
    fn no_two_signals_look_alike_and_no_two_that_sound_are_alike() {
        for (index, one) in SIGNALS.iter().enumerate() {
            for other in &SIGNALS[..index] {
                let (one, other) = (one.pattern(), other.pattern());
                assert_ne!(one.light, other.light);
                assert!(one.sound.is_empty() || one.sound != other.sound, "{one:?} {other:?}");
            }
        }
    }
}
