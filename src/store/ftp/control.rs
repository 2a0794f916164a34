//! The control connection: a command, a reply of three digits and a text; and the data connections that commands open.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::line::{Line, Security};
use crate::config::{FtpConfig, FtpTls};
use crate::error::{Error, Kind, Result};
use crate::host::net;
use crate::model::Cancel;

/// Longer replies are nobody's, in bytes.
const REPLY_MAX: usize = 64 << 10;
/// How much longer than for anything else is waited for the hash of a file.
const HASHING: u32 = 10;

/// What a server answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) text: String,
}

impl Reply {
    /// It was done, or goes on.
    fn is_good(&self) -> bool {
        self.code < 400
    }

    /// As an error, in the server's own words.
    pub(super) fn refusal(&self) -> Error {
        let lower = self.text.to_lowercase();
        let kind = match self.code {
            452 | 552 => Kind::NoSpace,
            _ if lower.contains("space") || lower.contains("quota") => Kind::NoSpace,
            530 | 532 => Kind::Refused,
            421 => Kind::Busy,
            550 | 553 if lower.contains("denied") || lower.contains("permission") => Kind::Refused,
            550 | 553 => Kind::Missing,
            _ => Kind::Io,
        };
        Error::new(kind, format!("the server answers {} {}", self.code, self.text.trim()))
    }

    /// Whether it may be the beginning in the middle of a file that the server does not want. Some say so to `REST`, others
    /// to the command behind it.
    fn may_mean_restart(&self) -> bool {
        matches!(self.code, 451 | 500..=504 | 550..=551 | 553..=555)
    }
}

/// A transfer that was asked for.
pub(super) enum Transfer {
    /// Data flows.
    Begun(Line),
    /// The server does not begin in the middle of a file.
    OnlyWhole(Error),
}

/// A connection on which we are logged in.
pub(super) struct Control {
    line: Line,
    /// What was received and not read yet.
    received: Vec<u8>,
    security: Option<Security>,
    silence: std::time::Duration,
    cancel: Cancel,
    peer: std::net::IpAddr,
    features: Vec<String>,
    /// Where a login arrives.
    pub(super) home: String,
}

/// What is said of a line that is no longer to be used.
pub(super) const BROKE_OFF: &str = "the connection broke off";

fn broken(error: std::io::Error) -> Error {
    net::broken(BROKE_OFF, error)
}

impl Control {
    pub(super) fn open(
        config: &FtpConfig,
        security: Option<&Security>,
        password: &str,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut line = Line::connect(&config.host, config.port, config.timeout, cancel)?;
        if let (FtpTls::Implicit, Some(security)) = (config.tls, security) {
            line = line.secured(security)?;
        }
        let peer = line.peer().map_err(broken)?;
        let mut control = Self {
            line,
            received: Vec::new(),
            security: None,
            silence: config.timeout,
            cancel: cancel.clone(),
            peer,
            features: Vec::new(),
            home: "/".to_owned(),
        };
        control.reply()?.good()?;
        if let (FtpTls::Explicit, Some(security)) = (config.tls, security) {
            control.ask("AUTH TLS").map_err(|error| {
                error
                    .help("the server offers no TLS; tls = \"none\" would send the password and all data in plain text")
            })?;
            control = control.secured(security)?;
        }
        control.security = security.cloned();
        control.login(&config.user, password)?;
        Ok(control)
    }

    fn secured(mut self, security: &Security) -> Result<Self> {
        // What came before TLS did may be somebody else's.
        if !self.received.is_empty() {
            return Err(Error::new(Kind::Refused, "the server sends more than was asked for before TLS begins"));
        }
        self.line = self.line.secured(security)?;
        Ok(self)
    }

    fn login(&mut self, user: &str, password: &str) -> Result<()> {
        let mut reply = self.ask(&format!("USER {user}"))?;
        if reply.code == 331 {
            reply = self.command(&format!("PASS {password}"))?;
        }
        if reply.code != 230 {
            let help = "look at user and password_file; some servers let nobody in without TLS";
            return Err(Error::new(Kind::Refused, reply.refusal().to_string()).help(help));
        }
        if self.security.is_some() {
            self.ask("PBSZ 0")?;
            self.ask("PROT P")?;
        }
        self.ask("TYPE I")?;
        // Servers that know no FEAT have no features.
        let features = self.command("FEAT")?;
        self.features = features.text.lines().map(|line| line.trim().to_uppercase()).collect();
        if self.has("UTF8") {
            self.command("OPTS UTF8 ON")?;
        }
        let home = self.ask("PWD")?.text;
        self.home = home.split('"').nth(1).unwrap_or("/").to_owned();
        Ok(())
    }

