//! Tells what a statement is and whether a dump has a reason for it. Pure over bytes; SQLite's authorizer is the
//! second line behind it.

use super::lex::{Lexer, Token};

/// Virtual table modules that keep what they hold in the database itself and touch nothing else.
const MODULES: [&str; 6] = ["fts3", "fts4", "fts5", "rtree", "rtree_i32", "geopoly"];

/// PRAGMAs that are kept in the database file, or that decide how rows are taken.
const PRAGMAS: [&str; 6] =
    ["page_size", "encoding", "auto_vacuum", "user_version", "application_id", "ignore_check_constraints"];

/// PRAGMAs that concern the connection only. The loader sets its own; a dump's are passed over.
const PASSED_OVER: [&str; 9] = [
    "foreign_keys",
    "journal_mode",
    "synchronous",
    "locking_mode",
    "cache_size",
    "temp_store",
    "defer_foreign_keys",
    "recursive_triggers",
    "legacy_alter_table",
];

/// The longest name of a virtual table's module or PRAGMA that an error repeats, in bytes.
const SHOWN: usize = 40;

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// A semicolon alone, or a PRAGMA that is passed over.
    Nothing,
    Begin,
    Commit,
    Rollback,
    Savepoint(Vec<u8>),
    Release(Vec<u8>),
    /// A PRAGMA that is executed.
    Pragma,
    /// `PRAGMA writable_schema=ON`: bearable only in front of [`Statement::SchemaRow`].
    WritableSchema,
    /// The sqlite3 shell's way to write a virtual table: `INSERT INTO sqlite_schema` with this SQL in it.
    SchemaRow(Vec<u8>),
    /// `CREATE TABLE` of this name.
    CreateTable(Vec<u8>),
    /// `CREATE INDEX`, `TRIGGER` or `VIEW`.
    Create,
    CreateVirtual,
    /// `DROP TABLE`.
    Drop,
    Analyze,
    /// `INSERT INTO` this table, of a form that is left to SQLite.
    Insert(Vec<u8>),
    /// `DELETE FROM` this table.
    Delete(Vec<u8>),
    /// Nothing that a dump has a reason for; says why.
    Refused(String),
}

/// The tokens of a statement, one looked at ahead.
struct Tokens<'a> {
    lexer: Lexer<'a>,
    next: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a [u8]) -> Self {
        let mut lexer = Lexer::new(text);
        let next = lexer.next();
        Self { lexer, next }
    }

    fn take(&mut self) -> Option<Token<'a>> {
        std::mem::replace(&mut self.next, self.lexer.next())
    }

    fn is(&self, keyword: &str) -> bool {
        self.next.is_some_and(|token| token.is(keyword))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let is = self.is(keyword);
        if is {
            self.take();
        }
        is
    }

    fn mark(&mut self, mark: u8) -> bool {
        let is = self.next == Some(Token::Mark(mark));
        if is {
            self.take();
        }
        is
    }

    /// Takes a name, and gives the last part of a qualified one.
    fn name(&mut self) -> Vec<u8> {
        let first = self.take().and_then(|token| token.name()).unwrap_or_default();
        if self.mark(b'.') { self.take().and_then(|token| token.name()).unwrap_or_default() } else { first }
    }
}

/// Tells what the statement `text` is. Anything unknown is refused.
pub(super) fn classify(text: &[u8]) -> Statement {
    let mut tokens = Tokens::new(text);
    let Some(first) = tokens.take() else { return Statement::Nothing };
    let Token::Word(word) = first else {
        return match first {
            Token::Mark(b';') => Statement::Nothing,
            _ => Statement::Refused("it is not SQL".to_owned()),
        };
    };
    match word.to_ascii_uppercase().as_slice() {
        b"BEGIN" => Statement::Begin,
        b"COMMIT" | b"END" => Statement::Commit,
        b"ROLLBACK" => Statement::Rollback,
        b"SAVEPOINT" => Statement::Savepoint(tokens.name().to_ascii_lowercase()),
        b"RELEASE" => {
            tokens.takes("SAVEPOINT");
            Statement::Release(tokens.name().to_ascii_lowercase())
        }
        b"PRAGMA" => pragma(&mut tokens),
        b"CREATE" => create(&mut tokens),
        b"DROP" if tokens.is("TABLE") => Statement::Drop,
        b"ANALYZE" => Statement::Analyze,
        b"INSERT" => insert(&mut tokens),
        b"DELETE" => delete(&mut tokens),
        other => refused(&format!("a dump has no reason for {}", shown(other))),
    }
}

