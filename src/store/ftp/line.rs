//! The connections: plain ones, and TLS that resumes the session of the control connection on each data connection, as many
//! servers demand.
//!
//! TLS 1.2 alone is spoken: with 1.3 a ticket is good for one connection, and a server that gives no new one refuses the
//! second transfer.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::config::FtpConfig;
use crate::error::{Context, Error, Kind, Result};
use crate::host::net;
use crate::host::socket::Socket;
use crate::model::Cancel;

/// So many sessions are kept for a connection: one is resumed again and again.
const SESSIONS: usize = 8;

/// One connection.
pub(super) enum Line {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// How lines are secured.
#[derive(Clone)]
pub(super) struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Security {
    pub(super) fn new(config: &FtpConfig) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        match &config.ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let pem = fs::read(path).context(|| format!("cannot read ca_file {path:?}"))?;
                let wrong = || Error::new(Kind::Config, format!("{path:?} is no PEM file with certificates"));
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    let added = certificate.map_err(|cause| wrong().because(cause)).map(|der| roots.add(der))?;
                    added.map_err(|cause| wrong().because(cause))?;
                }
                if roots.is_empty() {
                    return Err(wrong());
                }
            }
        }
        let name = ServerName::try_from(config.host.clone()).map_err(|cause| {
            Error::new(Kind::Config, format!("{:?} cannot be the name in a certificate", config.host)).because(cause)
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .map_err(|cause| Error::new(Kind::Io, "cannot set TLS up").because(cause))?;
        Ok(Self { config: Arc::new(client.with_root_certificates(roots).with_no_client_auth()), name })
    }

    /// The same for one control connection and its data: a server that demands resumed sessions wants that one's, and not
    /// those of another connection that is open beside it.
    pub(super) fn of_its_own(&self) -> Self {
        let mut config = (*self.config).clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self { config: Arc::new(config), name: self.name.clone() }
    }
}

impl Line {
    pub(super) fn connect(host: &str, port: u16, silence: Duration, cancel: &Cancel) -> Result<Self> {
        Socket::connect(host, port, silence, cancel).map(Self::Plain)
    }

    /// A connection to one address.
    pub(super) fn to(address: SocketAddr, silence: Duration, cancel: &Cancel) -> io::Result<Self> {
        Socket::to(address, silence, cancel).map(Self::Plain)
    }

    /// The same line with TLS, once the server has shown that it is the right one.
    pub(super) fn secured(self, security: &Security) -> Result<Self> {
        let Self::Plain(mut socket) = self else { return Ok(self) };
        let connection = ClientConnection::new(security.config.clone(), security.name.clone());
        let mut connection = connection.map_err(|cause| Error::new(Kind::Io, "cannot set TLS up").because(cause))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|cause| {
                let help = net::of_tls(&cause.to_string());
                help.into_iter().fold(net::broken("no secure connection", cause), Error::help)
            })?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Where the other end is.
    pub(super) fn peer(&mut self) -> io::Result<IpAddr> {
        Ok(self.socket().peer()?.ip())
    }

    /// Waits longer than usual for something that takes long.
    pub(super) fn wait_for(&mut self, silence: Duration) {
        self.socket().wait_for(silence);
    }

    /// Says that no more comes, and waits until that was heard.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock)?;
            }
        }
        self.socket().no_more()?;
        // A socket that is closed with something unread in it is reset, and what was sent last may be lost with that.
        let mut rest = [0; 256];
        while matches!(self.socket().read(&mut rest), Ok(1..)) {}
        Ok(())
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => match stream.read(buffer) {
                // Many servers end TLS without its farewell; whoever reads knows how much must come.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