    /// Whether the server says that it can do this.
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|line| line.split(' ').next() == Some(feature))
    }

    /// Whether the server says that it can do this with these words behind it.
    pub(super) fn has_with(&self, feature: &str, words: &str) -> bool {
        self.features.iter().any(|line| line.strip_prefix(feature).is_some_and(|rest| rest.contains(words)))
    }

    /// Says a command; gives the reply, whatever it is.
    pub(super) fn command(&mut self, command: &str) -> Result<Reply> {
        self.say(command)?;
        self.reply()
    }

    /// Says a command that must succeed.
    pub(super) fn ask(&mut self, command: &str) -> Result<Reply> {
        self.command(command)?.good()
    }

    /// Says a command that the server needs long for.
    pub(super) fn command_that_takes_long(&mut self, command: &str) -> Result<Reply> {
        self.line.wait_for(self.silence * HASHING);
        let reply = self.command(command)?;
        self.line.wait_for(self.silence);
        Ok(reply)
    }

    fn say(&mut self, command: &str) -> Result<()> {
        // A name with a line feed in it would be a command of its own.
        if command.contains(['\r', '\n', '\0']) {
            return Err(Error::new(Kind::Refused, "a name or password with a line feed in it cannot be sent by FTP"));
        }
        let bytes = format!("{command}\r\n");
        let said = self.line.write_all(bytes.as_bytes()).and_then(|()| self.line.flush());
        said.map_err(broken)
    }

    fn text_line(&mut self) -> Result<String> {
        let mut buffer = [0; 1024];
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.received.len() > REPLY_MAX {
                return Err(Error::new(Kind::Damaged, "the server's reply has no end"));
            }
            match self.line.read(&mut buffer).map_err(broken)? {
                0 => return Err(Error::new(Kind::Io, "the server hung up")),
                read => self.received.extend(&buffer[..read]),
            }
        }
    }

    /// The next reply. One of several lines ends with the line that repeats its code and a space.
    pub(super) fn reply(&mut self) -> Result<Reply> {
        let first = self.text_line()?;
        let nonsense = || Error::new(Kind::Damaged, "the server's reply is no FTP");
        let code = first.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(nonsense)?;
        let mut text = first.get(4..).unwrap_or_default().to_owned();
        if first.as_bytes().get(3) == Some(&b'-') {
            let end = format!("{code} ");
            loop {
                let line = self.text_line()?;
                text.push('\n');
                if line.starts_with(&end) || line.len() == 3 && end.starts_with(&line) {
                    text.push_str(line.get(4..).unwrap_or_default());
                    break;
                }
                text.push_str(&line);
                if text.len() > REPLY_MAX {
                    return Err(Error::new(Kind::Damaged, "the server's reply has no end"));
                }
            }
        }
        Ok(Reply { code, text })
    }

    /// Opens a data connection for a command.
    pub(super) fn transfer(&mut self, command: &str) -> Result<Line> {
        let port = self.passive_port()?;
        let (line, reply) = self.connect(port, command)?;
        self.begin(line, &reply.good()?)
    }

    /// Opens a data connection for a command that begins at `from`, where the server does that.
    pub(super) fn transfer_from(&mut self, command: &str, from: u64) -> Result<Transfer> {
        if from == 0 {
            return self.transfer(command).map(Transfer::Begun);
        }
        let port = self.passive_port()?;
        let rest = self.command(&format!("REST {from}"))?;
        if !rest.is_good() && rest.may_mean_restart() {
            return Ok(Transfer::OnlyWhole(rest.refusal()));
        }
        rest.good()?;
        let (line, reply) = self.connect(port, command)?;
        if !reply.is_good() && reply.may_mean_restart() {
            return Ok(Transfer::OnlyWhole(reply.refusal()));
        }
        self.begin(line, &reply.good()?).map(Transfer::Begun)
    }

    fn connect(&mut self, port: u16, command: &str) -> Result<(Line, Reply)> {
        // The host is that of the control connection, whatever the server calls itself: it may not know what is before it.
        let line = Line::to(SocketAddr::new(self.peer, port), self.silence, &self.cancel).map_err(broken)?;
        Ok((line, self.command(command)?))
    }

    fn begin(&self, line: Line, reply: &Reply) -> Result<Line> {
        if !matches!(reply.code, 125 | 150) {
            return Err(Error::new(Kind::Damaged, format!("the server answers {} instead of data", reply.code)));
        }
        match &self.security {
            Some(security) => line.secured(security),
            None => Ok(line),
        }
    }

    fn passive_port(&mut self) -> Result<u16> {
        let extended = self.command("EPSV")?;
        let reply = if extended.code == 229 { extended } else { self.ask("PASV")? };
        passive_port(&reply).ok_or_else(|| Error::new(Kind::Damaged, format!("no port is in {:?}", reply.text)))
    }
}

/// The port in `(|||6446|)` or in `(127,0,0,1,25,46)`.
fn passive_port(reply: &Reply) -> Option<u16> {
    let inside = reply.text.split_once('(').map_or(reply.text.as_str(), |(_, rest)| rest);
    if reply.code == 229 {
        return inside.split('|').nth(3)?.parse().ok();
    }
    let numbers =
        inside.split(|c: char| !c.is_ascii_digit() && c != ',').find(|part| part.matches(',').count() == 5)?;
    let numbers: Vec<u8> = numbers.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some(u16::from(*numbers.get(4)?) << 8 | u16::from(*numbers.get(5)?))
}

impl Reply {
    pub(super) fn good(self) -> Result<Self> {
        match self.is_good() {
            true => Ok(self),
            false => Err(self.refusal()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_every_form_of_the_reply() {
        for (code, text, port) in [
            (229, "Entering Extended Passive Mode (|||6446|)", Some(6446)),
            (227, "Entering Passive Mode (127,0,0,1,25,46).", Some(6446)),
            (227, "Entering Passive Mode 127,0,0,1,25,46", Some(6446)),
            (227, "Entering Passive Mode (127,0,0,1,25,460)", None),
            (229, "(|||x|)", None),
            (227, "", None),
        ] {
            assert_eq!(passive_port(&Reply { code, text: text.into() }), port, "{text}");
        }
    }
}
