//! How HTTP travels: by a [`Socket`], so that it waits no longer than the run. The library calls this part of it unversioned:
//! a newer one may want another shape here.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout, config::Config};

use super::socket::{Socket, beside};
use crate::model::Cancel;

/// Finds the addresses of names.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) cancel: Cancel,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (uri, config) = (uri.clone(), config.clone());
        let found = beside(&self.cancel, move || {
            DefaultResolver::default().resolve(&uri, &config, timeout).map_err(Error::into_io)
        });
        Ok(found?)
    }
}

/// Connects to servers, unless something before it has.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) silence: Duration,
    pub(super) cancel: Cancel,
}

impl<In: Transport> Connector<In> for Connect {
    type Out = Either<In, Wire>;

    fn connect(&self, details: &ConnectionDetails, before: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(before) = before {
            return Ok(Some(Either::A(before)));
        }
        let mut failed = Error::HostNotFound;
        for address in &details.addrs {
            match self.to(*address) {
                Ok(socket) => {
                    let config = details.config;
                    let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Either::B(Wire { socket, buffers })));
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Connect {
    fn to(&self, address: SocketAddr) -> Result<Socket, Error> {
        Socket::to(address, self.silence, &self.cancel).map_err(|error| in_words_of_http(error, Timeout::Connect))
    }
}

/// A connection with what the library wants to keep with it.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    buffers: LazyBuffers,
}

impl Wire {
    fn wait_for(&mut self, timeout: &NextTimeout) {
        if let Some(silence) = timeout.not_zero() {
            self.socket.wait_for(*silence);
        }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.wait_for(&timeout);
        let sent = self.socket.write_all(&self.buffers.output()[..amount]);
        sent.map_err(|error| in_words_of_http(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.wait_for(&timeout);
        let read = io::Read::read(&mut self.socket, self.buffers.input_append_buf());
        let read = read.map_err(|error| in_words_of_http(error, timeout.reason))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.socket.is_quiet()
    }
}

fn in_words_of_http(error: io::Error, waiting: Timeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(waiting),
        _ => Error::Io(error),
    }
}
