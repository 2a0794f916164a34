//! A large file goes up in parts. One that was cut off is found again by asking the service, and gets the parts that it
//! lacks, when the MD5 of those that are there is that of our own bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Take};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::http::{Body, Http};
use super::sign::{base64, hex, unhex};
use super::xml::{self, next_page};
use super::{PART, PARTS_MAX, SHA256};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Quiet, Run};
use crate::store::Sent;
use crate::store::content::Content;

/// A part that the service has: its length, and what the service calls it.
struct Part {
    len: u64,
    etag: String,
}

/// What a part was hashed to.
pub(super) struct Hashed {
    pub(super) md5: [u8; 16],
    pub(super) sha256: String,
}

/// So many parts are worked at: one is hashed, one is on the line, one is being put away by the service.
const AT_WORK: usize = 3;

/// Puts the content there; gives the ETag that the object must have too, where it can be told.
pub(super) fn put(
    http: &Http,
    key: &str,
    content: &Content,
    pace: Option<u64>,
    run: &Run,
) -> Result<(Sent, Option<String>)> {
    let (id, sent) = go_on_or_begin(http, key, content, pace, run)?;
    let Sending { whole, resumed, etags, .. } = sent;
    if hex(&whole.finalize()) != content.sha256() {
        abort(http, key, &id)?;
        return Err(Error::new(Kind::Damaged, "what should be sent is damaged here")
            .help("`tillstick check` tells which backups are"));
    }
    let etags: Vec<String> = etags.into_values().collect();
    complete(http, key, &id, &etags)?;
    let parts: Option<Vec<Vec<u8>>> = etags.iter().map(|etag| unhex(etag)).collect();
    let etag = parts.map(|parts| format!("{}-{}", hex(&Md5::digest(parts.concat())), parts.len()));
    Ok((Sent { bytes: content.size() - resumed, resumed }, etag))
}

/// Sends all parts: those that an upload which was cut off lacks, else all of a new one. Gives its id, too.
fn go_on_or_begin(
    http: &Http,
    key: &str,
    content: &Content,
    pace: Option<u64>,
    run: &Run,
) -> Result<(String, Sending)> {
    let part_len = PART.max(content.size().div_ceil(PARTS_MAX).next_multiple_of(1 << 20));
    let send =
        |id: &str, there| Upload { http, key, id, content, pace, run, part_len, there, line: Line::default() }.send();
    if let Some((id, there)) = go_on(http, key)? {
        if let Some(sent) = send(&id, there)? {
            return Ok((id, sent));
        }
        abort(http, key, &id)?;
    }
    let id = begin(http, key, content)?;
    let sent = send(&id, BTreeMap::new())?.unwrap_or_default();
    Ok((id, sent))
}

/// An upload that has begun.
struct Upload<'a> {
    http: &'a Http,
    key: &'a str,
    id: &'a str,
    content: &'a Content,
    pace: Option<u64>,
    run: &'a Run<'a>,
    part_len: u64,
    /// What an earlier try has left, by number.
    there: BTreeMap<usize, Part>,
    line: Line,
}

/// How far an upload has come.
#[derive(Default)]
struct Sending {
    /// What was hashed so far.
    at: u64,
    number: usize,
    whole: Sha256,
    resumed: u64,
    /// What the service calls the parts, by number.
    etags: BTreeMap<usize, String>,
    /// What is there is of other content.
    is_anothers: bool,
    failed: Option<Error>,
}

