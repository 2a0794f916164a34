//! A typed reader over the tree: a section asks for its keys, one line each, and every mistake is collected.
//!
//! A wrong value is reported and its default used, so that reading goes on; whoever asks for all keys of a table also
//! names them, and what was not asked for is an unknown key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::report::Report;
use super::tree::{Node, Place, Table, Value, quoted};
use super::units;
use crate::model::{FileName, name_problem};

/// The most sources, and the most stores, of one box.
const NAMED_MAX: usize = 100;

/// The longest path that Linux opens, in bytes.
const PATH_MAX: usize = 4095;

/// Why a value is refused; several reasons for a list.
pub(super) type Taken<T> = Result<T, Vec<Wrong>>;

/// One reason. `at` is set when it is about an element of a list.
#[derive(Debug)]
pub(super) struct Wrong {
    at: Option<Place>,
    message: String,
    hint: Option<String>,
}

impl Wrong {
    /// Adds another way out to the hint.
    pub(super) fn suggest(&mut self, more: &str) {
        self.hint = Some(match self.hint.take() {
            Some(hint) => format!("{hint}, {more}"),
            None => more.to_owned(),
        });
    }
}

/// A value is refused for one reason.
pub(super) fn refuse<T>(message: String, hint: Option<String>) -> Taken<T> {
    Err(vec![Wrong { at: None, message, hint }])
}

fn expected<T>(what: &str, node: &Node, hint: Option<String>) -> Taken<T> {
    refuse(format!("expected {what}, found {}", node.found()), hint)
}

/// One table of the configuration while it is read.
pub(super) struct Section<'t, 'r> {
    table: &'t Table,
    /// Where the table's key stands; `None` for the whole file and for tables that are in no file.
    at: Option<Place>,
    path: String,
    asked: Vec<&'static str>,
    report: &'r mut Report,
}

impl<'t, 'r> Section<'t, 'r> {
    /// The table of everything.
    pub(super) fn root(table: &'t Table, report: &'r mut Report) -> Self {
        Self { table, at: None, path: String::new(), asked: Vec::new(), report }
    }

    /// The value of `key`, or `default` when it is not there or wrong.
    pub(super) fn get<T>(&mut self, key: &'static str, kind: impl FnOnce(&Node) -> Taken<T>, default: T) -> T {
        self.optional(key, kind).unwrap_or(default)
    }

    /// The value of `key`, which must be there; `None` once a problem is reported. `example` shows how to write it.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        kind: impl FnOnce(&Node) -> Taken<T>,
        example: &str,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            self.report.missing(self.at, &dotted(&self.path, key), format!("write{place}: {key} = {example}"));
        }
        self.optional(key, kind)
    }

    /// The value of `key`; `None` when it is not there or wrong.
    pub(super) fn optional<T>(&mut self, key: &'static str, kind: impl FnOnce(&Node) -> Taken<T>) -> Option<T> {
        self.asked.push(key);
        let node = &self.table.get(key)?.node;
        match kind(node) {
            Ok(value) => Some(value),
            Err(all) => {
                for wrong in all {
                    let at = wrong.at.unwrap_or(node.at);
                    self.report.wrong(Some(at), &dotted(&self.path, key), wrong.message, wrong.hint);
                }
                None
            }
        }
    }

    /// Complains when the table `key` is in no file or empty. `example` shows what may stand in it.
    pub(super) fn require_table(&mut self, key: &'static str, example: &str) {
        let empty = match self.table.get(key) {
            None => true,
            Some(entry) => matches!(&entry.node.value, Value::Table(table) if table.is_empty()),
        };
        if empty {
            self.report.missing(self.place_of(key), &dotted(&self.path, key), format!("write {example}"));
        }
    }

    /// Where `key` stands.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.table.get(key).map(|entry| entry.key_at)
    }

    /// A mistake of this table, at `key` when it is there.
    pub(super) fn complain(&mut self, key: &str, message: String, hint: Option<String>) {
        let at = self.place_of(key).or(self.at);
        self.report.wrong(at, &dotted(&self.path, key), message, hint);
    }

    /// A mistake of the table as a whole.
    pub(super) fn complain_of_all(&mut self, message: String, hint: Option<String>) {
        self.report.wrong(self.at, &self.path, message, hint);
    }

    /// The table `key`, read by `read`; a missing one is read as an empty one.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_, '_>) -> T) -> T {
        self.asked.push(key);
        let none = Table::new();
        let (table, at) = match self.table.get(key) {
            None => (&none, None),
            Some(entry) => match &entry.node.value {
                Value::Table(table) => (table, Some(entry.key_at)),
                _ => {
                    let path = dotted(&self.path, key);
                    let message = format!("expected a table, found {}", entry.node.found());
                    self.report.wrong(Some(entry.key_at), &path, message, Some(format!("write [{path}]")));
                    (&none, Some(entry.key_at))
                }
            },
        };
        let path = dotted(&self.path, key);
        let mut section = Section { table, at, path, asked: Vec::new(), report: self.report };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// The tables below `key`, each with a name of the user's choice. Wrong ones are left out.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_, '_>) -> Option<T>,
    ) -> BTreeMap<FileName, T> {
        self.table(key, |section| {
            let mut all = BTreeMap::new();
            let count = section.table.len();
            if count > NAMED_MAX {
                section.complain_of_all(format!("has {count} entries, and {NAMED_MAX} are allowed"), None);
                section.ignore_the_rest();
            }
            for (name, entry) in section.table {
                let path = dotted(&section.path, name);
                let wrong = match (name.parse::<FileName>(), &entry.node.value) {
                    (Ok(name), Value::Table(table)) => {
                        let at = Some(entry.key_at);
                        let mut inner = Section { table, at, path, asked: Vec::new(), report: section.report };
                        let value = read(&mut inner);
                        inner.finish();
                        all.extend(value.map(|value| (name, value)));
                        continue;
                    }
                    (Err(_), Value::Table(_)) => (not_a_name(name), None),
                    (_, _) => {
                        let message = format!("expected a table, found {}", entry.node.found());
                        (message, Some(format!("write [{}.<name>] and the keys below it", section.path)))
                    }
                };
                section.report.wrong(Some(entry.key_at), &path, wrong.0, wrong.1);
            }
            section.ignore_the_rest();
            all
        })
    }

    /// The keys of this table are not known here, so none of them is reported as unknown.
    pub(super) fn ignore_the_rest(&mut self) {
        self.table = const { &Table::new() };
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for (key, entry) in self.table.iter().filter(|(key, _)| !self.asked.contains(&key.as_str())) {
            let hint = match nearest(key, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            self.report.wrong(Some(entry.key_at), &dotted(&self.path, key), "unknown key".into(), Some(hint));
        }
    }
}

