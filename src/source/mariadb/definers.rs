//! Whose rights views, triggers, routines and events have. A dump names accounts that may not be on the server where it is
//! loaded; then these do not run. Where that is wanted, they are given to the account that restores.

use std::collections::BTreeSet;

/// What becomes of the accounts that a dump names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Definers {
    /// They stay, and those that are not on the server are told.
    #[default]
    Keep,
    /// Those that are not on the server are replaced by the account that restores.
    Existing,
    /// All are replaced by it, which then needs no right to act for others.
    Own,
}

/// Words that may stand before a definer: behind others, in a body or a value, it is none.
pub(super) const BEFORE: [&str; 9] =
    ["CREATE", "OR", "REPLACE", "ALGORITHM", "UNDEFINED", "MERGE", "TEMPTABLE", "AGGREGATE", "IF"];

const WORD: &[u8] = b"DEFINER=`";

/// Changes the accounts in a dump's statements.
#[derive(Debug)]
pub(super) struct Replacing {
    /// `user@host` of the accounts that stay.
    stay: BTreeSet<String>,
    /// Those that were replaced.
    pub(super) replaced: BTreeSet<String>,
}

impl Replacing {
    pub(super) fn new(stay: BTreeSet<String>) -> Self {
        Self { stay, replaced: BTreeSet::new() }
    }

    /// The line with another account, where it names one that must be replaced. What stands before it in the statement must be
    /// [`BEFORE`] alone.
    pub(super) fn change(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let at = memchr::memmem::find(line, WORD)?;
        let head = &line[..at];
        let words = head.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        let is_head =
            |word: &[u8]| BEFORE.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word)) || word == b"M";
        if head.iter().any(|byte| b"'\"`#;".contains(byte)) || !words.into_iter().all(is_head) {
            return None;
        }
        let begin = at + WORD.len() - 1;
        let (user, behind) = name(line, begin)?;
        let (host, end) = name(line, (line.get(behind) == Some(&b'@')).then_some(behind + 1)?)?;
        let account = format!("{user}@{host}");
        if self.stay.contains(&account) {
            return None;
        }
        self.replaced.insert(account);
        Some([&line[..begin], b"CURRENT_USER", &line[end..]].concat())
    }
}

/// The name in backticks at `at`, and where it ends.
fn name(line: &[u8], at: usize) -> Option<(String, usize)> {
    if line.get(at) != Some(&b'`') {
        return None;
    }
    let mut end = at + 1;
    loop {
        end += memchr::memchr(b'`', &line[end..])? + 1;
        if line.get(end) != Some(&b'`') {
            return Some((String::from_utf8_lossy(&line[at + 1..end - 1]).replace("``", "`"), end));
        }
        end += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_definer_of_a_statement_is_replaced() {
        let mut replacing = Replacing::new(["here@%".to_owned()].into());
        let mut change = |line: &str| replacing.change(line.as_bytes()).map(|line| String::from_utf8(line).unwrap());
        for (line, changed) in [
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=`a``b`@`%`*/ /*!50003 TRIGGER `t` x",
                "/*!50003 CREATE*/ /*!50017 DEFINER=CURRENT_USER*/ /*!50003 TRIGGER `t` x",
            ),
            (
                "/*!50013 DEFINER=`old`@`%` SQL SECURITY DEFINER */\n",
                "/*!50013 DEFINER=CURRENT_USER SQL SECURITY DEFINER */\n",
            ),
            (
                "CREATE DEFINER=`old`@`10.0.0.1` PROCEDURE `p`() begin",
                "CREATE DEFINER=CURRENT_USER PROCEDURE `p`() begin",
            ),
        ] {
            assert_eq!(change(line).as_deref(), Some(changed));
        }
        for same in [
            "CREATE DEFINER=`here`@`%` PROCEDURE `p`() begin",
            "CREATE TABLE `t` (a text DEFAULT 'DEFINER=`old`@`%`')",
            "INSERT INTO `t` VALUES ('CREATE DEFINER=`old`@`%`')",
            "SET @x = DEFINER=`old`@`%`",
            "CREATE DEFINER=`old`",
        ] {
            assert_eq!(change(same), None, "{same}");
        }
        assert_eq!(replacing.replaced.len(), 3);
    }
}
