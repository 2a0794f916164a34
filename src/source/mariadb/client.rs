//! The server's own programs: how they are started, and what their complaints mean.

use std::ffi::OsString;

use super::Mariadb;
use crate::error::{Error, Kind, Result};
use crate::host::piped::{Program, Secret};
use crate::source::server::one_line;

/// mariadb-dump, or what MySQL calls it. `lock` is for tables whose engine knows no snapshot.
pub(super) fn dump_program(source: &Mariadb, lock: bool) -> Result<Program> {
    let mut program = program(source, &["mariadb-dump", "mysqldump"])?;
    // Each row in a line of its own, in the order of the primary key: `text` joins them.
    let options = [
        if lock { "--lock-tables" } else { "--single-transaction" },
        "--quick",
        "--routines",
        "--events",
        "--triggers",
        "--hex-blob",
        "--skip-extended-insert",
        "--order-by-primary",
        "--no-autocommit",
        "--skip-add-locks",
        "--skip-dump-date",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G",
    ];
    program.args.extend(options.map(OsString::from));
    program.args.push(source.database.clone().into());
    Ok(program)
}

/// What defines the tables, views, triggers, routines and events of a database, without a row; with `force` without those
/// that it cannot tell. What it gives may be run again and again.
pub(super) fn schema_program(source: &Mariadb, force: bool) -> Result<Program> {
    let mut program = definitions(source, &["--routines", "--events"])?;
    program.args.extend(force.then(|| "--force".into()));
    program.args.push(source.database.clone().into());
    Ok(program)
}

/// What defines the triggers alone.
pub(super) fn triggers_program(source: &Mariadb) -> Result<Program> {
    let mut program = definitions(source, &["--no-create-info"])?;
    program.args.push(source.database.clone().into());
    Ok(program)
}

fn definitions(source: &Mariadb, more: &[&str]) -> Result<Program> {
    let mut program = program(source, &["mariadb-dump", "mysqldump"])?;
    let options = [
        "--no-data",
        "--triggers",
        "--add-drop-trigger",
        "--skip-comments",
        "--skip-dump-date",
        "--no-tablespaces",
        "--single-transaction",
        "--default-character-set=utf8mb4",
    ];
    program.args.extend(options.iter().chain(more).map(OsString::from));
    Ok(program)
}

/// The command line client, for statements on its standard input. It follows no command but those of SQL and reads no file.
pub(super) fn client_program(source: &Mariadb, options: &[&str]) -> Result<Program> {
    let mut program = program(source, &["mariadb", "mysql"])?;
    let ours = ["--binary-mode", "--local-infile=0", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"];
    program.args.extend(ours.iter().chain(options).map(OsString::from));
    Ok(program)
}

fn program(source: &Mariadb, names: &[&str]) -> Result<Program> {
    let server = &source.server;
    let path = server.program(names, "mariadb-client")?;
    let mut options = String::from("[client]\n");
    let mut option = |name: &str, value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        options.push_str(&format!("{name}=\"{value}\"\n"));
    };
    option("user", &server.user);
    if let Some(password) = server.password()? {
        option("password", &password);
    }
    match (&server.socket, &server.host) {
        (Some(socket), _) => {
            option("protocol", "socket");
            option("socket", &socket.to_string_lossy());
        }
        (None, Some(host)) => {
            option("protocol", "tcp");
            option("host", host);
            option("port", &server.port.to_string());
        }
        (None, None) => {}
    }
    let secret = Secret::new(options.as_bytes())?;
    // Must come first. Nothing else is read: an option of somebody's own file could change what a dump holds.
    let args = vec![format!("--defaults-file={}", secret.path()).into()];
    Ok(Program { path, args, secret: Some(secret), ..Program::default() })
}

/// The server's number of an error: `ERROR 1045 (28000)` of the client, `Got error: 1045:` and `(1412)` of the dump program.
pub(super) fn number_of(complaints: &str) -> Option<u32> {
    let mut words = complaints.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.find_map(|word| word.parse().ok().filter(|number| (1000..5000).contains(number)))
}

