//! Dump and load without a configuration: one database, one file.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::restore::Report;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, SourceFacts, Stage};
use crate::pack::{self, Packed, Packer, Previous, Unpacker};
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

/// Dumps the database `url` into `out`, reusing what has not changed since the artifact `reuse`.
pub fn dump<W: Write>(
    url: &str,
    out: W,
    reuse: Option<&Path>,
    options: pack::Options,
    run: &Run,
) -> Result<(W, Dumped)> {
    let source: Box<dyn Source> = match Database::parse(url)? {
        Database::Served(served) => Box::new(served),
        Database::File(path) => {
            let spool = std::env::temp_dir();
            Box::new(Sqlite { path, spool, lock_wait: LOCK_WAIT, locked_pass: LOCKED_PASS })
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

/// Loads the file `input` (`-` is stdin) into a new database `url`.
pub fn load(input: &Path, url: &str, run: &Run) -> Result<Report> {
    let target = Database::parse(url)?;
    let from_stdin = input == Path::new("-");
    let reader: Box<dyn Read + Send> = match from_stdin {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(input).context(|| format!("cannot open {input:?}"))?),
    };
    run.begin(Stage::Load, input.display().to_string(), 0);
    let mut text = text_of(reader).context(|| format!("cannot read {input:?}"))?;
    let doing = || format!("cannot load {input:?}");
    let report = match target {
        Database::File(path) => {
            let loaded = sqlite::load(text.as_mut(), &path, &LoadOptions::default(), run).context(doing)?;
            let rows = loaded.tables.iter().map(|table| table.rows).sum();
            Report { database: path, set_aside: None, rows, warnings: loaded.warnings }
        }
        Database::Served(served) => {
            let loaded = served.load(text, None, run).context(doing)?;
            Report { database: served.name().into(), set_aside: None, rows: loaded.rows, warnings: loaded.warnings }
        }
    };
    run.end(Stage::Load);
    Ok(report)
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

/// A database that is named on the command line.
enum Database {
    File(PathBuf),
    Served(Served),
}

impl Database {
    fn parse(url: &str) -> Result<Self> {
        if let Some(served) = Served::parse(url) {
            return served.map(Self::Served);
        }
        let help = "write sqlite:PATH, mariadb://USER@HOST:PORT/DB or postgresql://USER@HOST:PORT/DB";
        let wrong = |why: &str| Error::new(Kind::Usage, format!("{url:?} names no database: {why}")).help(help);
        match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                Ok(Self::File(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            Some(("sqlite", _)) => Err(wrong("the path is missing")),
            _ => Err(wrong("it must begin with sqlite:, mariadb:// or postgresql://")),
        }
    }
}