impl Upload<'_> {
    /// Sends every part that is not there, in their order; `None` when what is there is of other content, which stands in
    /// what the service keeps of the upload, too.
    fn send(&self) -> Result<Option<Sending>> {
        let sending = Mutex::new(Sending::default());
        thread::scope(|scope| {
            for _ in 0..AT_WORK {
                if let Err(cause) = thread::Builder::new().spawn_scoped(scope, || self.work(&sending)) {
                    let error = Error::new(Kind::Io, "cannot start a thread").because(cause);
                    locked(&sending).failed.get_or_insert(error);
                }
            }
        });
        let sending = sending.into_inner().unwrap_or_else(PoisonError::into_inner);
        match sending.failed {
            Some(error) => Err(error),
            None => Ok((!sending.is_anothers).then_some(sending)),
        }
    }

    /// Takes one part after the other until there is none left or one failed.
    fn work(&self, sending: &Mutex<Sending>) {
        let worked = || -> Result<()> {
            loop {
                let next = self.next(&mut locked(sending))?;
                let Some((number, at, len, hashed)) = next else { return Ok(()) };
                let query = [("partNumber", number.to_string()), ("uploadId", self.id.to_owned())];
                let open = || {
                    let turn = self.line.take();
                    let bytes = self.content.reader(at, self.pace, self.run)?.take(len);
                    Ok(Box::new(OnLine { bytes, begun: Instant::now(), turn: Some(turn) }) as Box<dyn Read + Send>)
                };
                let body = Body::Stream { open: &open, size: len, sha256: &hashed.sha256 };
                let answer = self.http.ask("PUT", self.key, &query, &[md5_header(&hashed.md5)], body)?;
                // A service that encrypts has a name of its own for it.
                let etag = answer.etag().unwrap_or_else(|| hex(&hashed.md5));
                locked(sending).etags.insert(number, etag);
            }
        };
        if let Err(error) = worked() {
            locked(sending).failed.get_or_insert(error);
        }
    }

    /// The next part that is to be sent: its number, where it begins, its length, and its hashes. Others wait meanwhile: it
    /// is their part that is sent or put away.
    fn next(&self, sending: &mut Sending) -> Result<Option<(usize, u64, u64, Hashed)>> {
        // What is told of progress is what was sent.
        let quiet = Run { monitor: &Quiet, cancel: self.run.cancel };
        while sending.failed.is_none() && !sending.is_anothers && sending.at < self.content.size() {
            let (at, number) = (sending.at, sending.number + 1);
            let len = self.part_len.min(self.content.size() - at);
            let hashed = hash_part(self.content, at, len, &mut sending.whole, &quiet)?;
            sending.at += len;
            sending.number = number;
            match self.there.get(&number) {
                None => return Ok(Some((number, at, len, hashed))),
                Some(part) if part.len == len && part.etag == hex(&hashed.md5) => {
                    sending.resumed += len;
                    sending.etags.insert(number, part.etag.clone());
                }
                Some(_) => sending.is_anothers = true,
            }
        }
        Ok(None)
    }
}

fn locked(sending: &Mutex<Sending>) -> MutexGuard<'_, Sending> {
    sending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One part is on the line at a time, so that a line that is cut costs one part. On a slow line the next one even waits for
/// the answer: what is lost would be long to send again, and what the answer takes is little beside.
#[derive(Default)]
struct Line {
    is_taken: Mutex<bool>,
    freed: Condvar,
}

/// The right to send, until it is dropped.
struct Turn<'a>(&'a Line);

impl Line {
    fn take(&self) -> Turn<'_> {
        let taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        *self.freed.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner) = true;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

/// A line is quick when a part needs no longer.
const QUICK: Duration = Duration::from_millis(500);

/// The bytes of a part. On a quick line the next one may begin as soon as the last of them was taken.
struct OnLine<'a, R> {
    bytes: Take<R>,
    begun: Instant,
    turn: Option<Turn<'a>>,
}

impl<R: Read> Read for OnLine<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer);
        if self.bytes.limit() == 0 && self.begun.elapsed() < QUICK {
            self.turn = None;
        }
        read
    }
}

fn begin(http: &Http, key: &str, content: &Content) -> Result<String> {
    let headers = [(SHA256, content.sha256().to_owned())];
    let text = http.ask("POST", key, &[("uploads", String::new())], &headers, Body::None)?.text()?;
    xml::text(&text, "UploadId").ok_or_else(|| Error::new(Kind::Io, "the service begins an upload and gives it no id"))
}

/// The upload of this key that was cut off and of which most is there, with its parts. Any other is aborted.
fn go_on(http: &Http, key: &str) -> Result<Option<(String, BTreeMap<usize, Part>)>> {
    let mut best: Option<(String, BTreeMap<usize, Part>)> = None;
    for id in uploads(http, key)?.into_iter().filter(|(other, _)| other == key).map(|(_, id)| id) {
        let parts = parts(http, key, &id)?;
        let given_up = match &best {
            Some((_, most)) if most.len() >= parts.len() => Some(id),
            _ => best.replace((id, parts)).map(|(id, _)| id),
        };
        if let Some(id) = given_up {
            abort(http, key, &id)?;
        }
    }
    Ok(best)
}