/// Tells whether the statement may make the new database one whose texts are stored otherwise than they come.
pub(super) fn may_change_encoding(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    if !tokens.takes("PRAGMA") || !one_of(&["encoding"], &tokens.name()) {
        return false;
    }
    let _sets = tokens.mark(b'=') || tokens.mark(b'(');
    !one_of(&["UTF-8"], &tokens.name())
}

fn refused(why: &str) -> Statement {
    Statement::Refused(why.to_owned())
}

fn shown(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&name[..name.len().min(SHOWN)]))
}

fn one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Tells whether the table holds the schema itself.
pub(super) fn is_schema(table: &[u8]) -> bool {
    one_of(&["sqlite_schema", "sqlite_master", "sqlite_temp_schema", "sqlite_temp_master"], table)
}

fn pragma(tokens: &mut Tokens) -> Statement {
    let name = tokens.name();
    if one_of(&PRAGMAS, &name) {
        Statement::Pragma
    } else if one_of(&PASSED_OVER, &name) {
        Statement::Nothing
    } else if one_of(&["writable_schema"], &name) {
        let bracket = tokens.mark(b'(');
        let sets = bracket || tokens.mark(b'=');
        let off = ["OFF", "NO", "FALSE", "0", "RESET"].iter().any(|word| tokens.is(word));
        if sets && off { Statement::Nothing } else { Statement::WritableSchema }
    } else {
        refused(&format!("a dump has no reason for PRAGMA {}", shown(&name)))
    }
}

fn create(tokens: &mut Tokens) -> Statement {
    if tokens.is("TEMP") || tokens.is("TEMPORARY") {
        return refused("a dump has no reason for temporary tables, views or triggers");
    }
    if tokens.takes("VIRTUAL") {
        return create_virtual(tokens);
    }
    tokens.takes("UNIQUE");
    if tokens.is("INDEX") || tokens.is("VIEW") || tokens.is("TRIGGER") {
        return Statement::Create;
    }
    if !tokens.takes("TABLE") {
        return refused("only tables, indexes, views, triggers and virtual tables can be created");
    }
    skip_if_not_exists(tokens);
    let name = tokens.name();
    if tokens.is("AS") {
        return refused("a dump has no reason for CREATE TABLE ... AS, which may be endless");
    }
    Statement::CreateTable(name)
}

fn skip_if_not_exists(tokens: &mut Tokens) {
    if tokens.takes("IF") {
        tokens.takes("NOT");
        tokens.takes("EXISTS");
    }
}

fn create_virtual(tokens: &mut Tokens) -> Statement {
    tokens.takes("TABLE");
    skip_if_not_exists(tokens);
    let _name = tokens.name();
    tokens.takes("USING");
    let module = tokens.name();
    if one_of(&MODULES, &module) {
        return Statement::CreateVirtual;
    }
    refused(&format!("virtual tables of the module {} may reach outside of the database", shown(&module)))
}

fn insert(tokens: &mut Tokens) -> Statement {
    if tokens.takes("OR") {
        tokens.take();
    }
    if !tokens.takes("INTO") {
        return refused("it is not an INSERT INTO");
    }
    let table = tokens.name();
    if is_schema(&table) {
        return schema_row(tokens).unwrap_or_else(|| refused("a dump may not write the schema directly"));
    }
    if has_query(tokens) {
        return refused("a dump has no reason for queries in an INSERT, which may be endless");
    }
    Statement::Insert(table)
}

fn delete(tokens: &mut Tokens) -> Statement {
    if !tokens.takes("FROM") {
        return refused("it is not a DELETE FROM");
    }
    let table = tokens.name();
    // Which other tables are the shadow of a virtual one is known to the caller.
    match tokens.take() {
        None | Some(Token::Mark(b';')) if !is_schema(&table) => Statement::Delete(table),
        _ => refused("a dump has no reason for it"),
    }
}

fn has_query(tokens: &mut Tokens) -> bool {
    while let Some(token) = tokens.take() {
        if token.is("SELECT") || token.is("WITH") {
            return true;
        }
    }
    false
}

