//! The way back: SQL text in, a new database out.
//!
//! ```text
//! text -> reader (a thread of its own): cut into statements, rows of literals into values
//!      -> conveyor: a few parcels that go round
//!      -> loader: what has no place in a dump is refused, by name and place; rows go in by the thousand through a
//!         table that SQLite reads them from, other statements are executed
//!      -> `<target>.part`, under SQLite's authorizer and limits, not journalled
//!      -> opened anew, checked, counted, while the disk writes -> synced -> renamed
//! ```
//!
//! The text may come from any program, and may be hostile. It can fill the new database with what it likes, up to the
//! given sizes, and nothing else: it reaches no other file, no program, and not the schema but through `CREATE`. What it
//! may take of the processor, the memory and the disk is in proportion to its length and to its longest statement.

mod budget;
mod check;
mod conveyor;
mod feed;
mod functions;
mod guard;
mod head;
mod lex;
mod loader;
mod parcel;
mod part;
mod prepared;
mod reader;
mod row;
mod shadow;
mod split;
mod statement;
mod transaction;
mod window;

use std::io::Read;
use std::panic::resume_unwind;
use std::path::Path;

use self::guard::Database;
use self::loader::Loader;
use self::part::Part;
use self::reader::Reader;
pub use self::split::Scanner;
use self::window::Window;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, TableRows};

/// How much of a statement an error repeats, in bytes.
const SNIPPET: usize = 80;

/// What helps against a dump that ends early.
const INCOMPLETE: &str = "it is incomplete: make a new one, or take an earlier backup";

/// How to load.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest statement that is taken, in bytes; of an `INSERT` with many rows it is the longest row. It bounds the
    /// memory that a load needs. Less than 1 MiB counts as 1 MiB.
    pub statement_max: usize,
    /// The largest database that is made, in bytes; a bomb ends here, or where the file system has 64 MiB left.
    pub database_max: Option<u64>,
    /// The new file's permission bits.
    pub mode: u32,
    /// Whether the new database is left in WAL mode.
    pub journal_mode_wal: bool,
}

impl Default for Options {
    /// Statements of up to 256 MiB, which is a BLOB of 128 MiB; a database of any size, for its owner alone.
    fn default() -> Self {
        Self { statement_max: 256 << 20, database_max: None, mode: 0o600, journal_mode_wal: false }
    }
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Every table of the new database that is neither SQLite's own nor the shadow of a virtual one, with its rows,
    /// counted anew.
    pub tables: Vec<TableRows>,
    /// The length of the text, in bytes.
    pub bytes: u64,
    /// What somebody should know although the load went well, each in one line.
    pub warnings: Vec<String>,
}

/// Makes a new database at `target`, which must not exist or be empty, from the SQL `text`, already unpacked.
///
/// It is built as `<target>.part` beside it, checked, synced and renamed: `target` has the whole database or is as it
/// was. Progress is reported in bytes of text.
///
/// Fails with [`Kind::Refused`] when the text does what no dump has a reason for, or the
/// target is in use; with `Damaged` when it is incomplete or is not SQL, `NoSpace`, `Cancelled` or `Io`. Waits for a
/// read of `text` that is under way.
pub fn load(text: &mut (dyn Read + Send), target: &Path, options: &Options, run: &Run) -> Result<Loaded> {
    let part = Part::create(target, options.mode)?;
    build(text, &part, options, run).context(|| format!("cannot load the dump into {target:?}")).and_then(|loaded| {
        part.finish()?;
        Ok(loaded)
    })
}

fn build(text: &mut (dyn Read + Send), part: &Part, options: &Options, run: &Run) -> Result<Loaded> {
    let mut warnings = Vec::new();
    let database = Database::open(part.path(), options, run.cancel)?;
    let bytes = std::thread::scope(|scope| {
        let (loading, unloading) = conveyor::conveyor();
        let reader = Reader::new(Window::new(text, *run), options.statement_max, loading, part);
        scope.spawn(|| reader.run());
        Loader::new(&database, options)?.run(&unloading, run, &mut warnings)
    })?;
    for name in database.unknown_collations() {
        warnings.push(format!("the collation {name:?} is not known here: run REINDEX {name:?} in the application"));
    }
    close(database)?;

    let open = || -> Result<Database> {
        let database = Database::open(part.path(), options, run.cancel)?;
        database.consumed(bytes, 0);
        Ok(database)
    };
    // Both checks only read, and each takes about as long as the other; the disk works meanwhile.
    let (structure, broken) = std::thread::scope(|scope| {
        scope.spawn(|| part.begin_write_out());
        let structure = scope.spawn(|| {
            let database = open()?;
            let (found, tables) = (check::structure(&database)?, check::count(&database)?);
            close(database).map(|()| (found, tables))
        });
        let broken = open().and_then(|database| Ok((check::foreign_keys(&database)?, database)));
        (structure.join().unwrap_or_else(|panic| resume_unwind(panic)), broken)
    });
    // What is wrong with the structure explains whatever else went wrong.
    let (found, tables) = structure?;
    let (broken, database) = broken?;
    warnings.extend(found.into_iter().chain(broken));
    if options.journal_mode_wal {
        let wal = database.own().pragma_update(None, "journal_mode", "WAL");
        wal.map_err(|cause| database.explain(&cause.into(), "cannot set WAL mode"))?;
    }
    close(database)?;
    run.check()?;
    Ok(Loaded { tables, bytes, warnings })
}

fn close(database: Database) -> Result<()> {
    database.close().map_err(|cause| Error::new(Kind::Io, "cannot close the new database").because(cause))
}
