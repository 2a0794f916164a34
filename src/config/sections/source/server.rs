//! What the keys of MariaDB and PostgreSQL have in common: where the server is, and our account there.

use std::path::PathBuf;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, parsed, path, whole};

/// A database of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// `database`: the database's name on the server; required.
    pub database: String,
    /// `user`: our account there; `"tillstick"`.
    pub user: String,
    /// `socket`: MariaDB's socket, or the folder of PostgreSQL's; that of Debian, unless `host` is given.
    pub socket: Option<PathBuf>,
    /// `host`: the server's host name or address, instead of a socket; none.
    pub host: Option<String>,
    /// `port`: the port there, which is also part of the name of PostgreSQL's socket; `3306` or `5432`.
    pub port: u16,
    /// `password_file`: a file that holds the password and that nobody else may read; none, where the server knows the
    /// account by the socket.
    pub password_file: Option<PathBuf>,
    /// `programs`: the folder of the server's own client and dump programs; none, to look where programs usually are.
    pub programs: Option<PathBuf>,
}

impl ServerConfig {
    /// A database with the defaults for everything else.
    pub(super) fn new(database: String, socket: &str, port: u16) -> Self {
        let (user, socket) = ("tillstick".into(), Some(socket.into()));
        Self { database, user, socket, host: None, port, password_file: None, programs: None }
    }

    /// `default` holds everything but the database's name.
    pub(super) fn read(section: &mut Section<'_, '_>, default: Self) -> Option<Self> {
        let database = section.required("database", parsed("a database's name", "shop", database), "\"shop\"");
        let user = section.get("user", parsed("an account", "tillstick", word), default.user);
        let host = section.optional("host", parsed("a host", "db.example.org", word));
        let socket = section.optional("socket", path);
        if host.is_some() && socket.is_some() {
            section.complain("host", "the server is either at a host or at a socket".into(), None);
        }
        let socket = if host.is_some() { None } else { socket.or(default.socket) };
        let port = section.get("port", whole(1, 65_535), u32::from(default.port));
        let password_file = section.optional("password_file", path);
        let programs = section.optional("programs", path);
        let port = u16::try_from(port).unwrap_or(default.port);
        database.map(|database| Self { database, user, socket, host, port, password_file, programs })
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.key("database", quoted(&self.database));
        out.key("user", quoted(&self.user));
        if let Some(socket) = &self.socket {
            out.key("socket", path_text(socket));
        }
        if let Some(host) = &self.host {
            out.key("host", quoted(host));
        }
        out.key("port", self.port);
        if let Some(file) = &self.password_file {
            out.key("password_file", path_text(file));
        }
        if let Some(programs) = &self.programs {
            out.key("programs", path_text(programs));
        }
    }
}

/// A name that needs no tricks in SQL, in connection settings and in file names.
fn database(text: &str) -> Result<String, String> {
    if text.len() > 36 {
        // `<name>_before_<id>_2` must fit into the 63 bytes of PostgreSQL.
        return Err("it is longer than 36 bytes".into());
    }
    if text.chars().any(|c| "/\\.`\"'".contains(c)) || text.starts_with('-') {
        return Err("it holds a character that is not supported".into());
    }
    word(text)
}

fn word(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character".into());
    }
    Ok(text.to_owned())
}
