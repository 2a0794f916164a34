//! Any service that speaks S3. A put is one request, or an upload in parts that goes on where it was cut off; the service
//! compares each body with the SHA-256 that was signed, and what it then says of the object is compared once more.

mod http;
mod multipart;
mod sign;
mod xml;

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::content::Content;
use super::upload::join;
use super::{Entry, Ranges, Sent, Store};
use crate::config::S3Config;
use crate::error::{Error, Kind, Result};
use crate::model::{Cancel, Run, Stage};
use http::{Body, Http};
use sign::hex;

/// What is sent in one request; a larger file goes in parts of at least this. A part that was cut off is sent again.
const PART: u64 = 8 << 20;
/// More parts an upload may not have; with some room below what services allow.
const PARTS_MAX: u64 = 9_000;
/// What is read in one request.
const RANGE: u64 = 8 << 20;
/// Where the service keeps what the content is to be.
const SHA256: &str = "x-amz-meta-sha256";

#[derive(Clone)]
struct S3 {
    http: Http,
    prefix: String,
    medium: String,
    label: String,
    pace: Option<u64>,
}

/// What the service says of an object.
struct Object {
    size: u64,
    etag: String,
    is_md5: bool,
    sha256: Option<String>,
}

/// Makes it ready. Nothing is sent.
pub(super) fn open(config: &S3Config, pace: Option<u64>, cancel: &Cancel) -> Result<Box<dyn Store>> {
    let place = join(&config.bucket, &config.prefix);
    Ok(Box::new(S3 {
        medium: format!("{}/{place}", config.endpoint),
        label: format!("{}/{place}", config.endpoint),
        prefix: config.prefix.clone(),
        http: Http::new(config, cancel)?,
        pace,
    }))
}

impl S3 {
    fn key(&self, path: &str) -> String {
        if path.is_empty() { self.prefix.clone() } else { join(&self.prefix, path) }
    }

    fn look(&self, path: &str) -> Result<Option<Object>> {
        let answer = match self.http.ask("HEAD", &self.key(path), &[], &[], Body::None) {
            Err(error) if error.kind() == Kind::Missing => return Ok(None),
            answer => answer?,
        };
        let header = |name: &str| answer.header(name);
        let size = header("content-length").and_then(|size| size.parse().ok()).unwrap_or_default();
        // With such encryption the ETag is no MD5, and says nothing of the content.
        let is_md5 = header("x-amz-server-side-encryption").is_none_or(|by| by == "AES256");
        Ok(Some(Object { size, etag: answer.etag().unwrap_or_default(), is_md5, sha256: header(SHA256) }))
    }

