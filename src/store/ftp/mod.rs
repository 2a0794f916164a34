//! A folder of an FTP server, with TLS unless the configuration says that there is none.

mod control;
mod line;
mod list;

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::upload::{Files, Uploads, Written};
use super::{Entry, Store};
use crate::config::{FtpConfig, FtpTls};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{net, secret};
use crate::model::Cancel;
use control::{BROKE_OFF, Control, Transfer};
use line::{Line, Security};

/// What is written at once, in bytes.
const PIECE: usize = 64 << 10;

/// How long the end of a transfer that was stopped is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Who makes connections, and the one that nobody uses at the moment.
struct Server {
    config: FtpConfig,
    security: Option<Security>,
    password: String,
    cancel: Cancel,
    idle: Mutex<Option<Control>>,
}

#[derive(Clone)]
struct Ftp {
    server: Arc<Server>,
    root: String,
    medium: String,
}

/// Connects and logs in.
pub(super) fn open(config: &FtpConfig, pace: Option<u64>, cancel: &Cancel) -> Result<Box<dyn Store>> {
    let FtpConfig { host, port, user, path, .. } = config;
    let medium = format!("ftp://{user}@{host}:{port}/{}", path.trim_start_matches('/'));
    let security = match config.tls {
        FtpTls::None => None,
        FtpTls::Explicit | FtpTls::Implicit => Some(Security::new(config)?),
    };
    let password = secret::read(&config.password_file)?;
    let server =
        Arc::new(Server { config: config.clone(), security, password, cancel: cancel.clone(), idle: Mutex::new(None) });
    let mut control = server.take()?;
    let root = match path.as_str() {
        "." => control.home.clone(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{}/{path}", control.home.trim_end_matches('/')),
    };
    if control.command(&format!("CWD {root}"))?.code >= 400 {
        return Err(Error::new(Kind::Missing, format!("there is no folder {path:?} on the server"))
            .help("make it there, or name the right one with `path`; is its disk mounted?"));
    }
    server.give_back(control);
    Ok(Box::new(Uploads { files: Ftp { server, root, medium }, pace }))
}

impl Server {
    /// The connection that is idle, else a new one.
    fn take(&self) -> Result<Control> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn connect(&self) -> Result<Control> {
        let security = self.security.as_ref().map(Security::of_its_own);
        let opened = Control::open(&self.config, security.as_ref(), &self.password, &self.cancel);
        opened.context(|| format!("cannot log in at {}", self.config.host))
    }

    fn give_back(&self, control: Control) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(control);
    }
}

/// What the server said no to leaves the connection as it is; anything else makes an end of it.
fn is_spoilt(error: &Error) -> bool {
    matches!(error.kind(), Kind::Io | Kind::Damaged | Kind::Busy | Kind::Cancelled)
}

impl Ftp {
    fn at(&self, path: &str) -> String {
        match (self.root.trim_end_matches('/'), path) {
            ("", "") => "/".to_owned(),
            (root, "") => root.to_owned(),
            (root, path) => format!("{root}/{path}"),
        }
    }

    /// Does something on a connection.
    fn with<T>(&self, work: impl FnOnce(&mut Control) -> Result<T>) -> Result<T> {
        let mut control = self.server.take()?;
        let done = work(&mut control);
        if !done.as_ref().is_err_and(is_spoilt) {
            self.server.give_back(control);
        }
        done
    }

    /// Makes the folder `dir` of the store, and those above it but the store's own.
    fn make_dirs(&self, control: &mut Control, dir: &str) -> Result<()> {
        if dir.is_empty() || control.command(&format!("CWD {}", self.at(dir)))?.code < 400 {
            return Ok(());
        }
        self.make_dirs(control, dir.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        let made = control.command(&format!("MKD {}", self.at(dir)))?;
        // Somebody may have been faster.
        if made.code >= 400 && control.command(&format!("CWD {}", self.at(dir)))?.code >= 400 {
            return Err(made.refusal()).context(|| format!("cannot make the folder {dir:?}"));
        }
        Ok(())
    }

    fn upload(&self, control: &mut Control, path: &str, from: u64, content: &mut dyn Read) -> Result<Written> {
        let store = format!("STOR {}", self.at(path));
        let mut line = match control.transfer_from(&store, from) {
            Err(error) if from == 0 && matches!(error.kind(), Kind::Missing | Kind::Refused) => {
                self.make_dirs(control, path.rsplit_once('/').map_or("", |(dir, _)| dir))?;
                control.transfer(&store)?
            }
            Ok(Transfer::Begun(line)) => line,
            Ok(Transfer::OnlyWhole(why)) => {
                log::info!("{path} is sent anew: {why}");
                return Ok(Written::Nothing);
            }
            Err(error) => return Err(error),
        };
        let mut piece = vec![0; PIECE];
        loop {
            let read = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                // Stopped: what is under way is to arrive, so that the next put goes on behind it.
                Err(cause) => {
                    line.wait_for(FAREWELL);
                    let _ = line.finish().map(|()| control.reply());
                    return Err(cause).context(|| "cannot read what is to be sent".into());
                }
            };
            if let Err(cause) = line.write_all(&piece[..read]) {
                return Err(broke_off(control, cause));
            }
        }
        if let Err(cause) = line.finish() {
            return Err(broke_off(control, cause));
        }
        control.reply()?.good().map(|_| Written::All)
    }
}

/// A server that ends a transfer, because its disk is full say, tells so on the control connection.
fn broke_off(control: &mut Control, cause: io::Error) -> Error {
    match control.reply() {
        Ok(reply) if reply.code >= 400 => reply.refusal(),
        _ => net::broken(BROKE_OFF, cause),
    }
}

