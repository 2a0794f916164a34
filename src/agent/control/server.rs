//! The side that is asked. Nothing here blocks: a program that does not read its answers loses its connection.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::protocol::{REQUEST_MAX, Reply, Request};
use crate::error::{Context, Error, Kind, Result};

/// More programs than this are not served at once.
const CLIENTS_MAX: usize = 32;

/// Answers that wait to be read; progress is dropped long before.
const OUTPUT_MAX: usize = 1 << 20;
const PROGRESS_MAX: usize = 64 << 10;

pub(in crate::agent) type ClientId = u64;

/// What a program asked.
pub(in crate::agent) struct Asked {
    pub(in crate::agent) client: ClientId,
    pub(in crate::agent) request: Result<Request>,
}

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The socket and those who are connected to it.
pub(in crate::agent) struct Server {
    path: PathBuf,
    listener: UnixListener,
    clients: BTreeMap<ClientId, Client>,
    next: ClientId,
}

impl Server {
    /// Listens at `path`, for this user and the members of `group`.
    ///
    /// Fails with [`Kind::Busy`] when another agent listens there.
    pub(in crate::agent) fn open(path: &Path, group: Option<&str>) -> Result<Self> {
        let failed = || format!("cannot listen at {path:?}");
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).context(failed)?;
        }
        if UnixStream::connect(path).is_ok() {
            return Err(Error::new(Kind::Busy, format!("another agent listens at {path:?}"))
                .help("only one agent runs on a box: stop the other one"));
        }
        // Left by one that was killed.
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
            fs::remove_file(path).context(failed)?;
        }
        let listener = UnixListener::bind(path).context(failed)?;
        listener.set_nonblocking(true).context(failed)?;
        let mode = match group {
            Some(name) => {
                let group = nix::unistd::Group::from_name(name).ok().flatten().ok_or_else(|| {
                    Error::new(Kind::Config, format!("agent.group is {name:?}, and there is no such group"))
                        .help("`groupadd` makes one; \"none\" lets no other user in")
                })?;
                chown(path, None, Some(group.gid.as_raw())).context(failed)?;
                0o660
            }
            None => 0o600,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).context(failed)?;
        Ok(Self { path: path.to_owned(), listener, clients: BTreeMap::new(), next: 0 })
    }

    /// What to poll, and whether there is something to write to it.
    pub(in crate::agent) fn descriptors(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let clients = self.clients.values().map(|client| (client.stream.as_fd(), !client.output.is_empty()));
        std::iter::once((self.listener.as_fd(), false)).chain(clients).collect()
    }

    /// Takes in what has come and sends out what waits.
    pub(in crate::agent) fn serve(&mut self) -> Vec<Asked> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
                self.clients.insert(self.next, Client { stream, input: Vec::new(), output: Vec::new() });
                self.next += 1;
            }
        }
        let mut asked = Vec::new();
        let mut gone = Vec::new();
        for (id, client) in &mut self.clients {
            if client.read(*id, &mut asked).and_then(|()| client.write()).is_err() {
                gone.push(*id);
            }
        }
        for id in gone {
            self.clients.remove(&id);
        }
        asked
    }

    /// Answers; a program that is gone, or never reads, gets none.
    pub(in crate::agent) fn answer(&mut self, client: ClientId, reply: &Reply) {
        let Some(to) = self.clients.get_mut(&client) else { return };
        let is_progress = matches!(reply, Reply::Progress { .. });
        if is_progress && to.output.len() > PROGRESS_MAX {
            return;
        }
        to.output.extend(reply.line());
        if to.output.len() > OUTPUT_MAX || to.write().is_err() {
            self.clients.remove(&client);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Client {
    fn read(&mut self, id: ClientId, asked: &mut Vec<Asked>) -> io::Result<()> {
        let mut buffer = [0; REQUEST_MAX];
        let ended = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(read) => self.input.extend(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.input.len() > 2 * REQUEST_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            asked.push(Asked { client: id, request: Request::parse(&line) });
        }
        if ended { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