    /// Every key below `dir/`, or with `delimiter` the names in it.
    fn walk(&self, dir: &str, delimiter: bool) -> Result<Vec<Entry>> {
        let prefix = match self.key(dir).as_str() {
            "" => String::new(),
            key => format!("{key}/"),
        };
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query =
                vec![("encoding-type", "url".into()), ("list-type", "2".into()), ("prefix", prefix.clone())];
            if delimiter {
                query.push(("delimiter", "/".into()));
            }
            query.extend(token.take().map(|token| ("continuation-token", token)));
            let text = self.http.ask("GET", "", &query, &[], Body::None)?.text()?;
            let name = |raw: &str| xml::decode(raw)?.strip_prefix(&prefix).map(str::to_owned);
            for item in xml::all(&text, "Contents") {
                let size = xml::text(item, "Size").and_then(|size| size.parse().ok()).unwrap_or_default();
                if let Some(name) = xml::text(item, "Key").and_then(|raw| name(&raw)).filter(|name| !name.is_empty()) {
                    let version = xml::text(item, "ETag").filter(|etag| !etag.is_empty());
                    all.push(Entry { name, size, is_dir: false, version });
                }
            }
            for item in xml::all(&text, "CommonPrefixes") {
                if let Some(found) = xml::text(item, "Prefix").and_then(|raw| name(&raw)) {
                    let name = found.trim_end_matches('/').to_owned();
                    all.push(Entry { name, size: 0, is_dir: true, version: None });
                }
            }
            token = xml::next_page(&text, "NextContinuationToken")?;
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    /// Puts a short content there; what is `new` only where nothing is, as far as the service can promise that. Whether it
    /// is there is told by a look. Tells whether somebody else was faster: then nothing was stored.
    fn put_at_once(&self, path: &str, content: &Content, is_new: bool, run: &Run) -> Result<bool> {
        let hashed = multipart::hash_part(content, 0, content.size(), &mut Sha256::new(), run)?;
        let headers = vec![multipart::md5_header(&hashed.md5), (SHA256, content.sha256().to_owned())];
        let open = || content.reader(0, self.pace, run);
        // Signed is the sum that it must have: what is damaged here is refused by the service.
        let body = Body::Stream { open: &open, size: content.size(), sha256: content.sha256() };
        if is_new {
            let condition = [(http::IF_NONE_MATCH, "*".to_owned())];
            let answer = self.http.ask("PUT", &self.key(path), &[], &[&headers[..], &condition].concat(), body)?;
            if !answer.knows_no_condition() {
                return Ok(answer.is_refused_by_condition());
            }
        }
        self.http.ask("PUT", &self.key(path), &[], &headers, body).map(|_| false)
    }
}

impl Ranges for S3 {
    fn open_range(&mut self, path: &str, from: u64, length: u64) -> Result<Box<dyn Read + Send>> {
        if length == 0 {
            return Ok(Box::new(io::empty()));
        }
        let (http, key) = (self.http.clone(), self.key(path));
        let end = from.saturating_add(length);
        let mut reader = Reader { http, key, etag: None, at: from, end, range: Vec::new(), read: 0 };
        // What is not there is told now; and what is short is all there with the first answer.
        reader.ask()?;
        Ok(Box::new(reader))
    }
}

impl Store for S3 {
    fn medium(&self) -> &str {
        &self.medium
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn put(&mut self, path: &str, content: &Content, run: &Run) -> Result<Sent> {
        let is_it =
            |object: &Object| object.size == content.size() && object.sha256.as_deref() == Some(content.sha256());
        let there = self.look(path)?;
        if there.as_ref().is_some_and(is_it) {
            return Ok(Sent { bytes: 0, resumed: content.size() });
        }
        run.begin(Stage::Copy, path, content.size());
        let mut is_taken = false;
        let (sent, etag) = match content.size() <= PART {
            true => {
                let put = self.put_at_once(path, content, there.is_none(), run);
                is_taken = put.map_err(|error| blame(error, content, run))?;
                (Sent { bytes: content.size(), resumed: 0 }, None)
            }
            false => multipart::put(&self.http, &self.key(path), content, self.pace, run)?,
        };
        run.end(Stage::Copy);
        match self.look(path)? {
            Some(object) if is_it(&object) && agrees(&object, etag.as_deref(), content, run)? => Ok(sent),
            Some(_) if is_taken => {
                Err(Error::new(Kind::Busy, format!("somebody else put {path:?} there at the same moment"))
                    .help("start it again: what is there now is looked at first"))
            }
            _ => Err(Error::new(Kind::Io, format!("{} does not have what was sent as {path:?}", self.label)).help(
                "the service answered that it was stored, and it is not: look at the service before you rely on it",
            )),
        }
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        self.open_range(path, 0, u64::MAX)
    }

    fn ranges(&mut self) -> Box<dyn Ranges> {
        Box::new(self.clone())
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>> {
        self.walk(dir, true)
    }

    fn list_below(&mut self, dir: &str, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Entry>> {
        let mut all = self.walk(dir, false)?;
        let is_file_in =
            |name: &str| name.split_once('/').is_some_and(|(folder, name)| is_wanted(folder) && !name.contains('/'));
        all.retain(|entry| is_file_in(&entry.name));
        Ok(all)
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        match self.http.ask("DELETE", &self.key(path), &[], &[], Body::None) {
            Err(error) if error.kind() == Kind::Missing => Ok(()),
            deleted => deleted.map(|_| ()),
        }
    }

    fn delete_dir(&mut self, dir: &str) -> Result<()> {
        multipart::abort_all(&self.http, &format!("{}/", self.key(dir)), &|_| false)?;
        for entry in self.walk(dir, false)? {
            self.delete(&join(dir, &entry.name))?;
        }
        Ok(())
    }

    fn give_up(&mut self, dir: &str, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        multipart::abort_all(&self.http, &format!("{}/", self.key(dir)), keep)
    }

    fn free(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// Whether what the service calls an object fits `etag`, which was made of its parts.
fn agrees(object: &Object, etag: Option<&str>, content: &Content, run: &Run) -> Result<bool> {
    match etag {
        Some(etag) if object.is_md5 && object.etag != etag => match object.etag.contains('-') {
            true => Ok(false),
            // Some services put the parts together at once and call the object by the MD5 of all of it.
            false => {
                let hashed = multipart::hash_part(content, 0, content.size(), &mut Sha256::new(), run)?;
                Ok(object.etag == hex(&hashed.md5))
            }
        },
        _ => Ok(true),
    }
}

/// A body that is not what was signed was changed on its way, or here.
fn blame(error: Error, content: &Content, run: &Run) -> Error {
    match content.is_damaged(run) {
        Ok(true) => Error::new(Kind::Damaged, "what should be sent is damaged here")
            .because(error)
            .help("`tillstick check` tells which backups are"),
        _ => error,
    }
}

/// Reads an object in ranges, so that no request takes long.
struct Reader {
    http: Http,
    key: String,
    /// Which state of the object the first answer was of; all others must be of the same.
    etag: Option<String>,
    at: u64,
    end: u64,
    range: Vec<u8>,
    read: usize,
}

impl Reader {
    /// Asks for the next range.
    fn ask(&mut self) -> Result<()> {
        let last = self.at.saturating_add(RANGE).min(self.end).saturating_sub(1);
        let mut headers = vec![(http::RANGE, format!("bytes={}-{last}", self.at))];
        headers.extend(self.etag.as_ref().map(|etag| ("if-match", format!("\"{etag}\""))));
        let answer = self.http.ask("GET", &self.key, &[], &headers, Body::None)?;
        if answer.is_out_of_range() {
            self.end = self.at;
            return Ok(());
        }
        let (size, from) = answer.range().map_or((None, 0), |(size, from)| (Some(size), from));
        self.etag = self.etag.take().or_else(|| answer.etag());
        self.range = answer.bytes(RANGE)?;
        self.read = 0;
        self.end = self.end.min(size.unwrap_or(self.range.len() as u64));
        if from != self.at || self.range.len() as u64 != (last + 1).min(self.end).saturating_sub(self.at) {
            return Err(Error::new(Kind::Io, format!("the answer for {:?} is not what was asked for", self.key)));
        }
        self.at += self.range.len() as u64;
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.range.len() && self.at < self.end {
            self.ask()?;
        }
        let left = &self.range[self.read..];
        let read = left.len().min(buffer.len());
        buffer[..read].copy_from_slice(&left[..read]);
        self.read += read;
        Ok(read)
    }
}
