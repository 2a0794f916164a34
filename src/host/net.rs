//! What goes wrong on every line, in words that help.

#[cfg(feature = "ftp")]
use std::io;

#[cfg(feature = "ftp")]
use crate::error::{Error, Kind};

/// What helps when nobody answers at all.
pub const NOBODY_THERE: &str = "look whether the address is right, the server is up, and this box has a network";

/// What helps when a certificate is not taken, for this reason in the TLS library's words.
pub fn of_tls(text: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if has(&["NotValidYet", "not valid yet", "Expired", "expired"]) => {
            Some("is the clock of this box right? By it the certificate of the service is not valid")
        }
        () if has(&["NotValidForName", "not valid for name"]) => {
            Some("the certificate is of another host: look at the host or endpoint, and at path_style")
        }
        () if has(&["UnknownIssuer", "certificate"]) => {
            Some("the service's certificate is of nobody who is trusted: set ca_file for a CA of your own")
        }
        () => None,
    }
}

/// What is said of a server from which nothing is heard.
pub const SILENT: &str = "nothing was heard from it for too long";

/// What happened on a line: `message` in front of it, unless the run was asked to end.
#[cfg(feature = "ftp")]
pub fn broken(message: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Error::new(Kind::Io, format!("{message}: {SILENT}")),
        Err(error) => Error::new(Kind::Io, format!("{message}: {error}")),
    }
}
