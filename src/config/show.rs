//! The effective configuration as TOML: what is in force after files and defaults, key by key.

use std::fmt::{Display, Write as _};
use std::path::Path;

use super::{Config, MODES, sections};
use crate::model::FileName;

/// The whole of `config` as TOML, which reads back as the same configuration. It holds no secrets.
pub fn show(config: &Config) -> String {
    let mut out = Out::default();
    out.key("customer", quoted(config.customer.as_str()));
    out.key("box", quoted(config.box_name.as_str()));
    out.key("lang", quoted(config.lang.pick("de", "en", "es")));
    out.key("time_zone", quoted(&config.time_zone));
    out.word("mode", &MODES, &config.mode);
    out.key("state", path_text(&config.state));
    for (name, source) in &config.sources {
        source.show(name, &mut out);
    }
    out.table("quiesce");
    config.quiesce.show(&mut out);
    config.dump.show(&mut out);
    config.primary.show(&mut out);
    config.sticks.show(&mut out);
    for (name, store) in &config.stores {
        store.show(name, &mut out);
    }
    config.schedule.show(&mut out);
    out.table("retention");
    sections::retention::show(&config.retention, &mut out);
    config.feedback.show(&mut out);
    config.agent.show(&mut out);
    config.log.show(&mut out);
    out.0
}

/// Collects lines of TOML.
#[derive(Default)]
pub(super) struct Out(String);

impl Out {
    /// Opens `[path]`.
    pub(super) fn table(&mut self, path: &str) {
        let _ = write!(self.0, "\n[{path}]\n");
    }

    /// Opens `[kind.name]`.
    pub(super) fn named_table(&mut self, kind: &str, name: &FileName) {
        self.table(&format!("{kind}.{}", bare_or_quoted(name.as_str())));
    }

    /// Opens `[kind.name.below]`.
    pub(super) fn named_subtable(&mut self, kind: &str, name: &FileName, below: &str) {
        self.table(&format!("{kind}.{}.{below}", bare_or_quoted(name.as_str())));
    }

    /// `key = value`; text must come quoted.
    pub(super) fn key(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    /// `key = "word"`, with the first word for `value`.
    pub(super) fn word<T: PartialEq>(&mut self, key: &str, words: &[(&'static str, T)], value: &T) {
        let word = words.iter().find(|(_, other)| other == value).map(|(word, _)| *word);
        self.key(key, quoted(word.expect("each value has its word in the table beside its type")));
    }

    /// `key = [["a", "b"], ["c"]]`
    pub(super) fn lists(&mut self, key: &str, lists: &[Vec<String>]) {
        let one = |texts: &Vec<String>| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
        let lists: Vec<String> = lists.iter().map(|texts| format!("[{}]", one(texts))).collect();
        self.key(key, format!("[{}]", lists.join(", ")));
    }

    /// `key = ["a", "b"]`
    pub(super) fn list(&mut self, key: &str, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
        self.key(key, format!("[{}]", texts.join(", ")));
    }
}

/// Text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as TOML writes it. Paths come from TOML, so they are UTF-8.
pub(super) fn path_text(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A key as TOML writes it.
pub(super) fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if bare { key.to_owned() } else { quoted(key) }
}