/// A transfer from the server without its first bytes.
fn skipped(mut line: Line, bytes: u64) -> Result<Line> {
    io::copy(&mut (&mut line).take(bytes), &mut io::sink()).map_err(|error| net::broken(BROKE_OFF, error))?;
    Ok(line)
}

/// What the server says of a transfer from it once all has come; many wait with that until they hear our farewell.
fn after_all(control: &mut Control, line: Line) -> Result<()> {
    // It may be gone already, and that is fine.
    let _ = line.finish();
    control.reply()?.good().map(|_| ())
}

/// The size of a file, as the server tells it.
fn size_of(control: &mut Control, at: &str) -> Result<Option<u64>> {
    let reply = control.command(&format!("SIZE {at}"))?;
    match reply.code {
        213 => Ok(reply.text.trim().parse().ok()),
        550 => Ok(None),
        _ => Err(reply.refusal()),
    }
}

impl Files for Ftp {
    fn medium(&self) -> &str {
        &self.medium
    }

    fn label(&self) -> String {
        self.medium.clone()
    }

    fn size(&mut self, path: &str) -> Result<Option<u64>> {
        self.with(|control| size_of(control, &self.at(path))).context(|| format!("cannot look at {path:?}"))
    }

    fn sha256(&mut self, path: &str) -> Result<Option<String>> {
        let at = self.at(path);
        self.with(|control| {
            let reply = if control.has_with("HASH", "SHA-256") {
                control.ask("OPTS HASH SHA-256")?;
                control.command_that_takes_long(&format!("HASH {at}"))?
            } else if control.has("XSHA256") {
                control.command_that_takes_long(&format!("XSHA256 {at}"))?
            } else {
                return Ok(None);
            };
            let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            Ok(reply.text.split_whitespace().find(is_hash).map(str::to_lowercase))
        })
    }

    fn write(&mut self, path: &str, from: u64, content: &mut dyn Read) -> Result<Written> {
        self.with(|control| self.upload(control, path, from, content))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        self.with(|control| {
            control.ask(&format!("RNFR {from}"))?;
            if control.command(&format!("RNTO {to}"))?.code < 400 {
                return Ok(());
            }
            // Some servers take no name that is taken: the old one goes first.
            control.command(&format!("DELE {to}"))?;
            control.ask(&format!("RNFR {from}"))?;
            control.ask(&format!("RNTO {to}")).map(|_| ())
        })
    }

    fn open(&mut self, path: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let at = self.at(path);
        let doing = || format!("cannot open {path:?}");
        let mut control = self.server.take()?;
        let begun = size_of(&mut control, &at).and_then(|size| {
            let size = size.ok_or_else(|| Error::new(Kind::Missing, format!("there is no {path:?} on the server")))?;
            let retrieve = format!("RETR {at}");
            let line = match control.transfer_from(&retrieve, from)? {
                Transfer::Begun(line) => line,
                Transfer::OnlyWhole(_) => skipped(control.transfer(&retrieve)?, from)?,
            };
            Ok((size.saturating_sub(from), line))
        });
        match begun {
            Ok((left, line)) => {
                Ok(Box::new(Reader { server: self.server.clone(), under_way: Some((control, line)), left }))
            }
            Err(error) => {
                if !is_spoilt(&error) {
                    self.server.give_back(control);
                }
                Err(error).context(doing)
            }
        }
    }

    fn list_all(&mut self, dir: &str) -> Result<Vec<Entry>> {
        let at = self.at(dir);
        let listed = self.with(|control| {
            if let Err(error) = control.ask(&format!("CWD {at}")) {
                return match error.kind() {
                    Kind::Missing if !dir.is_empty() => Ok(Vec::new()),
                    _ => Err(error),
                };
            }
            let by_machine = control.has("MLST") || control.has("MLSD");
            let mut line = control.transfer(if by_machine { "MLSD" } else { "LIST" })?;
            let mut bytes = Vec::new();
            line.read_to_end(&mut bytes).context(|| "the list broke off".into())?;
            after_all(control, line)?;
            // Names that are no UTF-8 are not ours.
            let text = String::from_utf8_lossy(&bytes);
            let read = if by_machine { list::machine } else { list::human };
            Ok(text.lines().filter_map(read).collect())
        });
        listed.context(|| format!("cannot look into {dir:?}"))
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        let at = self.at(path);
        self.with(|control| {
            let reply = control.command(&format!("DELE {at}"))?;
            match reply.code >= 400 && size_of(control, &at)?.is_some() {
                true => Err(reply.refusal()).context(|| format!("cannot remove {path:?}")),
                false => Ok(()),
            }
        })
    }

    fn delete_empty(&mut self, dir: &str) -> Result<()> {
        let at = self.at(dir);
        self.with(|control| {
            // Not from within.
            control.command("CWD /")?;
            let reply = control.command(&format!("RMD {at}"))?;
            match reply.code >= 400 && control.command(&format!("CWD {at}"))?.code < 400 {
                true => Err(reply.refusal()).context(|| format!("cannot remove {dir:?}")),
                false => Ok(()),
            }
        })
    }

    fn free(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// A file that comes. Its connection is nobody else's until all of it has come.
struct Reader {
    server: Arc<Server>,
    under_way: Option<(Control, Line)>,
    left: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((_, line)) = &mut self.under_way else { return Ok(0) };
        let read = line.read(buffer).map_err(|error| net::broken(BROKE_OFF, error))?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && !buffer.is_empty() {
            if self.left > 0 {
                let why = format!("the file on the server ends {} bytes before its end", self.left);
                return Err(Error::new(Kind::Io, why).into());
            }
            if let Some((mut control, line)) = self.under_way.take() {
                after_all(&mut control, line)?;
                self.server.give_back(control);
            }
        }
        Ok(read)
    }
}
