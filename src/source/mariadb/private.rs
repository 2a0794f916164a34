//! A MariaDB server for a drill.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::Mariadb;
use crate::error::{Context, Error, Kind, Result};
use crate::host::piped::{Piped, Program};
use crate::model::Run;
use crate::source::private::{Home, program};
use crate::source::server::{Server, one_line};

/// What MariaDB's own script gives to a new server, in its order; `mariadb_` takes the place of `mysql_` in newer versions.
const TABLES: [&str; 3] = ["system_tables.sql", "performance_tables.sql", "system_tables_data.sql"];

impl Mariadb {
    /// Makes the data of a new server in `home`; gives us there, and what starts it.
    pub(in crate::source) fn private(&self, home: &Home, run: &Run) -> Result<(Self, Program)> {
        let daemon = self.daemon()?;
        let share = share_of(&daemon)?;
        let socket = home.path().join("s");
        let mut args: Vec<OsString> = vec!["--no-defaults".into()];
        let mut option = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("--{name}="));
            text.push(value);
            args.push(text);
        };
        option("datadir", &home.folder("data")?);
        option("tmpdir", home.path());
        option("lc-messages-dir", &share);
        option("character-sets-dir", &share.join("charsets"));
        // It lives for minutes, and nothing of it must last.
        let light = [
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--innodb-log-file-size=64M",
            "--log-warnings=0",
        ];
        args.extend(light.map(OsString::from));
        let mut bootstrap =
            Piped::begin(program(daemon.clone(), [args.clone(), vec!["--bootstrap".into()]].concat()), false)?;
        bootstrap.write(&system_tables(&share)?, run)?;
        let ended = bootstrap.finish(run)?;
        if !ended.status.success() {
            let cause = Error::new(Kind::Io, one_line(&ended.complaints));
            return Err(Error::new(Kind::Io, "its system tables could not be made").because(cause));
        }
        let mut text = OsString::from("--socket=");
        text.push(&socket);
        args.extend([text, "--skip-networking".into(), "--event-scheduler=OFF".into()]);
        let server = Server {
            user: "root".into(),
            socket: Some(socket),
            host: None,
            password_file: None,
            programs: self.server.programs.clone(),
            port: self.server.port,
        };
        Ok((Self { server, ..self.clone() }, program(daemon, args)))
    }

    /// The server's program: where programs are, or beside the folder that the configuration names.
    fn daemon(&self) -> Result<PathBuf> {
        let beside = self.server.programs.iter().flat_map(|folder| [folder.clone(), folder.join("../sbin")]);
        let names = ["mariadbd", "mysqld"];
        let found = beside.flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file());
        let any = Server { programs: None, ..self.server.clone() };
        found.map_or_else(|| any.program(&names, "mariadb-server-core"), Ok)
    }
}

/// The folder of the server's texts and of what makes its system tables.
fn share_of(daemon: &Path) -> Result<PathBuf> {
    let real = fs::canonicalize(daemon).context(|| format!("cannot find {daemon:?}"))?;
    let parents =
        real.ancestors().skip(2).take(1).flat_map(|root| [root.join("share/mysql"), root.join("share/mariadb")]);
    parents.into_iter().find(|share| table_file(share, TABLES[0]).is_some()).ok_or_else(|| {
        Error::new(Kind::Missing, format!("what makes the system tables of {daemon:?} is not there"))
            .help("install mariadb-server-core, or drill with drill = \"scratch\"")
    })
}

fn table_file(share: &Path, name: &str) -> Option<PathBuf> {
    ["mysql_", "mariadb_"].iter().map(|begin| share.join(format!("{begin}{name}"))).find(|path| path.is_file())
}

fn system_tables(share: &Path) -> Result<Vec<u8>> {
    let mut all = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n".to_vec();
    for name in TABLES {
        let Some(path) = table_file(share, name) else { continue };
        let text = fs::read(&path).context(|| format!("cannot read {path:?}"))?;
        // An account for the name of this host is of no use.
        let wanted = |line: &&[u8]| memchr::memmem::find(line, b"@current_hostname").is_none();
        text.split_inclusive(|byte| *byte == b'\n').filter(wanted).for_each(|line| all.extend_from_slice(line));
    }
    Ok(all)
}
