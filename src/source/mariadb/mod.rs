//! MariaDB and MySQL as a source: their own dump program gives the text, their own client takes it back.
//!
//! [`client`] starts the programs and explains their failures, [`look`] finds out beforehand what a dump will meet,
//! [`text`] makes the program's output a function of the database, [`load`] brings one back through [`filter`], and [`place`]
//! puts a restored database into the place of the old one, with what [`programs`] makes anew.

mod accounts;
mod client;
mod definers;
mod filter;
mod load;
mod look;
mod place;
mod private;
mod programs;
mod text;

pub use definers::Definers;

use super::Source;
use super::server::lines::Lines;
use super::server::{CONTENT, Server, ask, one_line};
use crate::error::{Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::{Cancel, Quiet, Run, Sink, SourceFacts, Stage};

/// What happens to tables whose engine knows no snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NoSnapshot {
    /// All tables are locked against writing while they are dumped.
    #[default]
    Lock,
    /// Nothing is dumped.
    Refuse,
}

/// One database of a MariaDB or MySQL server.
#[derive(Debug, Clone)]
pub struct Mariadb {
    /// The server and our account there.
    pub server: Server,
    /// The database's name.
    pub database: String,
    /// What happens to tables whose engine knows no snapshot.
    pub no_snapshot: NoSnapshot,
    /// What becomes of the accounts that a dump names.
    pub definers: Definers,
}

impl Source for Mariadb {
    /// By the server's own statistics.
    fn estimate(&self) -> Result<u64> {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        Ok(look::look(self, &run)?.size)
    }

    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        let found = look::look(self, run)?;
        let (lock, mut warnings) = look::judge(&found, self)?;
        run.begin(Stage::Dump, format!("{} of {}", self.database, self.server.place()), found.size);
        let mut lines = Lines::of(Piped::begin(client::dump_program(self, lock)?, true)?);
        let mut text = text::Text::begin(sink, run);
        text.database(&found.character_set, &found.collation);
        while let Some(line) = lines.next(run)? {
            text.line(line)?;
        }
        let ended = lines.finish(run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        let written = text.finish().map_err(|error| match ended.complaints.is_empty() {
            true => error,
            false => error.because(Error::new(Kind::Io, one_line(&ended.complaints))),
        })?;
        run.end(Stage::Dump);
        if !ended.complaints.is_empty() {
            warnings.push(format!("the dump program says: {}", one_line(&ended.complaints)));
        }
        let properties = [
            ("character_set", found.character_set),
            ("collation", found.collation),
            (CONTENT, written.content),
            ("database", self.database.clone()),
        ];
        Ok(SourceFacts {
            kind: "mariadb".into(),
            engine: found.version,
            tables: written.tables,
            properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
            warnings,
        })
    }
}

impl Mariadb {
    /// The same server's database of this name.
    pub fn named(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// Runs statements of our own in `database`, or in none; gives the rows of all their answers.
    fn ask(&self, database: Option<&str>, sql: &str, run: &Run) -> Result<Vec<Vec<String>>> {
        let mut program = client::client_program(self, &["--batch", "--skip-column-names"])?;
        program.args.extend(database.map(Into::into));
        let (answer, ended) = ask(program, sql.as_bytes(), run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        let rows = answer.split(|byte| *byte == b'\n').filter(|row| !row.is_empty());
        Ok(rows.map(|row| row.split(|byte| *byte == b'\t').map(client::unescaped).collect()).collect())
    }
}

/// A name as the server's SQL writes it.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as the server's SQL writes it, whatever its mode: in hex.
fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    if hex.is_empty() { "''".into() } else { format!("CONVERT(X'{hex}' USING utf8mb4)") }
}
