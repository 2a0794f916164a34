//! PostgreSQL as a source: pg_dump gives the text, psql takes it back.
//!
//! [`client`] starts the programs and explains their failures, [`text`] makes the output a function of the database,
//! [`load`] brings one back through [`filter`], and puts a restored database into the place of the old one.

mod accounts;
mod client;
mod filter;
mod load;
mod private;
mod text;

use std::path::PathBuf;

use super::Source;
use super::server::lines::Lines;
use super::server::{CONTENT, Server, ask, one_line};
use crate::error::{Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::{Cancel, Quiet, Run, Sink, SourceFacts, Stage};

/// One database of a PostgreSQL server.
#[derive(Debug, Clone)]
pub struct Postgresql {
    /// The server and our account there.
    pub server: Server,
    /// The database's name.
    pub database: String,
}

/// What a dump will meet.
struct Found {
    size: u64,
    version: String,
    properties: Vec<(String, String)>,
}

impl Source for Postgresql {
    /// By the server's own count of its tables' bytes.
    fn estimate(&self) -> Result<u64> {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        Ok(self.look(&run)?.size)
    }

    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        let found = self.look(run)?;
        run.begin(Stage::Dump, format!("{} of {}", self.database, self.server.place()), found.size);
        let mut lines = Lines::of(Piped::begin(client::dump_program(self)?, true)?);
        let mut text = text::Text::begin(sink, run);
        while let Some(line) = lines.next(run)? {
            text.line(line)?;
        }
        let ended = lines.finish(run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        let written = text.finish()?;
        run.end(Stage::Dump);
        let mut warnings = Vec::new();
        if !ended.complaints.is_empty() {
            warnings.push(format!("pg_dump says: {}", one_line(&ended.complaints)));
        }
        let mut facts = SourceFacts {
            kind: "postgresql".into(),
            engine: found.version,
            tables: written.tables,
            properties: found.properties.into_iter().collect(),
            warnings,
        };
        facts.properties.insert(CONTENT.into(), written.content);
        facts.properties.insert("database".into(), self.database.clone());
        facts.properties.insert(private::ROLES.into(), self.roles(run)?);
        Ok(facts)
    }
}

impl Postgresql {
    /// The same server's database of this name.
    pub fn named(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    fn look(&self, run: &Run) -> Result<Found> {
        let sql = "SELECT current_setting('server_version'), pg_encoding_to_char(encoding), datcollate, datctype, \
                   (SELECT coalesce(sum(pg_table_size(oid)), 0) FROM pg_class WHERE relkind IN ('r', 'm') \
                    AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema'))) \
                   FROM pg_database WHERE datname = current_database();\n";
        let rows = self.ask(&self.database, sql, 5, run)?;
        let Some([version, encoding, collate, ctype, size]) = rows.first().map(Vec::as_slice) else {
            return Err(Error::new(Kind::Io, format!("{} gives no answer", self.server.place())));
        };
        let version = version.split(' ').next().unwrap_or_default().to_owned();
        let properties = [("encoding", encoding), ("collate", collate), ("ctype", ctype)];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.clone())).to_vec();
        Ok(Found { size: size.parse::<u64>().unwrap_or(0) + 4096, version, properties })
    }

    /// Where the server keeps its data; `None` when it is not on this machine, or does not tell us.
    pub(in crate::source) fn data_folder(&self, run: &Run) -> Option<PathBuf> {
        self.server.socket.as_ref()?;
        let rows = self.ask(client::MAINTENANCE, "SHOW data_directory;\n", 1, run).ok()?;
        rows.first()?.first().filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Runs statements of our own in `database`, all or none; gives the rows of their answers, of so many `columns` each.
    fn ask(&self, database: &str, sql: &str, columns: usize, run: &Run) -> Result<Vec<Vec<String>>> {
        let options = ["--tuples-only", "--no-align", "--field-separator-zero", "--record-separator-zero"];
        let program = client::client_program(self, database, &options)?;
        let (answer, ended) = ask(program, sql.as_bytes(), run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        let text = String::from_utf8_lossy(&answer);
        let fields: Vec<&str> = text.split('\0').map(|field| field.trim_end_matches('\n')).collect();
        Ok(fields
            .chunks_exact(columns.max(1))
            .map(|row| row.iter().map(|field| (*field).to_owned()).collect())
            .collect())
    }
}

/// A name as the server's SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as the server's SQL writes it. Names that are no backslash's friends are refused when they come in.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
