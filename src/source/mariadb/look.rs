//! What a dump will meet, found out beforehand: how much there is, which tables know no snapshot, and which rights are
//! missing. A dump program leaves out without a word what its account may not see.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Mariadb, NoSnapshot, literal, quoted};
use crate::error::{Error, Kind, Result};
use crate::model::Run;

/// Engines that give one consistent snapshot, or hold no rows of their own.
const SNAPSHOT: [&str; 5] = ["innodb", "rocksdb", "tokudb", "sequence", "ndbcluster"];

/// Tables that are named in a message.
const NAMED: usize = 10;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) version: String,
    /// Our account as the server knows it: `user@host`.
    account: String,
    pub(super) character_set: String,
    pub(super) collation: String,
    /// About how many bytes of text a dump will give.
    pub(super) size: u64,
    /// Tables whose engine knows no snapshot, with it.
    no_snapshot: Vec<(String, String)>,
    views: bool,
    rights: BTreeSet<String>,
    sees_routines: bool,
}

/// Asks the server.
pub(super) fn look(source: &Mariadb, run: &Run) -> Result<Found> {
    let db = literal(&source.database);
    let sql = format!(
        "SELECT 'server', VERSION(), CURRENT_USER();\n\
         SELECT 'database', default_character_set_name, default_collation_name FROM information_schema.schemata \
         WHERE schema_name = {db};\n\
         SELECT 'table', table_type, COALESCE(engine, ''), COALESCE(data_length, 0), table_name \
         FROM information_schema.tables WHERE table_schema = {db};\n\
         SHOW GRANTS;\n"
    );
    let mut found = Found::default();
    let mut there = false;
    for row in source.ask(None, &sql, run)? {
        match row.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["server", version, account] => {
                (found.version, found.account) = ((*version).to_owned(), (*account).to_owned());
            }
            ["database", character_set, collation] => {
                (found.character_set, found.collation) = ((*character_set).to_owned(), (*collation).to_owned());
                there = true;
            }
            ["table", kind, engine, size, name] => {
                found.views |= *kind == "VIEW";
                found.size += size.parse::<u64>().unwrap_or(0);
                if *kind == "BASE TABLE" && !SNAPSHOT.contains(&engine.to_lowercase().as_str()) {
                    found.no_snapshot.push(((*name).to_owned(), (*engine).to_owned()));
                }
            }
            [grant] => take_grant(grant, &source.database, &mut found),
            _ => {}
        }
    }
    // What is stored compactly (numbers, pages that are not full) comes out about even.
    found.size += 4096;
    if !there {
        // It is not shown to whom may not see it either.
        let (database, place) = (&source.database, source.server.place());
        if found.rights.contains("ALL") {
            let message = format!("there is no database {database:?} on {place}");
            return Err(Error::new(Kind::Missing, message).help("check `database`"));
        }
        return Err(Error::new(
            Kind::Missing,
            format!("there is no database {database:?} on {place} that this account may see"),
        )
        .help(grants(&["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES"], source, &found)));
    }
    Ok(found)
}

impl Mariadb {
    /// Where the server keeps its data; `None` when it is not on this machine.
    pub(in crate::source) fn data_folder(&self, run: &Run) -> Option<PathBuf> {
        self.server.socket.as_ref()?;
        let rows = self.ask(None, "SELECT @@datadir;\n", run).ok()?;
        rows.first()?.first().map(PathBuf::from)
    }
}

/// Takes up one line of SHOW GRANTS: ``GRANT SELECT, TRIGGER ON `shop`.* TO ...``.
fn take_grant(grant: &str, database: &str, found: &mut Found) {
    let Some((rights, rest)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON ")) else { return };
    let on = rest.split(" TO ").next().unwrap_or_default();
    let everywhere = on == "*.*";
    let all = rights.starts_with("ALL PRIVILEGES");
    let names: Vec<&str> = rights.split(',').map(str::trim).collect();
    let selects = all || names.contains(&"SELECT");
    found.sees_routines |= selects && (everywhere || on == "`mysql`.`proc`" || on == "`mysql`.*");
    found.sees_routines |= names.contains(&"SHOW_ROUTINE") || names.contains(&"SHOW CREATE ROUTINE");
    if !everywhere && !is_of(on, database) {
        return;
    }
    found.sees_routines |= all && !everywhere && names.contains(&"SHOW CREATE ROUTINE");
    if all {
        found.rights.insert("ALL".into());
    }
    found.rights.extend(names.into_iter().map(str::to_owned));
}

/// Whether a grant's object is the whole database: its name may hold `%`, `_` and their escapes.
fn is_of(on: &str, database: &str) -> bool {
    let Some(pattern) = on.strip_prefix('`').and_then(|rest| rest.strip_suffix("`.*")) else { return false };
    like(pattern.as_bytes(), database.as_bytes())
}

fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'%', rest @ ..], _) => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        ([b'\\', byte, rest @ ..], [first, text @ ..]) => byte == first && like(rest, text),
        ([b'_', rest @ ..], [_, text @ ..]) => like(rest, text),
        ([byte, rest @ ..], [first, text @ ..]) => byte == first && like(rest, text),
        _ => false,
    }
}

