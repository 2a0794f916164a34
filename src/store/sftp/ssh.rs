//! The connection: SSH with a pinned host key, and the subsystem for files as a plain stream of bytes. What is asynchronous in
//! the library ends here: everything else reads and writes, and waits no longer than the store's timeout.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse, Msg};
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, decode_secret_key,
    parse_public_key_base64,
};
use russh::{ChannelStream, Preferred};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::config::{Login, SftpConfig};
use crate::error::{Context, Error, Kind, Result};
use crate::host::socket::{Patience, Socket};
use crate::host::{net, secret};
use crate::model::Cancel;

/// Host keys that are taken, the best first. RSA is not among them: its crate has an open advisory.
const KEYS: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// What is written at once, in bytes.
const CHUNK: usize = 32 << 10;

/// The stream of the subsystem.
pub(super) struct Ssh {
    /// Here until the end.
    stream: Option<ChannelStream<Msg>>,
    /// Its end is the connection's.
    _session: Handle<Pinned>,
    runtime: Runtime,
    silence: Duration,
    cancel: Cancel,
}

/// The key that the server must have.
enum HostKey {
    Fingerprint(String),
    Key(PublicKey),
}

/// Lets no server but one go on.
struct Pinned {
    key: HostKey,
    /// What was shown instead.
    shown: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> std::result::Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let is_it = match &self.key {
            HostKey::Fingerprint(pinned) => *pinned == fingerprint,
            HostKey::Key(pinned) => pinned.key_data() == key.key_data(),
        };
        if !is_it {
            let told = format!("{fingerprint} ({})", key.algorithm());
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
        Ok(is_it)
    }
}

impl Ssh {
    pub(super) fn open(config: &SftpConfig, cancel: &Cancel) -> Result<Self> {
        let key = host_key(&config.host_key)?;
        let login = Credentials::read(&config.login)?;
        let socket = Socket::connect(&config.host, config.port, config.timeout, cancel)?.into_tcp();
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.context(|| "cannot start what SSH needs".into())?;
        let silence = config.timeout;
        let (session, stream) = runtime.block_on(async {
            let mut session = handshake(config, key, socket, cancel).await?;
            within(silence, cancel, login.authenticate(&mut session, &config.user)).await??;
            let stream = within(silence, cancel, async {
                let channel = session.channel_open_session().await?;
                channel.request_subsystem(true, "sftp").await?;
                Ok(channel.into_stream())
            });
            let stream = stream.await?.map_err(|cause: russh::Error| {
                Error::new(Kind::Io, "the server gives no SFTP to this account").because(cause)
            })?;
            Ok::<_, Error>((session, stream))
        })?;
        Ok(Self { stream: Some(stream), _session: session, runtime, silence, cancel: cancel.clone() })
    }
}

/// Waits for something, but not for ever, and not longer than the run.
async fn within<T>(silence: Duration, cancel: &Cancel, what: impl Future<Output = T>) -> Result<T> {
    let (mut what, mut patience) = (pin!(what), Patience::new(silence, cancel));
    loop {
        let wait = patience.some_more().map_err(|error| match error.downcast::<Error>() {
            Ok(own) => own,
            Err(_) => Error::new(Kind::Io, net::SILENT),
        })?;
        if let Ok(done) = timeout(wait, &mut what).await {
            return Ok(done);
        }
    }
}

async fn handshake(config: &SftpConfig, key: HostKey, socket: TcpStream, cancel: &Cancel) -> Result<Handle<Pinned>> {
    let place = format!("{}:{}", config.host, config.port);
    let keys = match &key {
        HostKey::Key(key) => vec![key.algorithm()],
        HostKey::Fingerprint(_) => KEYS.to_vec(),
    };
    let preferred = Preferred { key: keys.into(), ..Preferred::DEFAULT };
    let settings = client::Config { preferred, nodelay: true, ..client::Config::default() };
    let shown = Arc::new(Mutex::new(None));
    let pinned = Pinned { key, shown: shown.clone() };
    let socket = tokio::net::TcpStream::from_std(socket).context(|| format!("cannot reach {place}"))?;
    match within(config.timeout, cancel, client::connect_stream(Arc::new(settings), socket, pinned)).await? {
        Ok(session) => Ok(session),
        Err(cause) => Err(match shown.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(shown) => {
                Error::new(Kind::Refused, format!("{place} shows the host key {shown}, which is not the pinned one"))
                    .help("ask whoever runs the server; only if that is its key, write its fingerprint into host_key")
            }
            None => Error::new(Kind::Io, format!("no secure connection to {place}"))
                .because(cause)
                .help("the server must offer an Ed25519 or ECDSA host key, of the kind that host_key names"),
        }),
    }
}

