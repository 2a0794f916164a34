//! Virtual tables: what of their content must be written, and how it goes back in.

use rusqlite::types::Value;
use rusqlite::{Connection, Error as SqliteError, ErrorCode};

use super::schema::Table;
use super::text::quoted;

/// A virtual table and the way its content travels.
pub(super) struct Virtual {
    pub(super) name: String,
    pub(super) sql: String,
    pub(super) content: Content,
    /// Settings of an FTS5 table that lie in the database: key and value.
    pub(super) settings: Vec<(String, Value)>,
    pub(super) warnings: Vec<String>,
}

/// Where a virtual table's content comes from when the dump is loaded.
pub(super) enum Content {
    /// Nothing of its own: it shows other tables, or the engine.
    Elsewhere,
    /// Rows, written through the table itself. `key` is SQL for the row's key, `columns` are the other names.
    Rows { key: String, columns: Vec<String> },
    /// The index is built anew from another table or view.
    Rebuild,
    /// Only an index of text that is not kept: the tables behind it are written as they are.
    Shadows(Vec<Table>),
    /// SQLite here cannot read it (no such module, no such tokenizer): the tables behind it are dumped as plain ones.
    Unreadable { reason: String },
}

/// The settings of FTS5 that the oldest supported shell knows; the others would stop it.
const FTS5_SETTINGS: [&str; 5] = ["automerge", "crisismerge", "pgsz", "rank", "usermerge"];

/// Options of FTS5 that the oldest supported shell does not know.
const FTS5_NEW_OPTIONS: [&str; 3] = ["contentless_delete", "contentless_unindexed", "locale"];

/// What there is to know of the virtual table `name`, made by `sql`.
pub(super) fn read(db: &Connection, name: String, sql: String) -> rusqlite::Result<Virtual> {
    let mut table = Virtual { name, sql, content: Content::Elsewhere, settings: Vec::new(), warnings: Vec::new() };
    let definition = Definition::of(&table.sql);
    let module = definition.module.to_ascii_lowercase();
    if let Some(reason) = refusal(db, &table.name, &module)? {
        table.warnings.push(format!(
            "virtual table {:?} is left out ({reason:?}); the tables behind it are dumped as they are",
            table.name
        ));
        table.content = Content::Unreadable { reason };
        return Ok(table);
    }
    match module.as_str() {
        "fts5" => read_fts5(db, &definition, &mut table)?,
        "fts3" => table.content = rows(db, &table.name, "docid", None)?,
        "fts4" => table.content = fts4_content(db, &definition, &table.name)?,
        "rtree" | "rtree_i32" => {
            let mut columns = visible_columns(db, &table.name)?;
            if !columns.is_empty() {
                let key = quoted(&columns.remove(0));
                table.content = Content::Rows { key, columns };
            }
        }
        _ => {}
    }
    Ok(table)
}

/// Why SQLite here cannot use the table at all, if so: its module or its tokenizer is not known.
fn refusal(db: &Connection, name: &str, module: &str) -> rusqlite::Result<Option<String>> {
    let table = quoted(name);
    match db.prepare(&format!("SELECT * FROM main.{table}")).map(drop) {
        // FTS5 looks for its tokenizer only when it is asked for a word.
        Ok(()) if module == "fts5" => {
            let probe = format!("SELECT 1 FROM main.{table} WHERE {table} MATCH 'a' LIMIT 1");
            // A damaged index does not matter here: rows come from the content.
            Ok(db.query_row(&probe, [], |_| Ok(())).err().and_then(|error| message(&error)))
        }
        Ok(()) => Ok(None),
        Err(error) => message(&error).map(Some).ok_or(error),
    }
}

/// What a module says when it does not want to, as opposed to a lock or a broken disk.
fn message(error: &SqliteError) -> Option<String> {
    match error {
        _ if error.sqlite_error_code() != Some(ErrorCode::Unknown) => None,
        SqliteError::SqliteFailure(_, Some(message)) => Some(message.clone()),
        SqliteError::SqlInputError { msg, .. } => Some(msg.clone()),
        _ => Some(error.to_string()),
    }
}

