//! `[quiesce]`, and `[sources.<name>.quiesce]`: what stands still while a backup or a restore is made.

use std::time::Duration;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, Taken, duration, list, one_of, parsed};
use crate::config::tree::Node;
use crate::config::units;

const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// What is stopped before and started after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuiesceConfig {
    /// `before`: commands, each a list of a program and its arguments, without a shell; `[]`.
    pub before: Vec<Vec<String>>,
    /// `after`: commands that are run whatever happened; `[]`.
    pub after: Vec<Vec<String>>,
    /// `stop_units`: units of systemd that are stopped, and of which those that ran are started again; `[]`.
    pub stop_units: Vec<String>,
    /// `timeout`: how long each command may take; `"1m"`, at most `"1h"`.
    pub timeout: Duration,
    /// `on_failure`: when a command before fails: `"fail"` makes no backup, `"warn"` makes it all the same; `"fail"`.
    pub on_failure: OnFailure,
}

/// What becomes of a backup when something does not stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// `"fail"`
    Fail,
    /// `"warn"`
    Warn,
}

const ON_FAILURE: [(&str, OnFailure); 2] = [("fail", OnFailure::Fail), ("warn", OnFailure::Warn)];

impl Default for QuiesceConfig {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            after: Vec::new(),
            stop_units: Vec::new(),
            timeout: Duration::from_secs(60),
            on_failure: OnFailure::Fail,
        }
    }
}

impl QuiesceConfig {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.stop_units.is_empty()
    }

    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            before: section.get("before", list(command), default.before),
            after: section.get("after", list(command), default.after),
            stop_units: section.get("stop_units", list(unit), default.stop_units),
            timeout: section.get("timeout", duration(Duration::from_secs(1), TIMEOUT_MAX), default.timeout),
            on_failure: section.get("on_failure", one_of(&ON_FAILURE), default.on_failure),
        }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.lists("before", &self.before);
        out.lists("after", &self.after);
        out.list("stop_units", &self.stop_units);
        out.key("timeout", quoted(&units::format_duration(self.timeout)));
        out.word("on_failure", &ON_FAILURE, &self.on_failure);
    }
}

fn command(node: &Node) -> Taken<Vec<String>> {
    let words = list(parsed("a word", "stop", |word| match word {
        word if word.contains('\0') => Err("no argument holds a NUL".into()),
        word => Ok(word.to_owned()),
    }))(node)?;
    let program = words.first().map(String::as_str).unwrap_or_default();
    let wrong = match program {
        "" => Some("names no program"),
        program if program.contains('/') && !program.starts_with('/') => {
            Some("the program's path does not begin at the root `/`")
        }
        program if program.contains(' ') && !program.starts_with('/') => {
            Some("each word stands alone: [\"systemctl\", \"stop\", \"cron\"]")
        }
        _ => None,
    };
    match wrong {
        None => Ok(words),
        Some(why) => crate::config::take::refuse(why.into(), Some("write [\"/usr/local/bin/shop\", \"stop\"]".into())),
    }
}

fn unit(node: &Node) -> Taken<String> {
    parsed("a unit of systemd", "nginx.service", |name| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte);
        if name.is_empty() || name.len() > 255 || name.starts_with(['-', '.']) || !name.bytes().all(fine) {
            return Err("it is no name of a unit".into());
        }
        Ok(name.to_owned())
    })(node)
}