/// The parts of an upload that are there, by number.
fn parts(http: &Http, key: &str, id: &str) -> Result<BTreeMap<usize, Part>> {
    let mut parts = BTreeMap::new();
    let mut after = None;
    loop {
        let mut query = vec![("uploadId", id.to_owned())];
        query.extend(after.take().map(|after| ("part-number-marker", after)));
        let text = http.ask("GET", key, &query, &[], Body::None)?.text()?;
        for part in xml::all(&text, "Part") {
            let field = |name| xml::text(part, name).unwrap_or_default();
            if let (Ok(number), Ok(len)) = (field("PartNumber").parse(), field("Size").parse()) {
                parts.insert(number, Part { len, etag: field("ETag").trim_matches('"').to_owned() });
            }
        }
        after = next_page(&text, "NextPartNumberMarker")?;
        if after.is_none() {
            return Ok(parts);
        }
    }
}

/// The header by which a service compares what came with what was sent; with object lock it is demanded.
pub(super) fn md5_header(md5: &[u8; 16]) -> (&'static str, String) {
    ("content-md5", base64(md5))
}

/// MD5 and SHA-256 of a part, which also goes into the hash of all.
pub(super) fn hash_part(content: &Content, at: u64, len: u64, whole: &mut Sha256, run: &Run) -> Result<Hashed> {
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut reader = content.reader(at, None, run)?.take(len);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = reader.read(&mut buffer).context(|| "cannot read what is to be sent".into())?;
        if read == 0 {
            return Ok(Hashed { md5: md5.finalize().into(), sha256: hex(&sha256.finalize()) });
        }
        md5.update(&buffer[..read]);
        sha256.update(&buffer[..read]);
        whole.update(&buffer[..read]);
    }
}

fn complete(http: &Http, key: &str, id: &str, etags: &[String]) -> Result<()> {
    let part = |(index, etag)| format!("<Part><PartNumber>{}</PartNumber><ETag>\"{etag}\"</ETag></Part>", index + 1);
    let parts: String = etags.iter().enumerate().map(part).collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let text = http.ask("POST", key, &[("uploadId", id.to_owned())], &[], Body::Bytes(body.as_bytes()))?.text()?;
    // The service may answer 200 and tell in the body that it failed after all.
    match xml::text(&text, "Code") {
        Some(code) => {
            Err(Error::new(Kind::Io, format!("the service could not put the parts of {key:?} together: {code}")))
        }
        None => Ok(()),
    }
}

/// The keys below `prefix` that have an upload which is not finished, each with its id.
fn uploads(http: &Http, prefix: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut after: Option<(String, String)> = None;
    loop {
        let mut query =
            vec![("encoding-type", "url".to_owned()), ("prefix", prefix.to_owned()), ("uploads", String::new())];
        if let Some((key, id)) = after.take() {
            query.extend([("key-marker", key), ("upload-id-marker", id)]);
        }
        let text = match http.ask("GET", "", &query, &[], Body::None) {
            // Some services say so of a bucket in which no upload is under way.
            Err(error) if error.kind() == Kind::Missing && error.to_string().contains("NoSuchUpload") => {
                return Ok(all);
            }
            answer => answer?.text()?,
        };
        let one = |upload: &str| Some((xml::decode(&xml::text(upload, "Key")?)?, xml::text(upload, "UploadId")?));
        all.extend(xml::all(&text, "Upload").into_iter().filter_map(one));
        let Some(key) = next_page(&text, "NextKeyMarker")? else { return Ok(all) };
        after = Some((xml::decode(&key).unwrap_or(key), xml::text(&text, "NextUploadIdMarker").unwrap_or_default()));
    }
}

fn abort(http: &Http, key: &str, id: &str) -> Result<()> {
    match http.ask("DELETE", key, &[("uploadId", id.to_owned())], &[], Body::None) {
        Err(error) if error.kind() == Kind::Missing => Ok(()),
        aborted => aborted.map(|_| ()),
    }
}

/// Gives up every upload below `prefix` that is not finished, unless `keep` wants what follows the prefix.
pub(super) fn abort_all(http: &Http, prefix: &str, keep: &dyn Fn(&str) -> bool) -> Result<()> {
    for (key, id) in uploads(http, prefix)? {
        if !key.strip_prefix(prefix).is_some_and(keep) {
            abort(http, &key, &id)?;
        }
    }
    Ok(())
}