/// What of a program's complaints it says itself. Before that the client repeats the statement that failed, which may be somebody's rows.
pub(super) fn own_words(complaints: &str) -> String {
    let is_own = |line: &&str| ["ERROR ", "mariadb", "mysql"].iter().any(|begin| line.starts_with(begin));
    let own: Vec<&str> = complaints.lines().filter(is_own).collect();
    if own.is_empty() { complaints.to_owned() } else { own.join("\n") }
}

/// What a failure of one of the programs means, with a remedy where there is one.
pub(super) fn explain(complaints: &str, source: &Mariadb) -> Error {
    let complaints = own_words(complaints);
    let complaints = complaints.as_str();
    let (place, database, user) = (source.server.place(), &source.database, &source.server.user);
    let (kind, why, help) = match number_of(complaints) {
        Some(1045 | 1698 | 1251) => (
            Kind::Config,
            format!("{place} does not let {user:?} in"),
            "check `user` and `password_file`; the password must be alone in that file".to_owned(),
        ),
        Some(1044 | 1142 | 1143 | 1227 | 1370 | 1410) => (
            Kind::Config,
            format!("{user:?} may not do on {place} what this needs"),
            format!(
                "GRANT ALL ON {}.* TO the account to restore; docs/ADMINISTRATOR.md has the list for a dump",
                super::quoted(database)
            ),
        ),
        Some(1049) => {
            (Kind::Missing, format!("there is no database {database:?} on {place}"), "check `database`".to_owned())
        }
        Some(2002 | 2003 | 2005) => (
            Kind::Missing,
            format!("{place} does not answer"),
            "is the server running? check `socket`, or `host` and `port`".to_owned(),
        ),
        Some(1412 | 1146 | 1051) => (
            Kind::Busy,
            format!("tables of {database:?} were changed, made or dropped meanwhile"),
            "try again when no update of the application runs".to_owned(),
        ),
        Some(2006 | 2013 | 2055 | 1053 | 1927) => (
            Kind::Io,
            format!("{place} went away in the middle"),
            "look into the server's log; nothing was published, try again".to_owned(),
        ),
        Some(1021 | 1114 | 1041) => (
            Kind::NoSpace,
            format!("{place} has no room left"),
            "free space where the server keeps its data".to_owned(),
        ),
        Some(1205 | 1213) => (Kind::Busy, format!("somebody else locks {database:?}"), "try again later".to_owned()),
        _ => {
            let message = format!("the database {database:?} of {place}: its program could not go on");
            return Error::new(Kind::Io, message).because(Error::new(Kind::Io, one_line(complaints)));
        }
    };
    Error::new(kind, why).help(help).because(Error::new(Kind::Io, one_line(complaints)))
}

/// A field of the client's answer, whose special characters are escaped.
pub(super) fn unescaped(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, *byte == b'\\') {
            (_, true) => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => *other,
                None => b'\\',
            },
            (byte, false) => *byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Definers, NoSnapshot};
    use super::*;

    #[test]
    fn a_complaint_is_known_by_the_servers_number() {
        assert_eq!(number_of("ERROR 1045 (28000): Access denied for user 'x'@'localhost'"), Some(1045));
        assert_eq!(
            number_of("mariadb-dump: Error 1412: Table definition has changed when dumping table `t` at row: 0"),
            Some(1412)
        );
        assert_eq!(number_of("mariadb-dump: Got error: 2002: \"Can't connect\""), Some(2002));
        assert_eq!(number_of("killed"), None);
    }

    #[test]
    fn a_statement_that_failed_is_not_repeated() {
        let complaints = "--------------\nINSERT INTO `t` VALUES\n(1045,'Anna')\n--------------\n\nERROR 1114 (HY000) at line 3: The table 't' is full";
        assert_eq!(own_words(complaints), "ERROR 1114 (HY000) at line 3: The table 't' is full");
        let server = Default::default();
        let source = Mariadb { server, database: "d".into(), no_snapshot: NoSnapshot::Lock, definers: Definers::Keep };
        let error = explain(complaints, &source);
        assert!(error.kind() == Kind::NoSpace && !error.report().contains("Anna"), "{}", error.report());
        assert_eq!(own_words("killed"), "killed");
    }

    #[test]
    fn answers_are_read_as_the_client_escapes_them() {
        assert_eq!(unescaped(b"a\\tb\\nc\\\\d\\0"), "a\tb\nc\\d\0");
        assert_eq!(unescaped(b"\\"), "\\");
    }
}
