//! A database on the command line: `mariadb://USER@HOST[:PORT]/DB?socket=PATH`, `postgresql://USER@HOST[:PORT]/DB?host=DIR`.

use std::path::PathBuf;

use super::Server;
use crate::error::{Error, Kind, Result};

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MariaDB, or MySQL.
    Mariadb,
    /// PostgreSQL.
    Postgresql,
}

/// The engine, the server and the database that the URL names; `None` when it begins with neither of their words.
pub fn parse(url: &str) -> Option<Result<(Engine, Server, String)>> {
    let (scheme, rest) = url.split_once("://")?;
    let engine = match scheme {
        "mariadb" | "mysql" => Engine::Mariadb,
        "postgresql" | "postgres" => Engine::Postgresql,
        _ => return None,
    };
    Some(read(engine, rest).map_err(|why| {
        let (scheme, socket) = match engine {
            Engine::Mariadb => ("mariadb", "socket=/run/mysqld/mysqld.sock"),
            Engine::Postgresql => ("postgresql", "host=/run/postgresql"),
        };
        // A password may stand in it.
        Error::new(Kind::Usage, format!("the {scheme}:// URL names no database: {why}")).help(format!(
            "write {scheme}://USER@HOST:PORT/DB?password_file=FILE, or {scheme}://USER@localhost/DB?{socket}"
        ))
    }))
}

fn read(engine: Engine, rest: &str) -> std::result::Result<(Engine, Server, String), String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').ok_or("the database is missing")?;
    let database = decoded(database)?;
    if let Some(why) = name_problem(&database) {
        return Err(why);
    }
    let (user, place) = authority.rsplit_once('@').ok_or("the user is missing")?;
    if user.contains(':') {
        return Err("a password on a command line can be seen by everybody: put it into a file of mode 0600".into());
    }
    let default = match engine {
        Engine::Mariadb => 3306,
        Engine::Postgresql => 5432,
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| format!("{port:?} is no port"))?),
        _ => (place, default),
    };
    let host = decoded(host.trim_start_matches('[').trim_end_matches(']'))?;
    let mut server = Server { user: decoded(user)?, port, ..Server::default() };
    server.host = (!host.is_empty()).then_some(host);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no value"))?;
        let path = Some(PathBuf::from(decoded(value)?));
        match (key, engine) {
            ("socket", Engine::Mariadb) | ("host", Engine::Postgresql) => server.socket = path,
            ("password_file", _) => server.password_file = path,
            ("programs", _) => server.programs = path,
            _ => return Err(format!("{key:?} is no known key")),
        }
    }
    if server.user.is_empty() {
        return Err("the user is missing".into());
    }
    Ok((engine, server, database))
}

/// Why a database cannot be called this; none when it can.
pub fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("the database is missing".into())
    } else if name.len() > 63 {
        Some("the database's name is longer than 63 bytes".into())
    } else if name.chars().any(|c| c.is_control() || "/\\.`\"'".contains(c)) || name.starts_with('-') {
        Some("the database's name holds a character that is not supported".into())
    } else {
        None
    }
}

fn decoded(text: &str) -> std::result::Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("{text:?} has a % without two hex digits"))?);
        rest = &rest[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{text:?} is not UTF-8"))?;
    if text.contains(|c: char| c.is_control()) {
        return Err(format!("{text:?} holds a control character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_account_and_database() {
        let (engine, server, database) = parse("mariadb://till%40x@localhost/shop?socket=/run/s%20x").unwrap().unwrap();
        assert_eq!((engine, server.user.as_str(), database.as_str()), (Engine::Mariadb, "till@x", "shop"));
        assert_eq!((server.socket, server.port), (Some("/run/s x".into()), 3306));
        let (_, server, _) = parse("postgresql://p@[::1]:5433/shop?password_file=/p").unwrap().unwrap();
        assert_eq!((server.host.as_deref(), server.port), (Some("::1"), 5433));
        assert!(parse("sqlite:kasse.db").is_none());
    }

    #[test]
    fn wrong_urls_say_why_and_no_password_is_repeated() {
        for (url, why) in [
            ("mariadb://localhost/shop", "the user is missing"),
            ("mariadb://u@h", "the database is missing"),
            ("mariadb://u@h/", "the database is missing"),
            ("mariadb://u:geheim@h/d", "a file of mode 0600"),
            ("mariadb://u@h/d?host=/x", "no known key"),
            ("postgresql://u@h:x/d", "no port"),
            ("postgresql://u@h/%zz", "hex digits"),
            ("postgresql://u@h/a.b", "not supported"),
        ] {
            let error = parse(url).unwrap().unwrap_err().report();
            assert!(error.contains(why) && !error.contains("geheim"), "{url}: {error}");
        }
    }
}