fn read_fts5(db: &Connection, definition: &Definition, table: &mut Virtual) -> rusqlite::Result<()> {
    let name = &table.name;
    for option in FTS5_NEW_OPTIONS.into_iter().filter(|option| definition.option(option).is_some()) {
        table.warnings.push(format!("table {name:?} has the option {option}, which SQLite 3.40 does not know"));
    }
    table.content = match definition.option("content").as_deref() {
        None => rows(db, name, "rowid", None)?,
        Some("") => Content::Shadows(Vec::new()),
        Some(source) => {
            let rowid = definition.option("content_rowid").unwrap_or_else(|| "rowid".to_owned());
            rebuild_or_shadows(db, name, &rowid, source)?
        }
    };
    // The tables behind it, where they travel, hold the settings too.
    let with_shadows = matches!(table.content, Content::Shadows(_));
    let sql = format!("SELECT k, v FROM main.{} ORDER BY k", quoted(&format!("{name}_config")));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, Value) = (row.get(0)?, row.get(1)?);
        if FTS5_SETTINGS.contains(&key.as_str()) {
            if !with_shadows {
                table.settings.push((key, value));
            }
        } else if key != "version" {
            table.warnings.push(format!("table {name:?} has the setting {key:?}, which SQLite 3.40 does not know"));
        }
    }
    Ok(())
}

fn fts4_content(db: &Connection, definition: &Definition, name: &str) -> rusqlite::Result<Content> {
    match definition.option("content").as_deref() {
        None => rows(db, name, "docid", definition.option("languageid")),
        Some("") => Ok(Content::Shadows(Vec::new())),
        Some(source) => rebuild_or_shadows(db, name, "rowid", source),
    }
}

fn rows(db: &Connection, name: &str, key: &str, hidden: Option<String>) -> rusqlite::Result<Content> {
    let mut columns = visible_columns(db, name)?;
    columns.extend(hidden);
    Ok(Content::Rows { key: key.to_owned(), columns })
}

/// A rebuild needs the table or view that has the text; where that is gone, the index itself is all there is.
fn rebuild_or_shadows(db: &Connection, name: &str, rowid: &str, source: &str) -> rusqlite::Result<Content> {
    let mut columns = vec![quoted(rowid)];
    columns.extend(visible_columns(db, name)?.iter().map(|column| quoted(column)));
    let there = db.prepare(&format!("SELECT {} FROM main.{}", columns.join(","), quoted(source)));
    Ok(if there.is_ok() { Content::Rebuild } else { Content::Shadows(Vec::new()) })
}

fn visible_columns(db: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(&format!("PRAGMA main.table_xinfo({})", quoted(name)))?;
    let columns = statement.query_map([], |row| Ok((row.get::<_, String>("name")?, row.get::<_, i64>("hidden")?)))?;
    columns.filter_map(|column| column.map(|(name, hidden)| (hidden == 0).then_some(name)).transpose()).collect()
}

/// Gives each table behind a virtual one to it where it is wanted, drops it where the virtual table makes it again, and
/// returns those that must be dumped as plain tables.
pub(super) fn hand_out_shadows(virtuals: &mut [Virtual], shadows: Vec<Table>) -> Vec<Table> {
    let mut plain = Vec::new();
    for shadow in shadows {
        let owns = |owner: &&mut Virtual| shadow_of(&shadow.name, &owner.name);
        match virtuals.iter_mut().filter(owns).max_by_key(|owner| owner.name.len()).map(|owner| &mut owner.content) {
            Some(Content::Shadows(tables)) => tables.push(shadow),
            Some(Content::Rows { .. } | Content::Rebuild | Content::Elsewhere) => {}
            Some(Content::Unreadable { .. }) | None => plain.push(shadow),
        }
    }
    plain
}

fn shadow_of(shadow: &str, owner: &str) -> bool {
    let (Some(head), Some(tail)) = (shadow.get(..owner.len()), shadow.get(owner.len()..)) else { return false };
    head.eq_ignore_ascii_case(owner) && tail.starts_with('_')
}

/// The parts of `CREATE VIRTUAL TABLE name USING module(argument, ...)`.
struct Definition {
    module: String,
    arguments: Vec<String>,
}

