//! `tillstick dump`: a database becomes a .sql.gz, a folder a .tar.gz, without any configuration.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, Exit, say};
use crate::error::{Context as _, Error, Kind, Result};
use crate::host::durable;
use crate::job::plumbing;
use crate::model::TextFacts;
use crate::pack;

const EXAMPLES: &str = "\
Examples:
  tillstick dump sqlite:kasse.db -o kasse.sql.gz
  tillstick dump files:/var/www/shop -o shop.tar.gz
  tillstick dump sqlite:kasse.db -o new.sql.gz --reuse kasse.sql.gz   only what changed is compressed
  tillstick dump mariadb://till@localhost/shop?socket=/run/mysqld/mysqld.sock -o shop.sql.gz
  tillstick dump 'postgresql://till@db:5432/shop?password_file=/etc/till.pw' -o shop.sql.gz
  tillstick dump sqlite:kasse.db -o - | ssh office 'cat > kasse.sql.gz'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What to dump: files:PATH for a folder, or a database: sqlite:PATH, mariadb://USER@HOST[:PORT]/DB or postgresql://USER@HOST[:PORT]/DB, with ?socket=PATH
    /// (?host=FOLDER for PostgreSQL), password_file=FILE and programs=FOLDER where needed.
    #[arg(value_name = "URL")]
    url: String,
    /// The file to write, or - for stdout. Its chunk index is put beside it as FILE.chunks.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Take over what has not changed since this earlier dump.
    #[arg(long, value_name = "PREVIOUS")]
    reuse: Option<PathBuf>,
    /// How hard to compress.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=8))]
    level: u8,
    /// Threads that compress; by default one for each processor, at most four.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

/// What a dump came to.
#[derive(Debug, Serialize)]
struct Report {
    output: PathBuf,
    size: u64,
    text: TextFacts,
    rows: u64,
    new_bytes: u64,
    reused_bytes: u64,
    warnings: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let mut options = pack::Options { level: args.level, ..pack::Options::default() };
    if let Some(threads) = args.threads {
        options.threads = usize::from(threads);
    }
    if args.output == Path::new("-") { to_stdout(context, args, options) } else { to_file(context, args, options) }
}

fn to_stdout(context: &Context, args: &Args, options: pack::Options) -> Result<Exit> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(
            Error::new(Kind::Usage, "a .sql.gz is nothing for a terminal").help("name a file, or pipe it somewhere")
        );
    }
    let (mut out, _) = plumbing::dump(&args.url, stdout, args.reuse.as_deref(), options, &context.run())?;
    out.flush().context(|| "cannot write to stdout".into())?;
    Ok(Exit::Done)
}

fn to_file(context: &Context, args: &Args, options: pack::Options) -> Result<Exit> {
    let part = Part::create(&args.output)?;
    let (file, dumped) = plumbing::dump(&args.url, part.open()?, args.reuse.as_deref(), options, &context.run())?;
    file.sync_all().context(|| format!("cannot sync {:?}", args.output))?;
    let index = pack::index_path(&args.output);
    durable::write(&index, &dumped.packed.index.to_bytes(), 0o600)?;
    part.publish(&args.output)?;
    let report = Report {
        output: args.output.clone(),
        size: dumped.packed.size,
        rows: dumped.facts.tables.iter().map(|table| table.rows).sum(),
        text: dumped.packed.text,
        new_bytes: dumped.packed.new_bytes,
        reused_bytes: dumped.packed.reused_bytes,
        warnings: dumped.facts.warnings,
    };
    let counted = if args.url.starts_with("files:") { "files" } else { "rows" };
    context.screen.result(&report, |report| {
        let mut lines = vec![format!(
            "{}  {} of {} text, {} {counted}; {} new, {} reused",
            report.output.display(),
            say::size(report.size),
            say::size(report.text.size),
            say::count(report.rows),
            say::size(report.new_bytes),
            say::size(report.reused_bytes),
        )];
        lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
        lines
    })?;
    Ok(Exit::Done)
}

/// Whether a file begins as a SQLite database does. No connection to it is open yet.
fn is_sqlite(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head == b"SQLite format 3\0")
}

/// The output under its temporary name, gone unless it is published.
struct Part(PathBuf);

impl Part {
    fn create(output: &Path) -> Result<Self> {
        match std::fs::symlink_metadata(output) {
            Ok(meta) if !meta.is_file() => {
                return Err(Error::new(Kind::Usage, format!("{output:?} is there and is not a plain file"))
                    .help("name a file, or write to stdout with `-o -`"));
            }
            Ok(_) if is_sqlite(output).context(|| format!("cannot tell what {output:?} is"))? => {
                return Err(Error::new(Kind::Usage, format!("{output:?} is a database, which a dump would replace"))
                    .help("name another file"));
            }
            _ => {}
        }
        Ok(Self(durable::part_of(output)))
    }

    fn open(&self) -> Result<File> {
        // A shop's whole data: for its owner alone.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.0);
        file.context(|| format!("cannot create {:?}", self.0))
    }

    fn publish(&self, output: &Path) -> Result<()> {
        durable::rename(&self.0, output)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
