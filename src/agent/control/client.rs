//! The side that asks: the command line, for its user.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::protocol::{Reply, Request};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Event, Run};

/// How often a wait for the agent looks whether the user has had enough.
const LISTEN: Duration = Duration::from_millis(200);

/// The longest answer, in bytes.
const REPLY_MAX: usize = 16 << 20;

/// A connection to the running agent.
#[derive(Debug)]
pub struct Connection {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Connects; `None` when no agent is running.
    pub fn open(socket: &Path) -> Result<Option<Self>> {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LISTEN)).context(|| format!("cannot use {socket:?}"))?;
                Ok(Some(Self { socket: socket.to_owned(), stream: BufReader::new(stream) }))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Err(Error::new(Kind::Refused, format!("this user may not talk to the agent at {socket:?}"))
                    .because(error)
                    .help("use the agent's own user, or one of the group that agent.group names"))
            }
            Err(error) => Err(error).context(|| format!("cannot talk to the agent at {socket:?}")),
        }
    }

    /// Asks, hands progress on, and gives the result. When `run` is cancelled it stops listening; the agent goes on.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request, run: &Run) -> Result<T> {
        let failed = || format!("cannot talk to the agent at {:?}", self.socket);
        self.stream.get_mut().write_all(&request.line()).context(failed)?;
        loop {
            match Reply::parse(&self.line(run)?)? {
                Reply::Progress { event, .. } => self.progress(event, run),
                Reply::Result(value) => {
                    return serde_json::from_value(value).map_err(|cause| {
                        Error::new(Kind::Damaged, "the agent's answer makes no sense")
                            .because(cause)
                            .help("the agent and this program must be of one version: restart the agent")
                    });
                }
                Reply::Error { kind, messages, help } => return Err(Error::from_messages(kind, &messages, help)),
            }
        }
    }

    fn progress(&self, event: Event, run: &Run) {
        run.monitor.event(event);
    }

    fn line(&mut self, run: &Run) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            match self.stream.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => return Ok(line),
                Ok(_) => {
                    return Err(Error::new(
                        Kind::Io,
                        format!("the agent at {:?} ended before it answered", self.socket),
                    )
                    .help("`tillstick list` shows whether the backup was made"));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => run.check()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(|| format!("cannot talk to the agent at {:?}", self.socket)),
            }
            if line.len() > REPLY_MAX {
                return Err(Error::new(Kind::Damaged, "the agent's answer has no end"));
            }
        }
    }
}
