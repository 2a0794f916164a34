//! What several files say together, and where each key and value stands: the merge loses no line number.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which file, counted in reading order.
    pub(super) file: usize,
    /// The line, counted from 1.
    pub(super) line: usize,
}

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// What a configuration may hold. No key takes a float or a date, so of these only the name is kept.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// `None`: a number that 64 bits do not hold.
    Integer(Option<i64>),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    Other(&'static str),
}

/// A key's place and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key_at: Place,
    pub(super) node: Node,
}

/// The keys of one table.
pub(super) type Table = BTreeMap<String, Entry>;

impl Node {
    /// The value in words, for messages.
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::Text(text) => quoted(text),
            Value::Integer(Some(number)) => format!("the number {number}"),
            Value::Integer(None) => "a number that is none or too large".into(),
            Value::Flag(flag) => format!("{flag}"),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
            Value::Other(name) => (*name).into(),
        }
    }
}

/// Text from outside, escaped, and short enough for a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80; // characters: a path is usually shorter
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// Puts `over` onto `base`: tables are joined key by key, of everything else the later one stays.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, entry) in over {
        if let Some(Entry { node: Node { value: Value::Table(base), .. }, .. }) = base.get_mut(&key)
            && let Entry { node: Node { value: Value::Table(over), .. }, .. } = entry
        {
            merge(base, over);
        } else {
            base.insert(key, entry);
        }
    }
}

/// Finds the value at a path of keys.
pub(super) fn find<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Entry> {
    let (first, rest) = path.split_first()?;
    let entry = table.get(*first)?;
    match (&entry.node.value, rest) {
        (_, []) => Some(entry),
        (Value::Table(table), rest) => find(table, rest),
        _ => None,
    }
}

/// Turns byte offsets into lines.
pub(super) struct Lines {
    file: usize,
    ends: Vec<usize>,
}

impl Lines {
    pub(super) fn new(file: usize, text: &str) -> Self {
        Self { file, ends: memchr::memchr_iter(b'\n', text.as_bytes()).collect() }
    }

    pub(super) fn at(&self, offset: usize) -> Place {
        Place { file: self.file, line: self.ends.partition_point(|end| *end < offset) + 1 }
    }
}

/// Our tree from the parser's, of one file. Its depth is bounded by the parser (80).
pub(super) fn table(table: DeTable<'_>, lines: &Lines) -> Table {
    let entry = |(key, value): (Spanned<Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let key_at = lines.at(key.span().start);
        (key.into_inner().into_owned(), Entry { key_at, node: node(value, lines) })
    };
    table.into_iter().map(entry).collect()
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let Range { start, .. } = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Array(nodes) => Value::List(nodes.into_iter().map(|value| node(value, lines)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, lines)),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(date) if date.date.is_none() => Value::Other("a time without quotes"),
        DeValue::Datetime(_) => Value::Other("a date without quotes"),
    };
    Node { at: lines.at(start), value }
}
