//! Dump and load without a configuration: one database or folder, one file.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::restore::Report;
use super::restore_files;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, SourceFacts, Stage};
use crate::pack::{self, Packed, Packer, Previous, Unpacker};
use crate::policy::select::Pattern;
use crate::source::files::{self, Files, Unpacked};
use crate::source::sqlite::{self, LoadOptions, Sqlite};
use crate::source::{Served, Source};

/// How long a dump by hand waits for a database that is locked.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long a dump by hand may keep writers of a database without write-ahead log waiting.
const LOCKED_PASS: Duration = Duration::from_secs(10);

/// What a dump came to.
pub struct Dumped {
    /// What was written.
    pub packed: Packed,
    /// What the source said.
    pub facts: SourceFacts,
}

/// Dumps the database or the files `url` into `out`, reusing what has not changed since the artifact `reuse`.
pub fn dump<W: Write>(
    url: &str,
    out: W,
    reuse: Option<&Path>,
    options: pack::Options,
    run: &Run,
) -> Result<(W, Dumped)> {
    let source: Box<dyn Source> = match Named::parse(url)? {
        Named::Sqlite(path) => {
            let spool = std::env::temp_dir();
            Box::new(Sqlite { path, spool, lock_wait: LOCK_WAIT, locked_pass: LOCKED_PASS })
        }
        Named::Served(served) => Box::new(served),
        Named::Files(path) => {
            let path = std::path::absolute(&path).context(|| format!("cannot tell where {path:?} is"))?;
            let text = path.to_str().ok_or_else(|| Error::new(Kind::Usage, format!("{path:?} is no text")))?;
            let wrong = |why| Error::new(Kind::Usage, format!("{path:?} cannot be backed up: {why}"));
            let pattern = Pattern::path(text).map_err(wrong)?;
            Box::new(Files { paths: vec![pattern], one_file_system: true, ..Files::default() })
        }
    };
    let previous = match reuse {
        Some(path) => {
            File::open(path).context(|| format!("cannot reuse {path:?}"))?;
            Previous::open(path, &options, run)?
        }
        None => None,
    };
    let mut packer = Packer::new(out, previous, options, *run)?;
    let facts = source
        .dump(&mut packer, run)
        .context(|| format!("cannot dump {:?}", url.split('?').next().unwrap_or_default()))?;
    let (out, packed) = packer.finish()?;
    Ok((out, Dumped { packed, facts }))
}

/// What a load made.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Made {
    /// A database.
    Database(Report),
    /// Files.
    Files(restore_files::Report),
}

/// Loads the file `input` (`-` is stdin) into a new database or folder `url`.
pub fn load(input: &Path, url: &str, run: &Run) -> Result<Made> {
    let target = Named::parse(url)?;
    let from_stdin = input == Path::new("-");
    let reader: Box<dyn Read + Send> = match from_stdin {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(input).context(|| format!("cannot open {input:?}"))?),
    };
    run.begin(Stage::Load, input.display().to_string(), 0);
    let mut text = text_of(reader).context(|| format!("cannot read {input:?}"))?;
    let doing = || format!("cannot load {input:?}");
    let made = match target {
        Named::Sqlite(database) => {
            let loaded = sqlite::load(text.as_mut(), &database, &LoadOptions::default(), run).context(doing)?;
            let rows = loaded.tables.iter().map(|table| table.rows).sum();
            Made::Database(Report { database, set_aside: None, rows, warnings: loaded.warnings })
        }
        Named::Served(served) => {
            let loaded = served.load(text, None, run).context(doing)?;
            let database = served.name().into();
            Made::Database(Report { database, set_aside: None, rows: loaded.rows, warnings: loaded.warnings })
        }
        Named::Files(target) => {
            let Unpacked { entries, bytes, warnings } = files::into_new(text, &target, run).context(doing)?;
            let target = Some(target);
            Made::Files(restore_files::Report {
                target,
                entries,
                bytes,
                changes: None,
                set_aside: Vec::new(),
                warnings,
            })
        }
    };
    run.end(Stage::Load);
    Ok(made)
}

/// The SQL text of a file that is packed or is not.
pub(super) fn text_of<'a>(reader: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut reader = BufReader::new(reader);
    let mut magic = Vec::new();
    (&mut reader).take(2).read_to_end(&mut magic).context(|| "cannot read its first bytes".into())?;
    let packed = magic == [0x1f, 0x8b];
    let whole = io::Cursor::new(magic).chain(reader);
    Ok(if packed { Box::new(Unpacker::new(whole)) } else { Box::new(whole) })
}

/// What is named on the command line.
enum Named {
    Sqlite(PathBuf),
    Files(PathBuf),
    Served(Served),
}

impl Named {
    fn parse(url: &str) -> Result<Self> {
        if let Some(served) = Served::parse(url) {
            return served.map(Self::Served);
        }
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("{url:?} names nothing to back up: {why}")).help(
                "write sqlite:PATH, mariadb://USER@HOST:PORT/DB or postgresql://USER@HOST:PORT/DB for a database, files:PATH for a folder",
            )
        };
        let plain = |path: &str| PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(plain(path))),
            Some(("files", path)) if !path.is_empty() => Ok(Self::Files(plain(path))),
            Some(("sqlite" | "files", _)) => Err(wrong("the path is missing")),
            _ => Err(wrong("it must begin with sqlite:, mariadb://, postgresql:// or files:")),
        }
    }
}
