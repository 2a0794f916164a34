//! What the keys of MariaDB and PostgreSQL have in common: where the server is, and our account there.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, duration, list, one_of, parsed, path, whole};
use crate::config::units::format_duration;
use crate::model::name_problem;

/// The databases of a server that a source means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// `database`: this one, in a file that is called after the source.
    One(String),
    /// `databases = ["a", "b"]`: these, each in a file of its own that is called after it.
    Several(Vec<String>),
    /// `databases = "all"`: all that are there when the backup is made, but those of the server itself.
    All {
        /// `except`: what is left out of them; `[]`.
        except: Vec<String>,
    },
}

/// Whether the server's accounts are backed up, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// `"none"`: they are not.
    None,
    /// `"grants"`: accounts, roles and their rights, and nothing that a password could be guessed from.
    Grants,
    /// `"passwords"`: with the hashes of their passwords.
    Passwords,
}

const ACCOUNTS: [(&str, Accounts); 3] =
    [("none", Accounts::None), ("grants", Accounts::Grants), ("passwords", Accounts::Passwords)];

/// Where an artifact is loaded to prove that it can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    /// `"scratch"`: a database of its own on the source's server.
    Scratch,
    /// `"private"`: a server of its own, started for it.
    Private,
}

const DAY: Duration = Duration::from_secs(86_400);

const DRILL: [(&str, Drill); 2] = [("scratch", Drill::Scratch), ("private", Drill::Private)];

/// Databases of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// `database`, or `databases` and `except`: what is backed up; one of the two is required.
    pub databases: Databases,
    /// `accounts`: whether accounts and roles become a file of their own, `<customer>_<source>_accounts.sql.gz`; `"none"`.
    pub accounts: Accounts,
    /// `keep_replaced`: how long the database that a restore in place replaced stays on the server under another name; none:
    /// until somebody drops it.
    pub keep_replaced: Option<Duration>,
    /// `drill`: where `check --drill` restores to; `"scratch"`.
    pub drill: Drill,
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
        let (databases, accounts, drill) = (Databases::One(database), Accounts::None, Drill::Scratch);
        Self {
            databases,
            accounts,
            keep_replaced: None,
            drill,
            user,
            socket,
            host: None,
            port,
            password_file: None,
            programs: None,
        }
    }

    /// `default` holds everything but the database's name.
    pub(super) fn read(section: &mut Section<'_, '_>, default: Self) -> Option<Self> {
        let databases = Databases::read(section);
        let accounts = section.get("accounts", one_of(&ACCOUNTS), default.accounts);
        let keep_replaced = section.optional("keep_replaced", duration(DAY, DAY * 3650));
        let drill = section.get("drill", one_of(&DRILL), default.drill);
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
        databases.map(|databases| Self {
            databases,
            accounts,
            keep_replaced,
            drill,
            user,
            socket,
            host,
            port,
            password_file,
            programs,
        })
    }

    pub(super) fn show(&self, out: &mut Out) {
        match &self.databases {
            Databases::One(name) => out.key("database", quoted(name)),
            Databases::Several(names) => out.list("databases", names),
            Databases::All { except } => {
                out.key("databases", quoted(ALL));
                out.list("except", except);
            }
        }
        out.word("accounts", &ACCOUNTS, &self.accounts);
        if let Some(keep) = self.keep_replaced {
            out.key("keep_replaced", quoted(&format_duration(keep)));
        }
        out.word("drill", &DRILL, &self.drill);
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

/// The word for all databases.
const ALL: &str = "all";

impl Databases {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let a_name = || parsed("a database's name", "shop", database);
        let (one, several) = (section.place_of("database"), section.place_of("databases"));
        if several.is_none() {
            if section.place_of("except").is_some() {
                section.complain("except", "it takes from `databases = \"all\"`, which is not there".into(), None);
            }
            section.optional("except", list(a_name()));
            let name = section.required(
                "database",
                a_name(),
                "\"shop\", or databases = [\"shop\", \"books\"], or databases = \"all\"",
            );
            section.optional("databases", |_| Ok(()));
            return name.map(Self::One);
        }
        if one.is_some() {
            section.complain("database", "it stands beside `databases`, which names all of them".into(), None);
        }
        section.optional("database", |_| Ok(()));
        let except = section.get("except", list(a_name()), Vec::new());
        let names =
            section.optional("databases", |node| match parsed("", "", |text| Ok::<_, String>(text == ALL))(node) {
                Ok(true) => Ok(None),
                _ => list(parsed("a database's name", "shop", in_a_file_name))(node).map(Some),
            })?;
        match names {
            None => Some(Self::All { except }),
            Some(names) if names.is_empty() => {
                section.complain("databases", "it names none".into(), Some("write databases = \"all\" for all".into()));
                None
            }
            Some(names) => Some(Self::Several(names)),
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

/// Its file is called after the database.
fn in_a_file_name(text: &str) -> Result<String, String> {
    match name_problem(text) {
        None => database(text),
        Some(why) => Err(format!("its file would be called after it, and {why}")),
    }
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