/// Recognises `(type,name,tbl_name,rootpage,sql)VALUES('table',NAME,NAME,0,SQL);` with the SQL of a virtual table.
fn schema_row(tokens: &mut Tokens) -> Option<Statement> {
    if !tokens.mark(b'(') {
        return None;
    }
    for (i, column) in ["type", "name", "tbl_name", "rootpage", "sql"].iter().enumerate() {
        (i == 0 || tokens.mark(b',')).then_some(())?;
        tokens.takes(column).then_some(())?;
    }
    (tokens.mark(b')') && tokens.takes("VALUES") && tokens.mark(b'(')).then_some(())?;
    let kind = text(tokens)?;
    tokens.mark(b',').then_some(())?;
    let name = text(tokens)?;
    tokens.mark(b',').then_some(())?;
    let table = text(tokens)?;
    (kind == b"table" && name == table && tokens.mark(b',') && tokens.takes("0") && tokens.mark(b',')).then_some(())?;
    let sql = text(tokens)?;
    let ends = tokens.mark(b')') && tokens.mark(b';') && tokens.take().is_none();
    let mut created = Tokens::new(&sql);
    let is_virtual = created.takes("CREATE") && created.takes("VIRTUAL") && created.takes("TABLE");
    (ends && is_virtual && created.name() == name).then_some(Statement::SchemaRow(sql))
}

fn text(tokens: &mut Tokens) -> Option<Vec<u8>> {
    match tokens.take()? {
        token @ Token::Quoted(b'\'', _) => token.name(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dump_needs_is_let_through() {
        use Statement as S;
        let name = |name: &str| name.as_bytes().to_vec();
        for (text, expected) in [
            (";", S::Nothing),
            ("/* */ begin transaction;", S::Begin),
            ("END TRANSACTION;", S::Commit),
            ("RELEASE SAVEPOINT \"A\";", S::Release(name("a"))),
            ("PRAGMA main.user_version=-3;", S::Pragma),
            ("PRAGMA foreign_keys=ON;", S::Nothing),
            ("PRAGMA writable_schema=RESET;", S::Nothing),
            ("PRAGMA writable_schema(ON);", S::WritableSchema),
            ("CREATE TABLE IF NOT EXISTS 'a''b'(c);", S::CreateTable(name("a'b"))),
            ("CREATE TABLE main.[as](c AS (1));", S::CreateTable(name("as"))),
            ("CREATE UNIQUE INDEX i ON t(a);", S::Create),
            ("CREATE VIRTUAL TABLE IF NOT EXISTS f USING FTS5(a);", S::CreateVirtual),
            ("DROP TABLE t;", S::Drop),
            ("DELETE FROM sqlite_sequence;", S::Delete(name("sqlite_sequence"))),
            ("INSERT INTO t VALUES('select with');", S::Insert(name("t"))),
            (
                "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,\
                 'CREATE VIRTUAL TABLE f USING fts5(a)');",
                S::SchemaRow(name("CREATE VIRTUAL TABLE f USING fts5(a)")),
            ),
        ] {
            assert_eq!(classify(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_encoding_other_than_utf_8_is_noticed() {
        let changes = ["PRAGMA encoding='UTF-16';", "pragma main.Encoding(utf16le)", "PRAGMA encoding;"];
        assert!(changes.iter().all(|text| may_change_encoding(text.as_bytes())));
        let others = ["PRAGMA encoding='UTF-8';", "PRAGMA encoding(\"utf-8\");", "PRAGMA page_size=512;", "BEGIN;"];
        assert!(!others.iter().any(|text| may_change_encoding(text.as_bytes())));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "ATTACH 'x' AS y;",
            "SELECT 1;",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a;",
            "INSERT INTO t SELECT 1;",
            "INSERT INTO t VALUES((SELECT 1));",
            "INSERT INTO sqlite_master VALUES('table','a','a',0,'x');",
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('trigger','f','f',0,'CREATE TRIGGER');",
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE TABLE f(a)');",
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,\
             'CREATE VIRTUAL TABLE g USING fts5(a)');",
            "DELETE FROM t WHERE a;",
            "DELETE FROM sqlite_master;",
            "UPDATE t SET a=1;",
            "REPLACE INTO t VALUES(1);",
            "CREATE TEMP TABLE t(a);",
            "CREATE TABLE t AS SELECT 1;",
            "CREATE VIRTUAL TABLE t USING csv('/etc/passwd');",
            "DROP VIEW v;",
            "PRAGMA temp_store_directory='/';",
            "VACUUM INTO '/etc/x';",
            "ALTER TABLE t ADD b;",
            "EXPLAIN SELECT 1;",
            "REINDEX;",
            "'a';",
        ] {
            assert!(matches!(classify(text.as_bytes()), Statement::Refused(_)), "{text}");
        }
    }
}
