//! `[log]`: what is written down for the people who look after the box.

use std::path::PathBuf;

use ::log::LevelFilter;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, one_of, parse_path, parsed};

/// The words for the levels.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// How much is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `level`: `"off"`, `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`; `"info"`.
    pub level: LevelFilter,
    /// `target`: `"stderr"` (what a service manager collects) or a file; `"stderr"`.
    pub target: LogTarget,
    /// `textfile`: a file for Prometheus' node_exporter, written after each run; `"none"`.
    pub textfile: Option<PathBuf>,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// A file, to which lines are added.
    File(PathBuf),
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LevelFilter::Info, target: LogTarget::Stderr, textfile: None }
    }
}

impl LogConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.get("level", one_of(&LEVELS), default.level),
            target: section.get("target", parsed("\"stderr\" or a path", "stderr", parse_target), default.target),
            textfile: section.get("textfile", parsed("\"none\" or a path", "none", parse_textfile), default.textfile),
        }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("log");
        out.word("level", &LEVELS, &self.level);
        match &self.target {
            LogTarget::Stderr => out.key("target", quoted("stderr")),
            LogTarget::File(path) => out.key("target", path_text(path)),
        }
        match &self.textfile {
            None => out.key("textfile", quoted("none")),
            Some(path) => out.key("textfile", path_text(path)),
        }
    }
}

fn parse_target(text: &str) -> Result<LogTarget, String> {
    match text {
        "stderr" => Ok(LogTarget::Stderr),
        text => parse_path(text).map(LogTarget::File),
    }
}

fn parse_textfile(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "none" => Ok(None),
        path => parse_path(path).map(Some),
    }
}
