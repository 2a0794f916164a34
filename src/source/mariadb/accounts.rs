//! What a server has beside one database: the names of the others, accounts and their rights.

use super::Mariadb;
use crate::error::{Error, Kind, Result};
use crate::model::Run;

/// Accounts of the server itself, which every new server has.
const OWN: [&str; 1] = ["mariadb.sys"];

/// A password that no one can have, as MariaDB writes it for its own root.
const NO_PASSWORD: &str = "IDENTIFIED VIA mysql_native_password USING 'invalid'";

impl Mariadb {
    /// The names of all databases but the server's own. Refuses where the server would not tell all.
    pub fn databases(&self, run: &Run) -> Result<Vec<String>> {
        let sql = "SHOW GRANTS;\nSELECT 'database', schema_name FROM information_schema.schemata WHERE schema_name NOT IN \
                   ('information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY schema_name;\n";
        let rows = self.ask(None, sql, run)?;
        let shows_all = |grant: &str| {
            let rights = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON *.* TO "));
            let all = ["ALL PRIVILEGES", "SHOW DATABASES", "SELECT"];
            rights.is_some_and(|(rights, _)| rights.split(',').any(|right| all.contains(&right.trim())))
        };
        if !rows.iter().any(|row| row.len() == 1 && shows_all(&row[0])) {
            let message = format!("{} does not show all databases to {:?}", self.server.place(), self.server.user);
            return Err(Error::new(Kind::Config, message)
                .help("GRANT SHOW DATABASES ON *.* TO the account; or name them in `databases`"));
        }
        let named = rows.into_iter().filter(|row| row.len() == 2 && row[0] == "database");
        Ok(named.filter_map(|row| row.into_iter().nth(1)).collect())
    }

    /// The statements that make all accounts and roles and give them their rights.
    pub(in crate::source) fn accounts(&self, passwords: bool, run: &Run) -> Result<String> {
        let sql = "SELECT user, host, is_role FROM mysql.user ORDER BY is_role <> 'Y', user, host;\n";
        let rows = self.ask(None, sql, run)?;
        let (mut accounts, mut questions) = (Vec::new(), String::new());
        for row in &rows {
            let [user, host, is_role] = row.as_slice() else { continue };
            if OWN.contains(&user.as_str()) || (user == "PUBLIC" && host.is_empty()) {
                continue;
            }
            let is_role = is_role == "Y";
            let account = if is_role { text(user) } else { format!("{}@{}", text(user), text(host)) };
            if !is_role {
                questions.push_str(&format!("SELECT 'create';\nSHOW CREATE USER {account};\n"));
            }
            questions.push_str(&format!("SELECT 'grants';\nSHOW GRANTS FOR {account};\n"));
            accounts.push((is_role, user.clone()));
        }
        let answers = self.ask(None, &questions, run)?;
        let (mut roles, mut users, mut grants) = (String::new(), String::new(), String::new());
        for (_, role) in accounts.iter().filter(|(is_role, _)| *is_role) {
            roles.push_str(&format!("CREATE ROLE IF NOT EXISTS {};\n", super::quoted(role)));
        }
        let mut creates = false;
        for row in answers.iter().filter_map(|row| row.first()) {
            match row.as_str() {
                "create" => creates = true,
                "grants" => creates = false,
                statement if creates => users.push_str(&user(statement, passwords)),
                statement => grants.push_str(&grant(statement)),
            }
        }
        Ok(format!("{roles}{users}{grants}"))
    }
}

/// A text where an account is named; the server takes no expression there.
fn text(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

/// Where the account of a statement ends: behind its last quoted name.
fn behind_names(statement: &str, from: usize) -> usize {
    let rest = &statement.as_bytes()[from..];
    let (mut at, mut quote, mut end) = (0, None, 0);
    while at < rest.len() {
        match (quote, rest[at]) {
            (Some(open), byte) if byte == open => {
                quote = None;
                end = at + 1;
            }
            (None, byte @ (b'`' | b'\'')) => quote = Some(byte),
            (None, b' ') if end > 0 => break,
            _ => {}
        }
        at += 1;
    }
    from + end.max(at.min(rest.len()) * usize::from(end == 0))
}

/// The two parts of what follows an account: how it is known, and the rest (REQUIRE, WITH, ...).
fn identified(rest: &str) -> (&str, &str) {
    let Some(known) = rest.strip_prefix(" IDENTIFIED ") else { return ("", rest) };
    let ends = [" REQUIRE ", " WITH ", " PASSWORD EXPIRE", " ACCOUNT LOCK"];
    let end = ends.iter().filter_map(|word| known.find(word)).min().unwrap_or(known.len());
    (&known[..end], &known[end..])
}

fn user(statement: &str, passwords: bool) -> String {
    let Some(account) = statement.strip_prefix("CREATE USER ") else { return String::new() };
    let end = behind_names(account, 0);
    let (known, rest) = identified(&account[end..]);
    let account = &account[..end];
    let how = match (known, passwords) {
        ("", _) => String::new(),
        (known, true) => format!(" IDENTIFIED {known}"),
        // By the socket alone: there is no password.
        (known, false) if !known.contains("USING") && !known.contains("PASSWORD") => format!(" IDENTIFIED {known}"),
        (known, false) if known.contains("unix_socket") => format!(" {NO_PASSWORD} OR unix_socket"),
        (_, false) => format!(" {NO_PASSWORD}"),
    };
    format!("CREATE USER IF NOT EXISTS {account}{how}{rest};\n")
}

/// A grant without what it says of the password, which stands in the account's own statement.
fn grant(statement: &str) -> String {
    let Some(to) = statement.rfind(" TO `").or_else(|| statement.rfind(" TO '")) else {
        return format!("{statement};\n");
    };
    let end = behind_names(statement, to + 4);
    let (_, rest) = identified(&statement[end..]);
    format!("{}{rest};\n", &statement[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_only_where_they_are_asked_for() {
        let by_password = "CREATE USER `a b`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL";
        assert_eq!(
            user(by_password, true),
            "CREATE USER IF NOT EXISTS `a b`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL;\n"
        );
        let without = format!("CREATE USER IF NOT EXISTS `a b`@`%` {NO_PASSWORD} REQUIRE SSL;\n");
        assert_eq!(user(by_password, false), without);
        let both = "CREATE USER `r`@`localhost` IDENTIFIED VIA mysql_native_password USING '*AB' OR unix_socket";
        assert_eq!(
            user(both, false),
            format!("CREATE USER IF NOT EXISTS `r`@`localhost` {NO_PASSWORD} OR unix_socket;\n")
        );
        let socket = "CREATE USER `r`@`localhost` IDENTIFIED VIA unix_socket";
        assert_eq!(user(socket, false), "CREATE USER IF NOT EXISTS `r`@`localhost` IDENTIFIED VIA unix_socket;\n");
        let all = "GRANT ALL PRIVILEGES ON *.* TO `x`@`h` IDENTIFIED BY PASSWORD '*AB' WITH GRANT OPTION";
        assert_eq!(grant(all), "GRANT ALL PRIVILEGES ON *.* TO `x`@`h` WITH GRANT OPTION;\n");
        assert_eq!(grant("GRANT `role` TO `x`@`h`"), "GRANT `role` TO `x`@`h`;\n");
        assert_eq!(grant("GRANT SELECT ON `a`.* TO `role`"), "GRANT SELECT ON `a`.* TO `role`;\n");
    }
}
