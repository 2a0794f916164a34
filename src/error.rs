//! What went wrong: doing what, to what, why, and what helps.
//!
//! A message is lower case, one line, names the object and ends without a period; causes follow one to a line.
//! The kind decides the exit code and, on the box, the signal and whether to try again. Nothing here prints.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was: decides what the program does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The command line asked for something that makes no sense.
    Usage,
    /// The configuration is wrong; nothing was started.
    Config,
    /// The object is not there.
    Missing,
    /// Somebody else holds the object; trying again later may help.
    Busy,
    /// Not enough room for what was to be written.
    NoSpace,
    /// Policy says no: a wrong stick, another box's stick, a hostile dump.
    Refused,
    /// The content is not what it must be: truncated, changed, not a database.
    Damaged,
    /// It is encrypted, and none of the keys at hand opens it.
    Sealed,
    /// Somebody pressed Ctrl-C or stopped the service.
    Cancelled,
    /// Some of the copies were made and some were not.
    Partly,
    /// The operating system or a library said no.
    Io,
}

/// One failure, with the chain of its causes.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    help: Option<String>,
    #[source]
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message` says what was being done, to what, and why it failed.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, cause: None }
    }

    /// Adds the error that caused this one.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what the reader can do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What sort of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the reader can do about it: of this error, else of the nearest cause that knows.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref().or_else(|| {
            let cause = self.cause.as_deref()?;
            // One that travelled through an `io::Error` still knows.
            let carried = cause.downcast_ref::<io::Error>().and_then(|io| io.get_ref()?.downcast_ref::<Error>());
            cause.downcast_ref::<Error>().or(carried)?.remedy()
        })
    }

    /// What is needed to make this error again in another process: its message and those of its causes, outermost first.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = vec![self.message.clone()];
        let mut cause = self.source();
        while let Some(error) = cause {
            messages.push(error.to_string());
            cause = error.source();
        }
        messages
    }

    /// An error of another process, from its [`messages`](Self::messages) and its remedy.
    pub fn from_messages(kind: Kind, messages: &[String], help: Option<String>) -> Self {
        let mut causes = messages.iter().rev();
        let mut error = Self::new(kind, causes.next().cloned().unwrap_or_default());
        error.help = help;
        causes.fold(error, |cause, message| Self::new(kind, message).because(cause))
    }

    /// The whole report: the message, ` -> cause` lines, and ` help:` when there is a remedy.
    pub fn report(&self) -> String {
        let mut out = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(out, "\n -> {error}");
            cause = error.source();
        }
        if let Some(help) = self.remedy() {
            let _ = write!(out, "\n help: {help}");
        }
        out
    }
}

/// Gives foreign errors their place in the chain.
pub trait Context<T> {
    /// Wraps the error: `message` says what was being done and to what.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(kind_of(&cause), message()).because(cause))
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(io::Error::from).context(message)
    }
}

impl<T> Context<T> for Result<T> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(cause.kind, message()).because(cause))
    }
}

fn kind_of(error: &io::Error) -> Kind {
    // An `Error` may travel through an `io::Error` (a reader that was cancelled): its kind stays.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return inner.kind;
    }
    match error.kind() {
        io::ErrorKind::NotFound => Kind::Missing,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Kind::NoSpace,
        io::ErrorKind::ResourceBusy => Kind::Busy,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Kind::Damaged,
        _ => Kind::Io,
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_cause_and_the_nearest_remedy() {
        let low = io::Error::from_raw_os_error(libc::ENOSPC);
        let mid: Result<()> = Err(low).context(|| "write `a.part`".into()).map_err(|e| e.help("free 3 MB"));
        let top = mid.context(|| "back up source `kasse`".to_owned()).unwrap_err();
        assert_eq!(top.kind(), Kind::NoSpace);
        assert_eq!(
            top.report(),
            "back up source `kasse`\n -> write `a.part`\n -> No space left on device (os error 28)\n help: free 3 MB"
        );
    }

    #[test]
    fn an_error_of_another_process_reads_as_it_did_there() {
        let low = io::Error::from_raw_os_error(libc::ENOSPC);
        let mid: Result<()> = Err(low).context(|| "write `a.part`".into()).map_err(|e| e.help("free 3 MB"));
        let error = mid.context(|| "back up source `kasse`".to_owned()).unwrap_err();
        let copy = Error::from_messages(error.kind(), &error.messages(), error.remedy().map(str::to_owned));
        assert_eq!((copy.kind(), copy.report()), (error.kind(), error.report()));
    }

    #[test]
    fn kind_and_remedy_survive_a_trip_through_io_error() {
        let io: io::Error = Error::new(Kind::Cancelled, "cancelled").help("start it again").into();
        let back: Result<()> = Err(io).context(|| "read".into());
        let error = back.unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (Kind::Cancelled, Some("start it again")));
    }
}
