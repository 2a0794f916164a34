//! What is wrong with a configuration: every mistake with its file, line, key and remedy.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Kind};

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in; for a key that is missing everywhere, the main file.
    pub file: PathBuf,
    /// The line, counted from 1; `None` when the mistake has no line (a missing key, an unreadable file).
    pub line: Option<usize>,
    /// The dotted key (`sources.kasse.path`); empty when the mistake is not about one key.
    pub key: String,
    /// What was expected and what was found, in one line.
    pub message: String,
    /// What the reader can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    /// `file:line: key: message`, then the hint as ` help:` in a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.to_string_lossy().escape_debug())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n help: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong, in the order of the files and lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `None` when there is nothing wrong.
    pub(super) fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The problems, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    /// The one error whose message has several lines: an installer wants to mend every mistake in one go.
    fn from(problems: Problems) -> Self {
        let count = match problems.len() {
            1 => "a problem".to_owned(),
            many => format!("{many} problems"),
        };
        Self::new(Kind::Config, format!("the configuration has {count}; nothing was started\n{problems}"))
    }
}
