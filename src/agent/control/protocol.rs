//! What is said over the socket. A request is one line; its answer is any number of `progress` lines and then one
//! `result` or `error` line. Fields may be added within a version; whoever reads passes over what it does not know.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::Event;

/// The version of what is said.
pub const VERSION: u32 = 1;

/// The longest request, in bytes.
pub(super) const REQUEST_MAX: usize = 4096;

/// What a program asks of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Request {
    /// How the box stands.
    Status,
    /// Make a backup and copy it to every stick that is plugged in.
    Backup,
    /// Which sticks are enrolled.
    Sticks,
    /// Enrol a stick: the one at this device that was refused, else the next one that is plugged in.
    Enroll {
        /// Its device, such as `/dev/sdb`.
        #[serde(default)]
        device: Option<PathBuf>,
    },
    /// Forget a stick.
    Forget {
        /// Its enrolment, serial number or file system's id.
        name: String,
    },
    /// Take over the stick of another box that this one replaces.
    Adopt {
        /// Its device.
        device: PathBuf,
    },
    /// Format a stick. Without a ticket it only tells what is on it, and gives the ticket with which it is formatted.
    Format {
        /// Its device.
        device: PathBuf,
        /// What it shall be called.
        #[serde(default)]
        name: Option<String>,
        /// The backups on it may go.
        #[serde(default)]
        erase_backups: bool,
        /// What the answer to the first question gave, once a person has confirmed it.
        #[serde(default)]
        ticket: Option<String>,
    },
}

/// What became of the wish to enrol a stick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolling {
    /// Sticks that are plugged in and are enrolled with the backup that is made now.
    pub devices: Vec<PathBuf>,
    /// When none is: for so many seconds the next one that is plugged in will be.
    pub seconds: u64,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// What was asked for goes on.
    Progress {
        /// The stick that it is about; none while the backup itself is made.
        stick: Option<String>,
        /// What happened.
        event: Event,
    },
    /// It is done.
    Result(Value),
    /// It failed.
    Error {
        /// What sort of failure it is.
        kind: Kind,
        /// The message and those of its causes, outermost first.
        messages: Vec<String>,
        /// What helps.
        help: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u32,
    #[serde(flatten)]
    said: T,
}

impl Request {
    /// The line that says it.
    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }

    /// Reads a line.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        let wrong = |why: String| {
            Error::new(Kind::Usage, format!("not a request of version {VERSION}: {why}"))
                .help("the agent and the program that asks must be of one version; docs/PROTOCOL.md has the requests")
        };
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if versioned.v != VERSION {
            return Err(wrong(format!("it says version {}", versioned.v)));
        }
        serde_json::from_slice(bytes).map(|line: Line<Self>| line.said).map_err(|error| wrong(error.to_string()))
    }
}

impl Reply {
    /// The answer to a request that came to `result`.
    pub(in crate::agent) fn of<T: Serialize>(result: &Result<T>) -> Self {
        match result.as_ref().map(serde_json::to_value) {
            Ok(Ok(value)) => Self::Result(value),
            Ok(Err(cause)) => Self::error(&Error::new(Kind::Io, "cannot write the answer as JSON").because(cause)),
            Err(error) => Self::error(error),
        }
    }

    pub(in crate::agent) fn error(error: &Error) -> Self {
        let help = error.remedy().map(str::to_owned);
        Self::Error { kind: error.kind(), messages: error.messages(), help }
    }

    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map(|line: Line<Self>| line.said)
            .map_err(|cause| Error::new(Kind::Damaged, "the agent's answer makes no sense").because(cause))
    }
}

fn line<T: Serialize>(said: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&Line { v: VERSION, said }).expect("plain data");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_the_lines_that_are_documented() {
        assert_eq!(Request::Backup.line(), b"{\"v\":1,\"verb\":\"backup\"}\n");
        assert_eq!(Request::parse(b"{\"verb\":\"status\",\"v\":1,\"later\":true}").unwrap(), Request::Status);
        let format = Request::Format { device: "/dev/sdb".into(), name: None, erase_backups: false, ticket: None };
        assert_eq!(Request::parse(b"{\"v\":1,\"verb\":\"format\",\"device\":\"/dev/sdb\"}").unwrap(), format);
        let progress = Reply::Progress { stick: None, event: Event::Progress { done: 7 } };
        let line = b"{\"v\":1,\"progress\":{\"stick\":null,\"event\":{\"event\":\"progress\",\"done\":7}}}\n";
        assert_eq!(progress.line(), line);
        assert_eq!(Reply::parse(line).unwrap(), progress);
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, why) in [
            ("", "EOF"),
            ("{\"v\":2,\"verb\":\"status\"}", "version 2"),
            ("{\"verb\":\"status\"}", "missing field `v`"),
            ("{\"v\":1,\"verb\":\"explode\"}", "unknown variant"),
            ("[1]", "invalid"),
        ] {
            let error = Request::parse(line.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{line}: {error}");
        }
    }
}
