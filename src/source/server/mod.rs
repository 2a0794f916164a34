//! What MariaDB and PostgreSQL have in common: where a server is, who we are there, and its own programs.
//!
//! [`url`] reads what stands on a command line; [`lines`] a program's output; [`written`] ends the text of a dump. [`feed`] takes a
//! dump back, and [`whole`] tells whether all of it came. [`swap`] is the plan of a restore in place.

pub(super) mod feed;
pub(super) mod lines;
mod swap;
mod url;
mod whole;
pub(super) mod written;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub(super) use swap::Parts;
pub use swap::{Settled, Swap, Swapped};
pub use url::{Engine, name_problem, parse};

use crate::error::{Context, Error, Kind, Result};
use crate::host::piped::{Ended, Piped, Program};
use crate::model::{Cancel, Quiet, Run};

/// Where programs are looked for besides `PATH`, which a service often lacks.
const FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

/// The longest password file that is read, in bytes.
const PASSWORD_MAX: u64 = 4096;

/// The longest answer to one of our own questions, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// A server and our account there.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// The account.
    pub user: String,
    /// MariaDB: the socket; PostgreSQL: the folder that holds it.
    pub socket: Option<PathBuf>,
    /// The host, where there is no socket.
    pub host: Option<String>,
    /// The port there, and part of PostgreSQL's socket's name.
    pub port: u16,
    /// A file that holds the password, for its owner alone.
    pub password_file: Option<PathBuf>,
    /// The folder of the server's own programs; `None` to look where programs usually are.
    pub programs: Option<PathBuf>,
}

impl Server {
    /// Where it is, in words.
    pub fn place(&self) -> String {
        match (&self.socket, &self.host) {
            (Some(socket), _) => format!("the server at {socket:?}"),
            (None, Some(host)) => format!("the server at {host}:{}", self.port),
            (None, None) => "the server".into(),
        }
    }

    /// The first of these programs that is there. `package` tells what to install.
    pub(super) fn program(&self, names: &[&str], package: &str) -> Result<PathBuf> {
        let folders: Vec<PathBuf> = match &self.programs {
            Some(folder) => vec![folder.clone()],
            None => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let own = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
                own.chain(FOLDERS.map(PathBuf::from)).collect()
            }
        };
        let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let names = names.join(" or ");
            let place = self.programs.as_ref().map_or("where programs are".into(), |folder| format!("in {folder:?}"));
            Error::new(Kind::Missing, format!("there is no {names} {place}"))
                .help(format!("install {package}, or name the folder with `programs`"))
        })
    }

    /// The password, from a file that nobody else may read.
    pub(super) fn password(&self) -> Result<Option<String>> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let doing = || format!("cannot read the password in {path:?}");
        let mut file = File::open(path).context(doing)?;
        let meta = file.metadata().context(doing)?;
        if meta.mode() & 0o077 != 0 {
            return Err(Error::new(Kind::Config, format!("others may read the password in {path:?}"))
                .help(format!("chmod 600 {}", path.display())));
        }
        let mut text = String::new();
        (&mut file).take(PASSWORD_MAX).read_to_string(&mut text).context(doing)?;
        let password = text.trim_end_matches(['\n', '\r']);
        if password.is_empty() || password.contains(['\n', '\r', '\0']) {
            return Err(Error::new(Kind::Config, format!("{path:?} must hold one line, the password")));
        }
        Ok(Some(password.to_owned()))
    }
}

/// What a restored database came to.
#[derive(Debug)]
pub struct Loaded {
    /// Rows of all tables.
    pub rows: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The property under which the hash of all rows stands.
pub const CONTENT: &str = "content";

/// Runs a program of ours to its end: its answer to `input`.
pub(super) fn ask(program: Program, input: &[u8], run: &Run) -> Result<(Vec<u8>, Ended)> {
    let mut piped = Piped::begin(program, true)?;
    let name = piped.name().to_owned();
    piped.write(input, run)?;
    piped.close();
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match piped.read(&mut buffer, run)? {
            0 => return Ok((answer, piped.finish(run)?)),
            read if answer.len() + read > ANSWER_MAX => {
                return Err(Error::new(Kind::Refused, format!("{name:?} answers more than {ANSWER_MAX} bytes")));
            }
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
}

/// A run that nobody can stop: for taking back what one did that was stopped.
pub fn uncancelled() -> Run<'static> {
    static NOBODY: LazyLock<Cancel> = LazyLock::new(Cancel::default);
    Run { monitor: &Quiet, cancel: &NOBODY }
}

/// The newest version's folder of PostgreSQL's programs, as Debian lays them out.
pub(super) fn newest_folder(parent: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(parent).ok()?.flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).filter_map(|path| Some((number(&path)?, path))).max()?;
    Some(newest.1.join("bin"))
}

/// A program's complaint in one line, without its name.
pub(super) fn one_line(complaints: &str) -> String {
    let lines = complaints.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "--------------");
    let mut line = lines.take(4).collect::<Vec<_>>().join("; ");
    if line.len() > 500 {
        let end = (0..=500).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
    }
    line
}