impl Definition {
    fn of(sql: &str) -> Self {
        let mut rest = sql;
        while let Some((token, after)) = token(rest) {
            rest = after;
            if token.eq_ignore_ascii_case("using") {
                break;
            }
        }
        let Some((module, after)) = token(rest) else { return Self { module: String::new(), arguments: Vec::new() } };
        Self { module: unquoted(module), arguments: arguments(after) }
    }

    /// The value of the option `key = value`, if it is given.
    fn option(&self, key: &str) -> Option<String> {
        self.arguments.iter().find_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            name.trim().eq_ignore_ascii_case(key).then(|| unquoted(value.trim()))
        })
    }
}

/// The arguments in the parentheses that `rest` begins with, each without the white space around it.
fn arguments(rest: &str) -> Vec<String> {
    let (mut arguments, mut current, mut depth) = (Vec::new(), String::new(), 0);
    let mut rest = rest;
    while let Some((token, after)) = token(rest) {
        let space = rest.len() - after.len() - token.len();
        rest = after;
        match token {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && token == ",") {
            arguments.push(std::mem::take(&mut current));
            if depth == 0 {
                break;
            }
        } else if !(depth == 1 && token == "(") {
            current.push_str(if space > 0 && !current.is_empty() { " " } else { "" });
            current.push_str(token);
        }
    }
    arguments
}

/// The first token of `sql`, white space and comments skipped, and what follows it.
fn token(sql: &str) -> Option<(&str, &str)> {
    let mut sql = sql.trim_start();
    loop {
        let end = match sql.as_bytes() {
            [b'-', b'-', ..] => sql.find('\n').map(|at| at + 1),
            [b'/', b'*', ..] => sql[2..].find("*/").map(|at| at + 4),
            _ => break,
        };
        sql = sql[end.unwrap_or(sql.len())..].trim_start();
    }
    let first = sql.chars().next()?;
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let length = match first {
        '\'' | '"' | '`' => quoted_length(sql, first),
        '[' => sql.find(']').map_or(sql.len(), |at| at + 1),
        _ if word(first) => sql.find(|c| !word(c)).unwrap_or(sql.len()),
        _ => first.len_utf8(),
    };
    Some(sql.split_at(length))
}

/// The length of the quoted token at the start of `sql`, doubled quotes inside it included.
fn quoted_length(sql: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(at) = sql[from..].find(quote) {
        from += at + 1;
        if !sql[from..].starts_with(quote) {
            return from;
        }
        from += 1;
    }
    sql.len()
}

fn unquoted(token: &str) -> String {
    let Some(open @ ('\'' | '"' | '`' | '[')) = token.chars().next() else { return token.to_owned() };
    let close = if open == '[' { ']' } else { open };
    let inner = token[1..].strip_suffix(close).unwrap_or(&token[1..]);
    inner.replace(&format!("{close}{close}"), &close.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_through_quotes_and_comments() {
        let definition = Definition::of(
            "CREATE VIRTUAL TABLE \"using (x)\" -- using y\n USING/**/\"FTS5\"(a, 'b,c' , content = 'it''s',\n\
             tokenize=\"porter ascii\", prefix='2 3')",
        );
        assert_eq!(definition.module, "FTS5");
        assert_eq!(definition.arguments[..2], ["a", "'b,c'"]);
        assert_eq!(definition.option("content").as_deref(), Some("it's"));
        assert_eq!(definition.option("tokenize").as_deref(), Some("porter ascii"));
        assert_eq!(definition.option("b"), None);
        assert!(Definition::of("CREATE VIRTUAL TABLE x USING dbstat").arguments.is_empty());
        assert_eq!(Definition::of("CREATE VIRTUAL TABLE x USING [my mod]( f(1,2) )").arguments, ["f(1,2)"]);
    }

    #[test]
    fn a_broken_definition_ends() {
        for sql in ["", "CREATE", "x USING", "x USING 'm", "x USING m(a, (b", "x USING m(\"a", "/*", "--", "x USING m)"]
        {
            Definition::of(sql);
        }
    }
}
