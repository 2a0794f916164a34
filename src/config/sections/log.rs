//! `[log]`: what is written down for the people who look after the box.

use std::path::PathBuf;

use ::log::LevelFilter;

use super::store::SecretAt;
use super::store::secret::secret;
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, Taken, name, one_of, parse_path, parsed, path, whole};
use crate::config::tree::Node;
use crate::model::FileName;

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
    /// `runs`: of so many runs, from 1 to 1000, what they had to say is kept, in `state`/runs; `100`.
    pub runs: u32,
    /// `upload`: the store that gets what each run had to say; `"none"`.
    pub upload: Option<FileName>,
    /// `post_file`: a file with the URL that what each run had to say is posted to, for its owner alone, or
    /// `credential:NAME`; none.
    pub post_file: Option<SecretAt>,
    /// `ping_file`: a file with the URL that is asked for when a backup begins (with `/start`), is made, and fails (with
    /// `/fail`), as healthchecks.io has it; for its owner alone, or `credential:NAME`; none.
    pub ping_file: Option<SecretAt>,
    /// `ca_file`: the certificates (PEM) that are trusted there instead of the public ones; none.
    pub ca_file: Option<PathBuf>,
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
        Self {
            level: LevelFilter::Info,
            target: LogTarget::Stderr,
            textfile: None,
            runs: 100,
            upload: None,
            post_file: None,
            ping_file: None,
            ca_file: None,
        }
    }
}

impl LogConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.get("level", one_of(&LEVELS), default.level),
            target: section.get("target", parsed("\"stderr\" or a path", "stderr", parse_target), default.target),
            textfile: section.get("textfile", parsed("\"none\" or a path", "none", parse_textfile), default.textfile),
            runs: section.get("runs", whole(1, 1000), default.runs),
            upload: section.get("upload", upload, default.upload),
            post_file: section.optional("post_file", secret),
            ping_file: section.optional("ping_file", secret),
            ca_file: section.optional("ca_file", path),
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
        out.key("runs", self.runs);
        out.key("upload", quoted(self.upload.as_ref().map_or("none", FileName::as_str)));
        for (key, secret) in [("post_file", &self.post_file), ("ping_file", &self.ping_file)] {
            if let Some(secret) = secret {
                out.key(key, secret.text());
            }
        }
        if let Some(path) = &self.ca_file {
            out.key("ca_file", path_text(path));
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

/// The name of a store, or none.
fn upload(node: &Node) -> Taken<Option<FileName>> {
    match parsed("\"none\" or the name of a store", "none", |text| Ok(text == "none"))(node)? {
        true => Ok(None),
        false => name(node).map(Some),
    }
}