/// Whether all tables must be locked, and what a person should know; refuses what cannot be dumped as a whole.
pub(super) fn judge(found: &Found, source: &Mariadb) -> Result<(bool, Vec<String>)> {
    let lock = !found.no_snapshot.is_empty();
    let mut warnings = Vec::new();
    if lock {
        let tables = found.no_snapshot.iter().take(NAMED).map(|(name, engine)| format!("{name:?} ({engine})"));
        let tables = tables.collect::<Vec<_>>().join(", ");
        if source.no_snapshot == NoSnapshot::Refuse {
            return Err(Error::new(Kind::Refused, format!("tables give no consistent snapshot: {tables}")).help(
                "ALTER TABLE ... ENGINE=InnoDB, or set no_snapshot = \"lock\" to have writers wait for the dump",
            ));
        }
        warnings.push(format!("writers waited for this dump, because of tables that give no snapshot: {tables}"));
    }
    let mut needed = vec!["SELECT", "TRIGGER", "EVENT"];
    needed.extend(found.views.then_some("SHOW VIEW"));
    needed.extend(lock.then_some("LOCK TABLES"));
    let all = found.rights.contains("ALL");
    let missing: Vec<&str> = needed.into_iter().filter(|right| !all && !found.rights.contains(*right)).collect();
    if !missing.is_empty() || !found.sees_routines {
        let mut names = missing.join(", ");
        if !found.sees_routines {
            names = [names, "reading routines".to_owned()]
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
                .join(", ");
        }
        let message = format!("the dump would leave things out: the account {} lacks {names}", found.account);
        return Err(Error::new(Kind::Config, message).help(grants(&missing, source, found)));
    }
    Ok((lock, warnings))
}

/// The statements that give what is missing.
fn grants(missing: &[&str], source: &Mariadb, found: &Found) -> String {
    let account = found
        .account
        .rsplit_once('@')
        .map_or_else(|| quoted(&source.server.user), |(user, host)| format!("{}@{}", quoted(user), quoted(host)));
    let mut all = Vec::new();
    if !missing.is_empty() {
        all.push(format!("GRANT {} ON {}.* TO {account};", missing.join(", "), quoted(&source.database)));
    }
    if !found.sees_routines {
        let right = if found.version.contains("MariaDB") { "SELECT ON mysql.proc" } else { "SHOW_ROUTINE ON *.*" };
        all.push(format!("GRANT {right} TO {account};"));
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::Definers;
    use super::*;

    fn source(no_snapshot: NoSnapshot) -> Mariadb {
        Mariadb { server: Default::default(), database: "my_shop".into(), no_snapshot, definers: Definers::Keep }
    }

    fn found(grants: &[&str]) -> Found {
        let version = "10.11.6-MariaDB".into();
        let mut found = Found { account: "t@localhost".into(), version, views: true, ..Found::default() };
        for grant in grants {
            take_grant(grant, "my_shop", &mut found);
        }
        found
    }

    #[test]
    fn what_is_missing_is_named_with_the_grant_that_gives_it() {
        let some = found(&[
            "GRANT USAGE ON *.* TO `t`@`localhost`",
            "GRANT SELECT, EVENT ON `my\\_shop`.* TO `t`@`localhost`",
        ]);
        let error = judge(&some, &source(NoSnapshot::Lock)).unwrap_err();
        assert_eq!(
            error.remedy().unwrap(),
            "GRANT TRIGGER, SHOW VIEW ON `my_shop`.* TO `t`@`localhost`; GRANT SELECT ON mysql.proc TO `t`@`localhost`;"
        );
        for enough in [
            &["GRANT ALL PRIVILEGES ON *.* TO `t`@`localhost` WITH GRANT OPTION"][..],
            &["GRANT SELECT, TRIGGER, EVENT, SHOW VIEW ON *.* TO `t`@`localhost`"],
            &[
                "GRANT ALL PRIVILEGES ON `my%`.* TO `t`@`localhost`",
                "GRANT SELECT ON `mysql`.`proc` TO `t`@`localhost`",
            ],
        ] {
            judge(&found(enough), &source(NoSnapshot::Lock)).unwrap();
        }
        let other = found(&["GRANT ALL PRIVILEGES ON `my\\_shops`.* TO `t`@`localhost`"]);
        assert!(judge(&other, &source(NoSnapshot::Lock)).is_err());
    }

    #[test]
    fn tables_without_a_snapshot_are_locked_or_refused_by_name() {
        let mut all = found(&["GRANT ALL PRIVILEGES ON *.* TO `t`@`localhost`"]);
        all.no_snapshot = vec![("old".into(), "MyISAM".into())];
        let (lock, warnings) = judge(&all, &source(NoSnapshot::Lock)).unwrap();
        assert!(lock && warnings[0].contains("\"old\" (MyISAM)"));
        let error = judge(&all, &source(NoSnapshot::Refuse)).unwrap_err();
        assert!(error.kind() == Kind::Refused && error.to_string().contains("\"old\" (MyISAM)"));
    }
}
