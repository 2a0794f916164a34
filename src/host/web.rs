//! HTTPS: whom to trust, how long to wait, and what went wrong in our own words.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};

use super::net;
use super::transport::{Connect, Names};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Cancel;

/// Whoever asks servers: trusts the certificates of `ca_file`, else the public ones, waits no longer than `silence` for a
/// sign of life and than `answer` for an answer, not longer than the run that `cancel` ends, and follows nobody elsewhere.
pub fn agent(ca_file: Option<&Path>, silence: Duration, answer: Duration, cancel: &Cancel) -> Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = ca_file {
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
    }
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(silence))
        .timeout_resolve(Some(silence))
        .timeout_recv_response(Some(answer))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .build();
    let connect = ConnectProxyConnector::default()
        .chain(Connect { silence, cancel: cancel.clone() })
        .chain(RustlsConnector::default());
    Ok(Agent::with_parts(config, connect, Names { cancel: cancel.clone() }))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = fs::read(path).context(|| format!("cannot read ca_file {path:?}"))?;
    let items: std::result::Result<Vec<PemItem>, _> = parse_pem(&pem).collect();
    let items = items.map_err(|cause| Error::new(Kind::Config, format!("{path:?} is no PEM file")).because(cause))?;
    let certs: Vec<Certificate<'static>> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    match certs.is_empty() {
        true => Err(Error::new(Kind::Config, format!("{path:?} holds no certificate"))),
        false => Ok(certs),
    }
}

/// How long [`post`] waits for a sign of life, and for an answer.
const SILENCE: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// Posts something to a URL that is as good as a password: no message has more of it than its host.
pub fn post(url: &str, ca_file: Option<&Path>, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Error::new(Kind::Config, "the file with the URL holds none").help("write https://... into it"));
    }
    let mut request = agent(ca_file, SILENCE, ANSWER, &Cancel::default())?.post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send(body).map_err(failed).context(|| format!("cannot tell {}", host_of(url)))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(Error::new(Kind::Refused, format!("{} answers {status}", host_of(url)))
            .help("look at the URL in the file: it may be an old one")),
    }
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit('@').next().unwrap_or_default()
}

/// What went wrong before there was an answer.
pub fn failed(error: ureq::Error) -> Error {
    let is_there = match &error {
        ureq::Error::Io(io) => !matches!(
            io.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        ),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => false,
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => false,
        _ => true,
    };
    let text = match error {
        // A reader of ours that was stopped, or a source that is gone, travels through the library.
        ureq::Error::Io(io) => match io.downcast::<Error>() {
            Ok(own) => return own,
            Err(io) => io.to_string(),
        },
        ureq::Error::Timeout(_) => net::SILENT.to_owned(),
        error => error.to_string(),
    };
    let help = net::of_tls(&text).or((!is_there).then_some(net::NOBODY_THERE));
    let error = Error::new(Kind::Io, text);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}
