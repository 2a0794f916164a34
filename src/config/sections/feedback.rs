//! `[feedback]`: what a person in the shop sees and hears.

use jiff::civil::Time;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, list, parse_path, parsed};
use crate::config::units;

/// The most words of a command, and their most bytes: what a person writes into a configuration is shorter.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_MAX: usize = 4096;

/// Lights and sounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedbackConfig {
    /// `led`: `"auto"` (an LED named `tillstick` or `tillstick:...`, if the box has one), `"none"`, or a name as in
    /// /sys/class/leds; `"auto"`.
    pub led: Device,
    /// `beeper`: `"auto"` (the first input device that can beep, if the box has one), `"none"`, or a name as in
    /// /dev/input; `"auto"`.
    pub beeper: Device,
    /// `quiet_hours`: when the beeper is silent, as in `"22:00-06:00"`, in the box's time zone; `"none"`.
    pub quiet_hours: Option<QuietHours>,
    /// `command`: a program that is started for each signal, with its arguments; the signal's name becomes the last one;
    /// none.
    pub command: Vec<String>,
}

/// Which device shows a signal. That a box has none is never an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Device {
    /// The one that fits, if there is one.
    #[default]
    Auto,
    /// None.
    Off,
    /// The one with this name: a name in a folder of the system, without a slash.
    Named(String),
}

/// From `start` until just before `end`; over midnight when `end` is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// When silence begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
}

impl QuietHours {
    /// Whether the beeper is silent at this time of day.
    pub fn contain(&self, time: Time) -> bool {
        if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        }
    }
}

impl FeedbackConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            led: section.get("led", parsed("a device", "auto", parse_device), default.led),
            beeper: section.get("beeper", parsed("a device", "auto", parse_device), default.beeper),
            quiet_hours: section.get("quiet_hours", parsed("hours", "22:00-06:00", parse_hours), default.quiet_hours),
            command: Self::read_command(section),
        }
    }

    fn read_command(section: &mut Section<'_, '_>) -> Vec<String> {
        let command = section.get("command", list(parsed("text", "--now", parse_argument)), Vec::new());
        if command.len() > ARGUMENTS_MAX {
            section.complain("command", format!("has more than {ARGUMENTS_MAX} words"), None);
        }
        // Whose `PATH` would it be looked for in?
        if let Some(Err(why)) = command.first().map(|program| parse_path(program)) {
            section.complain("command", format!("names no program by its whole path: {why}"), None);
        }
        command
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("feedback");
        out.key("led", quoted(self.led.word()));
        out.key("beeper", quoted(self.beeper.word()));
        let hours = self.quiet_hours.map_or("none".to_owned(), |hours| {
            format!("{}-{}", units::format_time(hours.start), units::format_time(hours.end))
        });
        out.key("quiet_hours", quoted(&hours));
        out.list("command", &self.command);
    }
}

impl Device {
    fn word(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::Off => "none",
            Self::Named(name) => name,
        }
    }
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text {
        "auto" => Ok(Device::Auto),
        "none" => Ok(Device::Off),
        "" => Err("it is empty".into()),
        "." | ".." => Err("it is a folder".into()),
        name if name.contains(['/', '\0']) => Err("it is a name, not a path".into()),
        name => Ok(Device::Named(name.into())),
    }
}

fn parse_argument(text: &str) -> Result<String, String> {
    match text {
        text if text.contains('\0') => Err("no argument holds a NUL".into()),
        text if text.len() > ARGUMENT_MAX => Err(format!("it is longer than {ARGUMENT_MAX} bytes")),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn parse_hours(text: &str) -> Result<Option<QuietHours>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (start, end) = text.split_once('-').ok_or("not two times with `-` between them")?;
    let (start, end) = (units::parse_time(start)?, units::parse_time(end)?);
    if start == end {
        return Err("they begin when they end".into());
    }
    Ok(Some(QuietHours { start, end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_over_midnight() {
        let at = |text: &str| units::parse_time(text).unwrap();
        let night = parse_hours("22:00-06:00").unwrap().unwrap();
        let noon = parse_hours("12:00-13:00").unwrap().unwrap();
        for (time, at_night, at_noon) in
            [("21:59", false, false), ("22:00", true, false), ("05:59", true, false), ("06:00", false, false)]
        {
            assert_eq!((night.contain(at(time)), noon.contain(at(time))), (at_night, at_noon), "{time}");
        }
        assert!(noon.contain(at("12:59")) && !noon.contain(at("13:00")));
    }
}