/// Text that may stand in a file name: a customer number, a box.
pub(super) fn name(node: &Node) -> Taken<FileName> {
    match &node.value {
        Value::Text(text) => text.parse().or_else(|_| refuse(not_a_name(text), None)),
        Value::Integer(_) => {
            let hint = "write it in quotes: a number would lose its leading zeros, and 004711 is not 4711";
            expected("text in quotes", node, Some(hint.into()))
        }
        _ => expected("text in quotes", node, None),
    }
}

/// true or false.
pub(super) fn flag(node: &Node) -> Taken<bool> {
    match node.value {
        Value::Flag(flag) => Ok(flag),
        _ => expected("true or false", node, None),
    }
}

/// A whole number within limits that fit into `u32`.
pub(super) fn whole(least: u32, most: u32) -> impl Fn(&Node) -> Taken<u32> {
    move |node| match node.value {
        Value::Integer(Some(number)) => match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => refuse(format!("{number} is not from {least} to {most}"), None),
        },
        _ => expected(&format!("a whole number from {least} to {most}"), node, None),
    }
}

/// One of a few words.
pub(super) fn one_of<T: Clone>(words: &[(&'static str, T)]) -> impl Fn(&Node) -> Taken<T> {
    move |node| {
        let known = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let Value::Text(text) = &node.value else { return expected(&format!("one of {known}"), node, None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Ok(value.clone());
        }
        let hint = nearest(text, words.iter().map(|(word, _)| *word)).map(|word| format!("did you mean {word:?}?"));
        expected(&format!("one of {known}"), node, hint)
    }
}

/// Text that `parse` turns into a value; `what` names it and `example` shows one.
pub(super) fn parsed<T>(
    what: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&Node) -> Taken<T> {
    move |node| {
        let hint = Some(format!("write it like {example:?}"));
        let Value::Text(text) = &node.value else { return expected(what, node, hint) };
        parse(text).or_else(|why| refuse(format!("expected {what}, found {}: {why}", node.found()), hint))
    }
}

/// A size in bytes with its unit.
pub(super) fn size(node: &Node) -> Taken<u64> {
    parsed("a size", "200MB", units::parse_size)(node)
}

/// A duration within limits, with its unit.
pub(super) fn duration(least: Duration, most: Duration) -> impl Fn(&Node) -> Taken<Duration> {
    parsed("a duration", "5s", move |text| {
        let duration = units::parse_duration(text)?;
        if (least..=most).contains(&duration) {
            return Ok(duration);
        }
        Err(format!("not from {} to {}", units::format_duration(least), units::format_duration(most)))
    })
}

/// An absolute path without `..`, so that two paths can be compared without asking the file system.
pub(super) fn path(node: &Node) -> Taken<PathBuf> {
    parsed("a path", "/var/lib/till/kasse.db", parse_path)(node)
}

/// What [`path`] accepts.
pub(super) fn parse_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.len() > PATH_MAX {
        return Err(format!("it is longer than {PATH_MAX} bytes"));
    }
    if !path.is_absolute() {
        return Err("it does not begin at the root `/`".into());
    }
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err("it goes up with `..`".into());
    }
    if text.contains('\0') {
        return Err("no path holds a NUL".into());
    }
    Ok(path)
}

/// A list whose elements are all of one kind; every wrong one is told with its own line.
pub(super) fn list<T>(kind: impl Fn(&Node) -> Taken<T>) -> impl Fn(&Node) -> Taken<Vec<T>> {
    move |node| {
        let Value::List(nodes) = &node.value else {
            return expected("a list", node, Some("write it in brackets: [ ... ]".into()));
        };
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for node in nodes {
            match kind(node) {
                Ok(value) => good.push(value),
                Err(all) => bad.extend(all.into_iter().map(|wrong| Wrong { at: wrong.at.or(Some(node.at)), ..wrong })),
            }
        }
        if bad.is_empty() { Ok(good) } else { Err(bad) }
    }
}

fn not_a_name(text: &str) -> String {
    let why = name_problem(text).unwrap_or_else(|| "it is no file name".into());
    format!("{} cannot be part of a file name: {why}", quoted(text))
}

/// `a.b`, with quotes where TOML needs them.
pub(super) fn dotted(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let key = if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The known word that was probably meant, if one is near.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const WORD_MAX: usize = 40; // bytes: no key is longer, and the work grows with the square
    if word.len() > WORD_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let (distance, best) =
        known.map(|known| (edits(&word, &known.to_lowercase()), known)).min_by_key(|(edits, _)| *edits)?;
    (distance <= 1 + best.len() / 5).then_some(best)
}

/// How many letters must be added, removed or changed to turn one word into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
