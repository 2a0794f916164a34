//! Requests: signed, sent, and answers that are errors told in our own words.

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, SendBody};

use super::sign::{EMPTY, Request, Signer, encode, hex};
use super::xml;
use crate::config::S3Config;
use crate::error::{Context, Error, Kind, Result};
use crate::host::{secret, web};
use crate::model::Cancel;

/// Putting the parts of a large upload together takes a service longer than anything else: so many times the longest silence.
const ANSWER: u32 = 5;
/// Lists and errors are not longer, in bytes.
const TEXT_MAX: u64 = 16 << 20;
/// How often a request is made in all when the service has no time for it, and how long is waited before the second one.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// A clock that is off by more is no longer believed by services.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The header that asks for some bytes of an object.
pub(super) const RANGE: &str = "range";
/// The header that lets a service store only what is not there yet.
pub(super) const IF_NONE_MATCH: &str = "if-none-match";

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

/// What is sent; a stream is opened anew for each try.
#[derive(Clone, Copy)]
pub(super) enum Body<'b> {
    None,
    Bytes(&'b [u8]),
    Stream { open: &'b dyn Fn() -> Result<Box<dyn Read + Send + 'b>>, size: u64, sha256: &'b str },
}

/// What came back, and is no error.
pub(super) struct Answer(Response<ureq::Body>);

impl Http {
    pub(super) fn new(config: &S3Config, cancel: &Cancel) -> Result<Self> {
        let secret_key = secret::read(&config.secret_key_file)?;
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
        Ok(Self {
            agent: web::agent(config.ca_file.as_deref(), config.timeout, config.timeout * ANSWER, cancel)?,
            signer: Arc::new(signer),
            scheme,
            host,
            root,
            place,
        })
    }

    /// Sends a request for `key`, or for the bucket when it is empty, again and again while the service has no time for it.
    pub(super) fn ask(
        &self,
        method: &'static str,
        key: &str,
        query: &[(&str, String)],
        headers: &[(&'static str, String)],
        body: Body<'_>,
    ) -> Result<Answer> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(method, key, query, headers, body) {
                Err(error) if error.kind() == Kind::Busy => thread::sleep(pause),
                answer => return answer,
            }
            pause *= 2;
        }
        self.once(method, key, query, headers, body)
    }

    fn once(
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
        let answer = self.send(method, &url, &signed, body).context(|| format!("cannot reach {}", self.place))?;
        match answer.status().as_u16() {
            200..=299 => Ok(Answer(answer)),
            // So many bytes are not there: an answer to whoever asks for a range.
            416 if has(headers, RANGE) => Ok(Answer(answer)),
            // Something is there, or the service knows no such condition: told to whoever made one.
            412 | 501 if has(headers, IF_NONE_MATCH) => Ok(Answer(answer)),
            status => Err(self.refused(status, Answer(answer), key)),
        }
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, String)],
        body: Body<'_>,
    ) -> Result<Response<ureq::Body>> {
        let answer = match body {
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
                    Body::Stream { open, size, .. } => {
                        request.header("content-length", size.to_string()).send(SendBody::from_reader(&mut open()?))
                    }
                }
            }
        };
        answer.map_err(web::failed)
    }

    fn refused(&self, status: u16, answer: Answer, key: &str) -> Error {
        let skew = answer.header("date").and_then(|date| skew(&date, Timestamp::now()));
        let text = answer.text().unwrap_or_default();
        let code = xml::text(&text, "Code").unwrap_or_default();
        let said = xml::text(&text, "Message").filter(|said| !said.is_empty());
        let said = said.map_or(String::new(), |said| format!(": {said}"));
        let of = if key.is_empty() { String::new() } else { format!(" of {key:?}") };
        let what = format!("{} answers {status} {code}{said}{of}", self.place).replace(" :", ":");
        let (kind, help) = match (status, code.as_str()) {
            (403, "RequestTimeTooSkewed") => (Kind::Io, Some(CLOCK)),
            // The answer to HEAD has no text, but the time of whoever gave it.
            (401 | 403, _) if skew.is_some_and(|skew| skew.abs() > SKEW) => (Kind::Io, Some(CLOCK)),
            (_, "NoSuchBucket") => (Kind::Config, Some("make the bucket, or name the right one")),
            (404, _) => (Kind::Missing, None),
            (_, "QuotaExceeded") | (507, _) => (Kind::NoSpace, Some("the service has no more room for you")),
            (401 | 403, _) => (
                Kind::Refused,
                Some("look at access_key, secret_key_file and region, and at what this key may do in the bucket"),
            ),
            (300..=399, _) | (400, "AuthorizationHeaderMalformed") => {
                (Kind::Config, Some("the bucket is elsewhere: look at endpoint, region and path_style"))
            }
            (400, "XAmzContentSHA256Mismatch" | "BadDigest" | "InvalidDigest") => {
                (Kind::Io, Some("the content was changed on its way; it is tried again"))
            }
            (412, _) => (Kind::Io, Some("somebody changed it while it was read; it is tried again")),
            (409, "ConditionalRequestConflict") => (Kind::Busy, Some("somebody else writes there; it is tried again")),
            (429 | 500 | 502 | 503 | 504, _) => (Kind::Busy, Some("the service has no time; it is tried again")),
            _ => (Kind::Io, None),
        };
        let error = Error::new(kind, what);
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

fn has(headers: &[(&'static str, String)], wanted: &str) -> bool {
    headers.iter().any(|(name, _)| *name == wanted)
}

const CLOCK: &str = "the clock of this box is wrong: set it, and see that it stays right";

/// By how much our clock is ahead of the one of the service.
fn skew(date: &str, now: Timestamp) -> Option<SignedDuration> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(now.duration_since(theirs))
}

impl Answer {
    /// Whether the object ends before the range that was asked for.
    pub(super) fn is_out_of_range(&self) -> bool {
        self.0.status() == StatusCode::RANGE_NOT_SATISFIABLE
    }

    /// Whether nothing was stored, as something is there already.
    pub(super) fn is_refused_by_condition(&self) -> bool {
        self.0.status() == StatusCode::PRECONDITION_FAILED
    }

    /// Whether nothing was stored, as the service knows no conditions.
    pub(super) fn knows_no_condition(&self) -> bool {
        self.0.status() == StatusCode::NOT_IMPLEMENTED
    }

    /// How many bytes the object has, and with which the answer begins; `None` when it has all of them.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let header = self.header("content-range")?;
        let (range, size) = header.strip_prefix("bytes ")?.split_once('/')?;
        Some((size.parse().ok()?, range.split_once('-')?.0.parse().ok()?))
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// What the service calls this state of the object; without its quotes.
    pub(super) fn etag(&self) -> Option<String> {
        self.header("etag").map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty())
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
