//! Requests: signed, sent, and answers that are errors told in our own words.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, SendBody};

use super::sign::{EMPTY, Request, Signer, encode, hex};
use super::xml;
use crate::config::{S3Config, SecretAt};
use crate::error::{Context, Error, Kind, Result};
use crate::host::secret;

/// How long a line may be silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
/// Putting the parts of a large upload together takes a service a while.
const ANSWER: Duration = Duration::from_secs(300);
/// Lists and errors are not longer, in bytes.
const TEXT_MAX: u64 = 16 << 20;

/// What can be asked of one bucket; cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    agent: Agent,
    signer: Arc<Signer>,
    scheme: &'static str,
    host: String,
    /// The first part of each path: the bucket, unless it is part of the host.
    root: String,
    place: String,
}

/// What is sent.
pub(super) enum Body<'b> {
    None,
    Bytes(&'b [u8]),
    Stream { reader: &'b mut dyn Read, size: u64, sha256: &'b str },
}

/// What came back, and is no error.
pub(super) struct Answer(Response<ureq::Body>);

impl Http {
    pub(super) fn new(config: &S3Config) -> Result<Self> {
        let secret_key = match &config.secret_key_file {
            SecretAt::File(path) => secret::of_file(path)?,
            SecretAt::Credential(name) => secret::of_credential(name)?,
        };
        let (scheme, host) = match config.endpoint.strip_prefix("http://") {
            Some(host) => ("http", host.strip_suffix(":80").unwrap_or(host)),
            None => ("https", config.endpoint.trim_start_matches("https://")),
        };
        let host = host.strip_suffix(":443").filter(|_| scheme == "https").unwrap_or(host);
        let (host, root) = match config.path_style {
            true => (host.to_owned(), format!("/{}", config.bucket)),
            false => (format!("{}.{host}", config.bucket), String::new()),
        };
        let signer = Signer { access_key: config.access_key.clone(), secret_key, region: config.region.clone() };
        let place = format!("{} of {}", config.bucket, config.endpoint);
        Ok(Self { agent: agent(config)?, signer: Arc::new(signer), scheme, host, root, place })
    }

