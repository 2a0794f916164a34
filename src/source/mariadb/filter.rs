//! What of a dump may reach the server: statements that make one database, and nothing that reaches outside of it.
//!
//! The client itself is started so that it follows no command of its own (`--binary-mode`, no local files). Here statements
//! are told apart as the client does, and each is judged by its first words before its end is passed on. Bodies of routines
//! and values are not looked into: they do what the account that restores may do.

use std::borrow::Cow;

use super::definers::{BEFORE, Replacing};
use super::text::is_sandbox;
use crate::error::{Error, Kind, Result};
use crate::source::server::feed::{self, refused};

/// How many tokens of a statement are looked at.
const TOKENS: usize = 40;

/// The delimiters that dump programs use.
const DELIMITERS: [&str; 4] = [";", ";;", "//", "$$"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A bare word, in capitals.
    Word(String),
    /// A name in backticks.
    Name,
    /// A text in quotes.
    Text(Vec<u8>),
    Mark(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    Quoted(u8),
    Comment,
}

/// Judges the lines of a dump.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    delimiter: &'static str,
    tokens: Vec<Token>,
    /// Whether the statement has a token, also where no more are kept.
    begun: bool,
    text: Vec<u8>,
    /// Where definers are replaced.
    pub(super) replacing: Option<Replacing>,
}

impl feed::Filter for Filter {
    fn line<'l>(&mut self, line: &'l [u8]) -> Result<Option<Cow<'l, [u8]>>> {
        if self.state == State::Code && !self.begun {
            if is_sandbox(line.trim_ascii()) {
                return Ok(None);
            }
            let trimmed = line.trim_ascii();
            if trimmed.len() > 10 && trimmed[..10].eq_ignore_ascii_case(b"delimiter ") {
                let known = DELIMITERS.iter().find(|known| known.as_bytes() == trimmed[10..].trim_ascii());
                self.delimiter = known.ok_or_else(|| refused("an unknown delimiter"))?;
                return Ok(Some(line.into()));
            }
        }
        let is_head = |token: &Token| match token {
            Token::Word(word) => BEFORE.contains(&word.as_str()),
            token => *token == Token::Mark(b'='),
        };
        let in_head = self.state == State::Code && self.tokens.iter().all(is_head);
        let changed = self.replacing.as_mut().filter(|_| in_head).and_then(|replacing| replacing.change(line));
        let line = changed.map_or(Cow::Borrowed(line), Cow::Owned);
        // What the server gets is judged, not what the dump says.
        self.scan(&line)?;
        Ok(Some(line))
    }

    fn finish(&mut self) -> Result<()> {
        if self.state != State::Code {
            return Err(Error::new(Kind::Damaged, "the dump ends in the middle of a text or comment"));
        }
        self.end()
    }
}

impl Filter {
    pub(super) fn new() -> Self {
        let (tokens, text) = (Vec::new(), Vec::new());
        Self { state: State::Code, delimiter: ";", tokens, begun: false, text, replacing: None }
    }

    fn end(&mut self) -> Result<()> {
        let judged = judge(&self.tokens);
        self.tokens.clear();
        self.begun = false;
        judged
    }

    fn take(&mut self, token: Token) {
        self.begun = true;
        if self.tokens.len() < TOKENS {
            self.tokens.push(token);
        }
    }

    fn scan(&mut self, line: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < line.len() {
            let rest = &line[at..];
            at += match self.state {
                State::Comment => match memchr::memmem::find(rest, b"*/") {
                    Some(end) => {
                        self.state = State::Code;
                        end + 2
                    }
                    None => rest.len(),
                },
                State::Quoted(quote) => self.quoted(rest, quote),
                State::Code => self.code(rest)?,
            };
        }
        Ok(())
    }

    /// The part of a quoted text; a doubled quote is taken for an end and a new beginning, which comes to the same.
    fn quoted(&mut self, rest: &[u8], quote: u8) -> usize {
        let special = if quote == b'`' { memchr::memchr(quote, rest) } else { memchr::memchr2(quote, b'\\', rest) };
        let Some(found) = special else {
            self.keep(rest);
            return rest.len();
        };
        self.keep(&rest[..found]);
        if rest[found] == b'\\' {
            return (found + 2).min(rest.len());
        }
        self.state = State::Code;
        let token = if quote == b'`' { Token::Name } else { Token::Text(std::mem::take(&mut self.text)) };
        self.take(token);
        found + 1
    }

