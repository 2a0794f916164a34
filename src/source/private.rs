//! A database server of our own, for the time of a drill: with its data in a temporary folder, reached by a socket in it alone, and
//! as an account that may do nothing else. It needs the server's programs, and no server that runs.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Served;
use crate::error::{Context, Error, Kind, Result};
use crate::host::piped::{Piped, Program};
use crate::host::process;
use crate::model::{Run, SourceFacts};

/// A folder is called this and the number of its process.
const FOLDER: &str = "tillstick-server-";

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(120);

/// A server of our own. It ends, and its folder goes, when this is dropped.
pub struct Private {
    /// The server, for which nobody else asks.
    pub served: Served,
    // In this order: the server ends before its folder goes.
    running: Piped,
    _home: Home,
}

/// Where it keeps its data.
pub(super) struct Home(PathBuf);

impl Home {
    /// Makes a folder that belongs to the account of the server; those of processes that are gone are removed.
    fn new() -> Result<Self> {
        let parent = std::env::temp_dir();
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                // What cannot be removed is somebody else's.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = parent.join(format!("{FOLDER}{}", std::process::id()));
        let doing = || format!("cannot make the folder {path:?} for a server");
        DirBuilder::new().mode(0o700).create(&path).context(doing)?;
        let home = Self(path.clone());
        Self::give(&path)?;
        Ok(home)
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        DirBuilder::new().mode(0o700).create(&path).context(|| format!("cannot make {path:?}"))?;
        Self::give(&path)?;
        Ok(path)
    }

    fn give(path: &Path) -> Result<()> {
        let Some((uid, gid)) = process::nobody_if_root() else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .context(|| format!("cannot give {path:?} to another account"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program of a server, as the account that may do nothing else.
pub(super) fn program(path: PathBuf, args: Vec<std::ffi::OsString>) -> Program {
    Program { path, args, run_as: process::nobody_if_root(), ..Program::default() }
}

impl Served {
    /// Starts a server of this kind, on which a dump with these facts can be loaded.
    pub fn private(&self, facts: &SourceFacts, run: &Run) -> Result<Private> {
        let doing = || format!("cannot start a private {} server", self.kind());
        let home = Home::new().context(doing)?;
        let (served, program) = match self {
            Self::Mariadb(source) => {
                let (source, program) = source.private(&home, run).context(doing)?;
                (Self::Mariadb(source), program)
            }
            Self::Postgresql(source) => {
                let (source, program) = source.private(&home, run).context(doing)?;
                (Self::Postgresql(source), program)
            }
        };
        let mut private = Private { served, running: Piped::begin(program, false).context(doing)?, _home: home };
        private.wait(run).context(doing)?;
        if let Self::Postgresql(source) = &private.served {
            source.make_roles(facts, run).context(doing)?;
        }
        Ok(private)
    }
}

impl Private {
    fn wait(&mut self, run: &Run) -> Result<()> {
        let begun = Instant::now();
        loop {
            run.check()?;
            if self.running.is_over()? {
                return Err(Error::new(Kind::Io, "it ended at once").because(Error::new(Kind::Io, self.running.said())));
            }
            // There is no such database; that it says so is an answer.
            match self.served.is_there(run) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == Kind::Cancelled => return Err(error),
                Err(error) if begun.elapsed() > START_MAX => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}