    /// Sends a request for `key`, or for the bucket when it is empty. Names in `query` and `headers` must be sorted.
    pub(super) fn ask(
        &self,
        method: &'static str,
        key: &str,
        query: &[(&str, String)],
        headers: &[(&'static str, String)],
        body: Body<'_>,
    ) -> Result<Answer> {
        let path = encode(&format!("{}/{key}", self.root), true);
        let mut query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value, false))).collect();
        query.sort();
        let query = query.join("&");
        let bytes_hash;
        let sha256 = match &body {
            Body::None => EMPTY,
            Body::Bytes(bytes) => {
                bytes_hash = hex(&Sha256::digest(bytes));
                &bytes_hash
            }
            Body::Stream { sha256, .. } => sha256,
        };
        let request = Request { method, host: &self.host, path: &path, query: &query, headers, sha256 };
        let signed = self.signer.sign(&request, Timestamp::now());
        let url = format!("{}://{}{path}{}{query}", self.scheme, self.host, if query.is_empty() { "" } else { "?" });
        let answer = self.send(method, &url, &signed, body);
        let answer =
            answer.map_err(|error| self.failed(error)).context(|| format!("cannot reach the bucket {}", self.place))?;
        match answer.status().as_u16() {
            200..=299 => Ok(Answer(answer)),
            status => Err(self.refused(status, Answer(answer), key)),
        }
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, String)],
        body: Body<'_>,
    ) -> std::result::Result<Response<ureq::Body>, ureq::Error> {
        match body {
            Body::None if method != "POST" => {
                let mut request = match method {
                    "HEAD" => self.agent.head(url),
                    "DELETE" => self.agent.delete(url),
                    _ => self.agent.get(url),
                };
                for (name, value) in headers {
                    request = request.header(*name, value);
                }
                request.call()
            }
            body => {
                let mut request = if method == "POST" { self.agent.post(url) } else { self.agent.put(url) };
                for (name, value) in headers {
                    request = request.header(*name, value);
                }
                match body {
                    Body::None => request.send(&[][..]),
                    Body::Bytes(bytes) => request.send(bytes),
                    Body::Stream { reader, size, .. } => request
                        .header("content-length", size.to_string())
                        .send(SendBody::from_reader(&mut Sending(reader))),
                }
            }
        }
    }

    fn failed(&self, error: ureq::Error) -> Error {
        let text = error.to_string();
        let told = match error {
            // A reader of ours that was stopped, or a source that is gone, travels through the library.
            ureq::Error::Io(io) => match io.downcast::<Error>() {
                Ok(own) => return own,
                Err(io) => Error::new(Kind::Io, text.clone()).because(io),
            },
            _ => Error::new(Kind::Io, text.clone()),
        };
        let clock = ["NotValidYet", "not valid yet", "Expired", "expired"].iter().any(|word| text.contains(word));
        match (clock, text.contains("UnknownIssuer") || text.contains("certificate")) {
            (true, _) => told.help("is the clock of this box right? By it the certificate of the service is not valid"),
            (false, true) => {
                told.help("the service's certificate is of nobody who is trusted: set ca_file for a CA of your own")
            }
            (false, false) => told,
        }
    }

    fn refused(&self, status: u16, answer: Answer, key: &str) -> Error {
        let text = answer.text().unwrap_or_default();
        let code = xml::text(&text, "Code").unwrap_or_default();
        let said = xml::text(&text, "Message").map_or(String::new(), |said| format!(": {said}"));
        let what = format!("the bucket {} answers {status} {code}{said} for {key:?}", self.place);
        match (status, code.as_str()) {
            (_, "RequestTimeTooSkewed") => {
                Error::new(Kind::Io, what).help("the clock of this box is wrong: set it, and see that it stays right")
            }
            (_, "NoSuchBucket") => Error::new(Kind::Config, what).help("make the bucket, or name the right one"),
            (404, _) => Error::new(Kind::Missing, what),
            (_, "QuotaExceeded") | (507, _) => {
                Error::new(Kind::NoSpace, what).help("the service has no more room for you")
            }
            (401 | 403, _) => Error::new(Kind::Refused, what)
                .help("look at access_key, secret_key_file, region, and at what this key may do in the bucket"),
            (400, "XAmzContentSHA256Mismatch" | "BadDigest") => {
                Error::new(Kind::Io, what).help("the content was changed on its way; it is tried again")
            }
            _ => Error::new(Kind::Io, what),
        }
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    pub(super) fn text(self) -> Result<String> {
        let bytes = self.bytes(TEXT_MAX)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn bytes(self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.0.into_body().into_reader().take(limit + 1);
        reader.read_to_end(&mut bytes).context(|| "the answer of the service broke off".into())?;
        match bytes.len() as u64 <= limit {
            true => Ok(bytes),
            false => Err(Error::new(Kind::Damaged, format!("the answer of the service is longer than {limit} bytes"))),
        }
    }
}

/// Gives a borrowed reader the size that the library wants.
struct Sending<'b>(&'b mut dyn Read);

impl Read for Sending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

fn agent(config: &S3Config) -> Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &config.ca_file {
        let pem = fs::read(path).context(|| format!("cannot read ca_file {path:?}"))?;
        let items: std::result::Result<Vec<PemItem>, _> = parse_pem(&pem).collect();
        let items =
            items.map_err(|cause| Error::new(Kind::Config, format!("{path:?} is no PEM file")).because(cause))?;
        let certs: Vec<Certificate<'static>> = items
            .into_iter()
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        if certs.is_empty() {
            return Err(Error::new(Kind::Config, format!("{path:?} holds no certificate")));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certs));
    }
    let agent = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(CONNECT))
        .timeout_recv_response(Some(ANSWER))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .build();
    Ok(agent.into())
}