    fn keep(&mut self, text: &[u8]) {
        if self.tokens.len() < TOKENS && self.text.len() < 1000 {
            self.text.extend_from_slice(&text[..text.len().min(1000)]);
        }
    }

    /// One token; how many bytes it takes.
    fn code(&mut self, rest: &[u8]) -> Result<usize> {
        let byte = rest[0];
        if rest.starts_with(self.delimiter.as_bytes()) {
            self.end()?;
            return Ok(self.delimiter.len());
        }
        Ok(match byte {
            b' ' | b'\t' | b'\r' | b'\n' => 1,
            b'\'' | b'"' | b'`' => {
                self.state = State::Quoted(byte);
                self.text.clear();
                1
            }
            b'#' => rest.len(),
            b'-' if rest.starts_with(b"--") && rest.get(2).is_none_or(u8::is_ascii_whitespace) => rest.len(),
            // What stands in these is executed, from some version on: it is looked at like all else.
            b'/' if rest.starts_with(b"/*!") || rest.starts_with(b"/*M!") => {
                let start = if rest[2] == b'!' { 3 } else { 4 };
                start + rest[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
            }
            b'/' if rest.starts_with(b"/*") => {
                self.state = State::Comment;
                2
            }
            b'*' if rest.starts_with(b"*/") => 2,
            byte if is_word(byte) => {
                let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                if self.tokens.len() < TOKENS || length == 9 {
                    let word = String::from_utf8_lossy(&rest[..length]).to_uppercase();
                    if word == "DELIMITER" {
                        return Err(refused("a change of the delimiter within a statement"));
                    }
                    self.take(Token::Word(word));
                }
                length
            }
            byte => {
                self.take(Token::Mark(byte));
                1
            }
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

/// Judges a statement by its first tokens.
fn judge(tokens: &[Token]) -> Result<()> {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let shown = || format!("{} {}", word(0), word(1)).trim().to_owned();
    let any = |wanted: &str| tokens.iter().any(|token| matches!(token, Token::Word(word) if word == wanted));
    match word(0) {
        "" if tokens.is_empty() => return Ok(()),
        "" if tokens[0] == Token::Mark(b'\\') => return Err(refused("a command of the client")),
        "SET" => return judge_set(tokens),
        "UNLOCK" | "COMMIT" | "BEGIN" => return Ok(()),
        "START" if word(1) == "TRANSACTION" => return Ok(()),
        "DO" | "SELECT" if word(1) == "SETVAL" => {}
        "INSERT" | "REPLACE" if any("VALUES") && !any("SELECT") => {}
        "LOCK" if word(1) == "TABLES" => {}
        "ALTER" if matches!(word(1), "TABLE" | "SEQUENCE") => {}
        // The database in use.
        "ALTER" if word(1) == "DATABASE" && word(2) == "CHARACTER" && word(3) == "SET" => {}
        "DROP" if is_object(word(1)) => {}
        "CREATE" => {
            let made = tokens.iter().find_map(|token| match token {
                Token::Word(word) if is_object(word) => Some(word.as_str()),
                Token::Word(word) if matches!(word.as_str(), "DATABASE" | "SCHEMA" | "USER" | "ROLE" | "SERVER") => {
                    Some("")
                }
                _ => None,
            });
            if made.unwrap_or_default().is_empty() {
                return Err(refused(&format!("{:?}", shown())));
            }
            if any("SONAME") {
                return Err(refused("a function of a program library"));
            }
            // A program may use whatever it likes, with the rights of whoever runs it.
            if matches!(made, Some("FUNCTION" | "PROCEDURE" | "TRIGGER" | "EVENT" | "VIEW" | "PACKAGE")) {
                return Ok(());
            }
        }
        _ => return Err(refused(&format!("the statement {:?}", shown()))),
    }
    // `other`.`table`: the first name of the statement is followed by a dot.
    let name = tokens.iter().skip(1).position(|token| matches!(token, Token::Name)).map(|at| at + 1);
    let dotted = |at: usize| tokens.get(at) == Some(&Token::Mark(b'.'));
    if name.is_some_and(|at| dotted(at + 1)) || (1..6).any(|at| dotted(at) && name.is_none_or(|name| at < name)) {
        return Err(refused("a statement about another database"));
    }
    Ok(())
}

fn is_object(word: &str) -> bool {
    matches!(word, "TABLE" | "VIEW" | "TRIGGER" | "FUNCTION" | "PROCEDURE" | "EVENT" | "SEQUENCE" | "PACKAGE")
}

/// A dump sets variables of its own connection.
fn judge_set(tokens: &[Token]) -> Result<()> {
    for token in tokens {
        match token {
            Token::Word(word)
                if word.contains("GLOBAL") || matches!(word.as_str(), "PASSWORD" | "ROLE" | "PERSIST") =>
            {
                return Err(refused("a statement that sets something for the whole server"));
            }
            // Then backslashes would mean something else to the client than they do here.
            Token::Text(text) if text.to_ascii_uppercase().windows(20).any(|part| part == b"NO_BACKSLASH_ESCAPES") => {
                return Err(refused("the mode NO_BACKSLASH_ESCAPES"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(dump: &str) -> Result<String> {
        feed::through(Filter::new(), dump)
    }

    #[test]
    fn what_dump_programs_write_goes_through() {
        let dump = "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n/*!40101 SET NAMES utf8mb4 */;\n/*!40014 SET @OLD=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;\n\
            DROP SEQUENCE IF EXISTS `s`;\nCREATE SEQUENCE `s` start with 1;\nDO SETVAL(`s`, 1001, 0);\n\
            CREATE TABLE `a``b` (\n  `id` int COMMENT 'it''s; \\'x'\n) ENGINE=InnoDB;\n\
            SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;\n/*!40000 ALTER TABLE `t` DISABLE KEYS */;\n\
            INSERT INTO `t` (`a`, `b`) VALUES\n(1,'; DROP DATABASE x; \\\\'),\n(2,0x00);\nCOMMIT;\n\
            DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on `t` for each row begin set @x = 1; drop user x; end */;;\nDELIMITER ;\n\
            /*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`r`@`h` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */;\n-- Dump completed\n";
        assert_eq!(through(dump).unwrap(), dump);
        assert_eq!(through("/*M!999999\\- enable the sandbox mode */ \nCOMMIT;\n").unwrap(), "COMMIT;\n");
    }

    #[test]
    fn what_reaches_outside_of_the_database_does_not() {
        for hostile in [
            "DROP DATABASE mysql;",
            "ALTER DATABASE `mysql` CHARACTER SET latin1;",
            "/*!50000 DROP DATABASE mysql */;",
            "/*M!100000 GRANT ALL ON *.* TO x */;",
            "CREATE USER x;",
            "CREATE OR REPLACE USER x;",
            "USE mysql;",
            "SET GLOBAL general_log_file='/x';",
            "SET @@global.general_log=1;",
            "SET PASSWORD = '';",
            "SET sql_mode='ANSI,no_backslash_escapes';",
            "CREATE FUNCTION f RETURNS INT SONAME 'x.so';",
            "INSERT INTO `mysql`.`user` VALUES (1);",
            "INSERT INTO mysql.user VALUES (1);",
            "DROP TABLE IF EXISTS `mysql`.`user`;",
            "INSERT INTO `t` SELECT LOAD_FILE('/etc/passwd');",
            "SELECT 1 INTO OUTFILE '/x';",
            "LOAD DATA INFILE '/x' INTO TABLE t;",
            "INSTALL SONAME 'x';",
            "SHUTDOWN",
            "\\! touch /x",
            "COMMIT; delimiter //",
            "-- x\nSHUTDOWN;",
            "/* x */ SHUTDOWN;",
            "CALL p();",
            "COMMIT/*'*/;SHUTDOWN;/*'*/",
            "SET @a='\\';SHUTDOWN;';SHUTDOWN;",
        ] {
            assert_eq!(through(hostile).unwrap_err().kind(), Kind::Refused, "{hostile}");
        }
        assert_eq!(through("SET @a='x").unwrap_err().kind(), Kind::Damaged);
    }
}
