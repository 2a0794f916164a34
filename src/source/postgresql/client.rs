//! The server's own programs: how they are started, and what their complaints mean.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Postgresql;
use crate::error::{Error, Kind, Result};
use crate::host::entropy;
use crate::host::piped::{Program, Secret};
use crate::model::Run;
use crate::source::server::{Server, ask, newest_folder, one_line};

/// Where Debian keeps the programs of each version; its /usr/bin holds scripts that choose by rules of their own.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The database that is there on every server, and from which others are made.
pub(super) const MAINTENANCE: &str = "postgres";

/// Settings of somebody's own must not change what a dump holds.
const NO_FILE: &str = "/nonexistent/tillstick";

pub(super) fn dump_program(source: &Postgresql) -> Result<Program> {
    let mut program = program(source, "pg_dump", &source.database)?;
    // A subscription would begin to fetch from another server where the dump is loaded.
    let options = ["--format=plain", "--no-subscriptions", "--lock-wait-timeout=60s"];
    program.args.extend(options.map(OsString::from));
    Ok(program)
}

/// What tells the roles of the whole server.
pub(super) fn globals_program(source: &Postgresql, passwords: bool) -> Result<Program> {
    let mut program = program(source, "pg_dumpall", MAINTENANCE)?;
    program.args.push("--globals-only".into());
    program.args.extend((!passwords).then(|| "--no-role-passwords".into()));
    Ok(program)
}

/// psql for statements on its standard input, which all count or none.
pub(super) fn client_program(source: &Postgresql, database: &str, options: &[&str]) -> Result<Program> {
    let mut program = program(source, "psql", database)?;
    let ours = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"];
    program.args.extend(ours.iter().chain(options).map(OsString::from));
    Ok(program)
}

