//! A large file goes up in parts. One that was cut off is found again by asking the service, and goes on behind the parts
//! that are there, as far as their MD5 is that of our own bytes.

use std::io::Read;
use std::thread;

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

/// An upload that has begun: what is there of it.
struct Upload {
    id: String,
    /// What the service calls each part.
    etags: Vec<String>,
    sent: u64,
    /// All bytes that were sent.
    whole: Sha256,
}

/// What a part was hashed to.
pub(super) struct Hashed {
    pub(super) md5: [u8; 16],
    pub(super) sha256: String,
}

/// Puts the content there; gives the ETag that the object must have too, where it can be told.
pub(super) fn put(
    http: &Http,
    key: &str,
    content: &Content,
    pace: Option<u64>,
    run: &Run,
) -> Result<(Sent, Option<String>)> {
    let part_len = PART.max(content.size().div_ceil(PARTS_MAX).next_multiple_of(1 << 20));
    let mut upload = match go_on(http, key, content, part_len, run)? {
        Some(found) => found,
        None => Upload { id: begin(http, key, content)?, etags: Vec::new(), sent: 0, whole: Sha256::new() },
    };
    let resumed = upload.sent;
    let length = |at: u64| part_len.min(content.size() - at);
    let mut hashed = hash_part(content, upload.sent, length(upload.sent), &mut upload.whole, run)?;
    while upload.sent < content.size() {
        let (at, len) = (upload.sent, length(upload.sent));
        let number = upload.etags.len() + 1;
        let query = [("partNumber", number.to_string()), ("uploadId", upload.id.clone())];
        let open = || Ok(Box::new(content.reader(at, pace, run)?.take(len)) as Box<dyn Read + Send>);
        let body = Body::Stream { open: &open, size: len, sha256: &hashed.sha256 };
        let (answer, next) = thread::scope(|scope| {
            // The next part is hashed while this one is under way. What is told of progress is what was sent.
            let (whole, quiet) = (&mut upload.whole, Run { monitor: &Quiet, cancel: run.cancel });
            let hash = move || hash_part(content, at + len, length(at + len), whole, &quiet);
            let next = thread::Builder::new().spawn_scoped(scope, hash).context(|| "cannot start a thread".into());
            let answer = http.ask("PUT", key, &query, &[md5_header(&hashed.md5)], body);
            (answer, next.map(thread::ScopedJoinHandle::join))
        });
        // A service that encrypts has a name of its own for it.
        upload.etags.push(answer?.etag().unwrap_or_else(|| hex(&hashed.md5)));
        upload.sent += len;
        hashed = next?.unwrap_or_else(|_| Err(Error::new(Kind::Io, "hashing what is to be sent broke off")))?;
    }
    if hex(&upload.whole.finalize()) != content.sha256() {
        abort(http, key, &upload.id)?;
        return Err(Error::new(Kind::Damaged, "what should be sent is damaged here")
            .help("`tillstick check` tells which backups are"));
    }
    complete(http, key, &upload.id, &upload.etags)?;
    let parts: Option<Vec<Vec<u8>>> = upload.etags.iter().map(|etag| unhex(etag)).collect();
    let etag = parts.map(|parts| format!("{}-{}", hex(&Md5::digest(parts.concat())), parts.len()));
    Ok((Sent { bytes: content.size() - resumed, resumed }, etag))
}

fn begin(http: &Http, key: &str, content: &Content) -> Result<String> {
    let headers = [(SHA256, content.sha256().to_owned())];
    let text = http.ask("POST", key, &[("uploads", String::new())], &headers, Body::None)?.text()?;
    xml::text(&text, "UploadId").ok_or_else(|| Error::new(Kind::Io, "the service begins an upload and gives it no id"))
}

/// The upload of this key that was cut off, as far as it can be used. Any other is aborted.
fn go_on(http: &Http, key: &str, content: &Content, part_len: u64, run: &Run) -> Result<Option<Upload>> {
    let mut best = None;
    for id in uploads(http, key)?.into_iter().filter(|(other, _)| other == key).map(|(_, id)| id) {
        if best.is_some() {
            abort(http, key, &id)?;
            continue;
        }
        let upload = usable(http, key, id, content, part_len, run)?;
        if upload.sent == 0 {
            abort(http, key, &upload.id)?;
        } else {
            best = Some(upload);
        }
    }
    Ok(best)
}

/// An upload with those of its parts, from the first on, that are as we would send them.
fn usable(http: &Http, key: &str, id: String, content: &Content, part_len: u64, run: &Run) -> Result<Upload> {
    let mut upload = Upload { id, etags: Vec::new(), sent: 0, whole: Sha256::new() };
    let mut after = None;
    loop {
        let mut query = vec![("uploadId", upload.id.clone())];
        query.extend(after.take().map(|after| ("part-number-marker", after)));
        let text = http.ask("GET", key, &query, &[], Body::None)?.text()?;
        for part in xml::all(&text, "Part") {
            let field = |name| xml::text(part, name).unwrap_or_default();
            let (number, etag) = (upload.etags.len() + 1, field("ETag").trim_matches('"').to_owned());
            let len = part_len.min(content.size() - upload.sent);
            if len == 0 || field("PartNumber") != number.to_string() || field("Size") != len.to_string() {
                return Ok(upload);
            }
            let before = upload.whole.clone();
            if hex(&hash_part(content, upload.sent, len, &mut upload.whole, run)?.md5) != etag {
                upload.whole = before;
                return Ok(upload);
            }
            upload.etags.push(etag);
            upload.sent += len;
        }
        after = next_page(&text, "NextPartNumberMarker")?;
        if after.is_none() {
            return Ok(upload);
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
        let text = http.ask("GET", "", &query, &[], Body::None)?.text()?;
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
