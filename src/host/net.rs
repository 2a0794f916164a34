//! What goes wrong on every line, in words that help.

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

/// What happened on a line; silence has another name in each system.
#[cfg(feature = "ftp")]
pub fn said(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing was heard from it for too long".to_owned(),
        _ => error.to_string(),
    }
}