/// psql for statements of our own that no transaction may hold.
pub(super) fn plain_client_program(source: &Postgresql, database: &str) -> Result<Program> {
    let mut program = program(source, "psql", database)?;
    program.args.extend(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"].map(OsString::from));
    Ok(program)
}

/// Where a program of PostgreSQL's is. `package` tells what to install.
pub(super) fn path_of(server: &Server, name: &str, package: &str) -> Result<PathBuf> {
    let newest = newest_folder(Path::new(DEBIAN)).map(|folder| folder.join(name)).filter(|path| path.is_file());
    match (&server.programs, newest) {
        (None, Some(path)) => Ok(path),
        _ => server.program(&[name], package),
    }
}

fn program(source: &Postgresql, name: &str, database: &str) -> Result<Program> {
    let server = &source.server;
    let path = path_of(server, name, "postgresql-client")?;
    let place = server.socket.as_ref().map(|folder| folder.clone().into_os_string());
    let place = place.or_else(|| server.host.clone().map(OsString::from));
    let mut args: Vec<OsString> = vec!["--no-password".into(), "--username".into(), server.user.clone().into()];
    args.extend(["--port".into(), server.port.to_string().into()]);
    if let Some(place) = place {
        args.extend(["--host".into(), place]);
    }
    // Not as a bare word: the programs would take one with an `=` for connection settings.
    args.extend(["--dbname".into(), connection_to(database).into()]);
    let mut env: Vec<(&'static str, OsString)> =
        vec![("PGCONNECT_TIMEOUT", "20".into()), ("PGAPPNAME", "tillstick".into()), ("PGSYSCONFDIR", NO_FILE.into())];
    let secret = match server.password()? {
        Some(password) => {
            let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
            Some(Secret::new(format!("*:*:*:*:{escaped}\n").as_bytes())?)
        }
        None => None,
    };
    env.push(("PGPASSFILE", secret.as_ref().map_or_else(|| NO_FILE.into(), |secret| secret.path().into())));
    Ok(Program { path, args, env, secret, ..Program::default() })
}

/// The line that forbids psql every command of its own from there on, where it is new enough to know it.
pub(super) fn restriction(source: &Postgresql, run: &Run) -> Result<Vec<u8>> {
    let mut program = program(source, "psql", MAINTENANCE)?;
    program.args = vec!["--version".into()];
    let (answer, _) = ask(program, b"", run)?;
    if !knows_restriction(&String::from_utf8_lossy(&answer)) {
        return Ok(Vec::new());
    }
    let word: String = entropy::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("\\restrict {word}\n").into_bytes())
}

/// Whether this version of psql has `\restrict`, which came with a round of corrections in August 2025.
fn knows_restriction(version: &str) -> bool {
    let number = version.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
    let mut parts = number.trim().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match major {
        13 => minor >= 22,
        14 => minor >= 19,
        15 => minor >= 14,
        16 => minor >= 10,
        17 => minor >= 6,
        _ => major >= 18,
    }
}

fn connection_to(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// What a failure of one of the programs means, with a remedy where there is one.
pub(super) fn explain(complaints: &str, source: &Postgresql) -> Error {
    let (place, database, user) = (source.server.place(), &source.database, &source.server.user);
    let has = |words: &[&str]| words.iter().any(|word| complaints.contains(word));
    let (kind, why, help) = if has(&["server version mismatch"]) {
        let why = format!("{place} is newer than pg_dump, which then may leave things out");
        (
            Kind::Config,
            why,
            "install the postgresql-client of the server's version, and name its folder with `programs`".to_owned(),
        )
    } else if has(&["authentication failed", "no password supplied", "no pg_hba.conf entry"]) {
        let help = "check `user` and `password_file`, and the server's pg_hba.conf".to_owned();
        (Kind::Config, format!("{place} does not let {user:?} in"), help)
    } else if complaints.contains("does not exist") && complaints.contains("database \"") {
        (Kind::Missing, format!("there is no database {database:?} on {place}"), "check `database`".to_owned())
    } else if has(&["role \""]) && complaints.contains("does not exist") {
        let why = "the dump gives things to a role that is not on this server, or the account is unknown".to_owned();
        (Kind::Config, why, "make the role that is named: CREATE ROLE ...".to_owned())
    } else if has(&["row-level security"]) {
        let why = format!("{user:?} does not see all rows: {database:?} has policies for rows");
        (Kind::Config, why, format!("ALTER ROLE {} BYPASSRLS", super::quoted(user)))
    } else if has(&["permission denied", "must be owner", "must be superuser", "must be able to"]) {
        let help = format!(
            "GRANT pg_read_all_data TO {} to dump; to restore it must own the database and may CREATEDB; hashes of passwords are for superusers",
            super::quoted(user)
        );
        (Kind::Config, format!("{user:?} may not do on {place} what this needs"), help)
    } else if has(&["is being accessed by other users"]) {
        let help = "stop the application first, so that nothing it writes meanwhile is lost".to_owned();
        (Kind::Busy, format!("{database:?} is in use"), help)
    } else if has(&[
        "No such file or directory",
        "Connection refused",
        "could not translate host name",
        "timeout expired",
    ]) {
        let help = "is the server running? check `socket`, or `host` and `port`".to_owned();
        (Kind::Missing, format!("{place} does not answer"), help)
    } else if has(&["No space left on device", "could not extend file"]) {
        (Kind::NoSpace, format!("{place} has no room left"), "free space where the server keeps its data".to_owned())
    } else if has(&["canceling statement due to lock timeout", "could not obtain lock"]) {
        (Kind::Busy, format!("somebody else locks {database:?}"), "try again later".to_owned())
    } else if has(&[
        "terminating connection",
        "server closed the connection",
        "connection to server was lost",
        "SSL SYSCALL",
    ]) {
        let help = "look into the server's log; nothing was published, try again".to_owned();
        (Kind::Io, format!("{place} went away in the middle"), help)
    } else {
        let message = format!("the database {database:?} of {place}: its program could not go on");
        return Error::new(Kind::Io, message).because(Error::new(Kind::Io, one_line(complaints)));
    };
    Error::new(kind, why).help(help).because(Error::new(Kind::Io, one_line(complaints)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_psql_is_told_from_an_old_one() {
        for (version, knows) in [
            ("psql (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n", true),
            ("psql (PostgreSQL) 15.13\n", false),
            ("psql (PostgreSQL) 18.0\n", true),
            ("psql (PostgreSQL) 12.99\n", false),
            ("", false),
        ] {
            assert_eq!(knows_restriction(version), knows, "{version}");
        }
    }
}
