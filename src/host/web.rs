//! HTTPS: whom to trust, how long to wait, and what went wrong in our own words.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::net;
use crate::error::{Context, Error, Kind, Result};

/// Whoever asks servers: trusts the certificates of `ca_file`, else the public ones, waits no longer than `silence` for a
/// sign of life and than `answer` for an answer, and follows nobody elsewhere.
pub fn agent(ca_file: Option<&Path>, silence: Duration, answer: Duration) -> Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = ca_file {
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
    }
    let agent = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(silence))
        .timeout_resolve(Some(silence))
        .timeout_recv_response(Some(answer))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .build();
    Ok(agent.into())
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

/// What went wrong before there was an answer.
pub fn failed(error: ureq::Error) -> Error {
    let text = match error {
        // A reader of ours that was stopped, or a source that is gone, travels through the library.
        ureq::Error::Io(io) => match io.downcast::<Error>() {
            Ok(own) => return own,
            Err(io) => io.to_string(),
        },
        ureq::Error::Timeout(_) => "nothing was heard from it for too long".to_owned(),
        error => error.to_string(),
    };
    let help = net::of_tls(&text);
    let error = Error::new(Kind::Io, text);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}