/// Reads `host_key` of the configuration.
fn host_key(text: &str) -> Result<HostKey> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Some(fingerprint) = words.iter().find(|word| word.starts_with("SHA256:")) {
        return Ok(HostKey::Fingerprint(fingerprint.trim_end_matches('=').to_owned()));
    }
    let kind = words.iter().position(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-"));
    let encoded = kind.and_then(|at| words.get(at + 1)).copied().unwrap_or_default();
    let key = parse_public_key_base64(encoded).map_err(|cause| {
        Error::new(Kind::Config, "host_key is no public key")
            .because(cause)
            .help("`ssh-keyscan HOST` shows what a server has; compare it with what its administrator says")
    })?;
    match KEYS.contains(&key.algorithm()) {
        true => Ok(HostKey::Key(key)),
        false => Err(Error::new(Kind::Config, format!("host_key is of the kind {}", key.algorithm()))
            .help("name the server's Ed25519 or ECDSA key")),
    }
}

/// What is shown to the server.
enum Credentials {
    Key(PrivateKeyWithHashAlg),
    Password(String),
}

impl Credentials {
    fn read(login: &Login) -> Result<Self> {
        match login {
            Login::Password(at) => secret::read(at).map(Self::Password),
            Login::Key(at) => {
                let key = decode_secret_key(&secret::read(at)?, None).map_err(|cause| {
                    Error::new(Kind::Config, "key_file holds no private key that can be used")
                        .because(cause)
                        .help("make one without a passphrase: ssh-keygen -t ed25519 -N '' -f FILE")
                })?;
                Ok(Self::Key(PrivateKeyWithHashAlg::new(Arc::new(key), None)))
            }
        }
    }

    async fn authenticate(self, session: &mut Handle<Pinned>, user: &str) -> Result<()> {
        let lost = |cause: russh::Error| {
            Error::new(Kind::Io, "the connection broke off at the login")
                .because(cause)
                .help("if it does so each time, the server may not let this user or address in")
        };
        let done = match self {
            Self::Key(key) => match session.authenticate_publickey(user, key).await.map_err(lost)? {
                AuthResult::Success => true,
                // A line that was cut looks like a no that names no other way to log in.
                AuthResult::Failure { remaining_methods, .. }
                    if remaining_methods.is_empty() && session.is_closed() =>
                {
                    return Err(lost(russh::Error::Disconnect));
                }
                AuthResult::Failure { .. } => false,
            },
            Self::Password(password) => {
                match session.authenticate_password(user, &password).await.map_err(lost)? {
                    AuthResult::Success => true,
                    // Many servers ask for the password in a dialogue only.
                    AuthResult::Failure { .. } => dialogue(session, user, &password).await.map_err(lost)?,
                }
            }
        };
        match done {
            true => Ok(()),
            false => Err(Error::new(Kind::Refused, format!("the server does not let {user:?} in")).help(
                "look at user, and at key_file or password_file; its public key must be in authorized_keys there",
            )),
        }
    }
}

/// Answers all that is asked for with the password; a few times at most.
async fn dialogue(session: &mut Handle<Pinned>, user: &str, password: &str) -> std::result::Result<bool, russh::Error> {
    let mut told = session.authenticate_keyboard_interactive_start(user, None).await?;
    for _ in 0..3 {
        let prompts = match told {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        let answers = prompts.iter().map(|_| password.to_owned()).collect();
        told = session.authenticate_keyboard_interactive_respond(answers).await?;
    }
    Ok(matches!(told, KeyboardInteractiveAuthResponse::Success))
}

fn stream(stream: &mut Option<ChannelStream<Msg>>) -> &mut ChannelStream<Msg> {
    stream.as_mut().expect("it is here until the end")
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // Its end is told by a task, which needs a runtime around it.
        let _inside = self.runtime.enter();
        drop(self.stream.take());
    }
}

impl Read for Ssh {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(within(self.silence, &self.cancel, stream(&mut self.stream).read(buffer)))?
    }
}

impl Write for Ssh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        self.runtime.block_on(within(self.silence, &self.cancel, stream(&mut self.stream).write(chunk)))?
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(within(self.silence, &self.cancel, stream(&mut self.stream).flush()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_read_in_each_form() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let fingerprint = "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE";
        for line in [format!("ssh-ed25519 {key}"), format!("[nas]:22 ssh-ed25519 {key} comment")] {
            let HostKey::Key(read) = host_key(&line).unwrap() else { panic!("{line}") };
            assert_eq!(read.fingerprint(HashAlg::Sha256).to_string(), fingerprint);
        }
        assert!(matches!(host_key(fingerprint).unwrap(), HostKey::Fingerprint(text) if text == fingerprint));
        for wrong in ["ssh-ed25519 AAAA", "ssh-ed25519", "", "ecdsa-sha2-nistp256 !"] {
            assert!(host_key(wrong).is_err(), "{wrong}");
        }
    }
}
