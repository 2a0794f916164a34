//! A PostgreSQL server for a drill.

use std::ffi::OsString;

use super::client::{MAINTENANCE, path_of};
use super::{Postgresql, literal, quoted};
use crate::error::{Error, Kind, Result};
use crate::host::piped::{Piped, Program};
use crate::model::{Run, SourceFacts};
use crate::source::private::{Home, program};
use crate::source::server::{Server, one_line};

/// The account that a new server begins with.
const OWNER: &str = "postgres";

/// The property that names the roles on which a dump depends.
pub(super) const ROLES: &str = "roles";

impl Postgresql {
    /// Makes the data of a new server in `home`; gives us there, and what starts it.
    pub(in crate::source) fn private(&self, home: &Home, run: &Run) -> Result<(Self, Program)> {
        let data = home.path().join("data");
        let words = ["-U", OWNER, "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8", "-D"];
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.push(data.clone().into());
        let initdb = path_of(&self.server, "initdb", "postgresql")?;
        let ended = Piped::begin(program(initdb, args), false)?.finish(run)?;
        if !ended.status.success() {
            let cause = Error::new(Kind::Io, one_line(&ended.complaints));
            return Err(Error::new(Kind::Io, "its first data could not be made").because(cause));
        }
        let mut args: Vec<OsString> = vec!["-D".into(), data.into(), "-k".into(), home.path().into()];
        // It lives for minutes, and nothing of it must last.
        for setting in ["listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off"] {
            args.extend(["-c".into(), setting.into()]);
        }
        args.extend(["-p".into(), self.server.port.to_string().into()]);
        let server = Server {
            user: OWNER.into(),
            socket: Some(home.path().to_owned()),
            host: None,
            password_file: None,
            programs: self.server.programs.clone(),
            port: self.server.port,
        };
        let postgres = path_of(&self.server, "postgres", "postgresql")?;
        Ok((Self { server, ..self.clone() }, program(postgres, args)))
    }

    /// Makes the roles to which the dump gives things.
    pub(in crate::source) fn make_roles(&self, facts: &SourceFacts, run: &Run) -> Result<()> {
        let names = facts.properties.get(ROLES).map_or("", String::as_str).split('\n');
        let make = |name: &str| format!("CREATE ROLE {};\n", quoted(name));
        let sql: String = names.filter(|name| !name.is_empty() && *name != OWNER).map(make).collect();
        self.ask(MAINTENANCE, &sql, 1, run).map(drop)
    }

    /// The roles on which the database depends, and the server's first one, in lines.
    pub(super) fn roles(&self, run: &Run) -> Result<String> {
        let sql = format!(
            "SELECT rolname FROM pg_roles WHERE oid = 10 OR oid IN (SELECT refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass \
             AND (dbid = (SELECT oid FROM pg_database WHERE datname = {0}) OR objid = (SELECT oid FROM pg_database WHERE datname = {0}))) ORDER BY 1;\n",
            literal(&self.database)
        );
        let rows = self.ask(&self.database, &sql, 1, run)?;
        let names: Vec<String> =
            rows.into_iter().flatten().filter(|name| !name.is_empty() && !name.contains('\n')).collect();
        Ok(names.join("\n"))
    }
}
