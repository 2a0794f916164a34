//! A large file goes up in parts. One that was cut off is found again by asking the service, and goes on behind the parts
//! that are there, as far as their MD5 is that of our own bytes.

use std::io::Read;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::http::{Body, Http};
use super::sign::hex;
use super::{PART, PARTS_MAX, SHA256, xml};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Run;
use crate::store::Sent;
use crate::store::content::Content;

/// What the parts were hashed to, as far as they were read.
struct Hashes {
    whole: Sha256,
    md5s: Vec<[u8; 16]>,
}

/// Puts the content there; gives the ETag that the object must have, too.
pub(super) fn put(
    http: &Http,
    key: &str,
    content: &Content,
    pace: Option<u64>,
    run: &Run,
) -> Result<(Sent, Option<String>)> {
    let part_len = PART.max(content.size().div_ceil(PARTS_MAX).next_multiple_of(1 << 20));
    let mut hashes = Hashes { whole: Sha256::new(), md5s: Vec::new() };
    let (id, resumed) = match go_on(http, key, content, part_len, &mut hashes, run)? {
        Some(found) => found,
        None => (begin(http, key, content)?, 0),
    };
    let mut sent = resumed;
    while sent < content.size() {
        let len = part_len.min(content.size() - sent);
        let (md5, sha256) = hash_part(content, sent, len, &mut hashes.whole, run)?;
        let number = hashes.md5s.len() + 1;
        let query = [("partNumber", number.to_string()), ("uploadId", id.clone())];
        let mut reader = content.reader(sent, pace, run)?;
        let mut part = reader.as_mut().take(len);
        let body = Body::Stream { reader: &mut part, size: len, sha256: &sha256 };
        http.ask("PUT", key, &query, &[], body)?;
        hashes.md5s.push(md5);
        sent += len;
    }
    if hex(&hashes.whole.finalize()) != content.sha256() {
        abort(http, key, &id)?;
        return Err(Error::new(Kind::Damaged, "what should be sent is damaged here")
            .help("`tillstick check` tells which backups are"));
    }
    complete(http, key, &id, &hashes.md5s)?;
    let all: Vec<u8> = hashes.md5s.concat();
    let etag = format!("{}-{}", hex(&Md5::digest(all)), hashes.md5s.len());
    Ok((Sent { bytes: content.size() - resumed, resumed }, Some(etag)))
}

fn begin(http: &Http, key: &str, content: &Content) -> Result<String> {
    let headers = [(SHA256, content.sha256().to_owned())];
    let text = http.ask("POST", key, &[("uploads", String::new())], &headers, Body::None)?.text()?;
    xml::text(&text, "UploadId").ok_or_else(|| Error::new(Kind::Io, "the service begins an upload and gives it no id"))
}

/// The upload of this key that was cut off, and how much of it can be used. Any other is aborted.
fn go_on(
    http: &Http,
    key: &str,
    content: &Content,
    part_len: u64,
    hashes: &mut Hashes,
    run: &Run,
) -> Result<Option<(String, u64)>> {
    let mut best = None;
    for id in uploads(http, key)?.into_iter().filter(|(other, _)| other == key).map(|(_, id)| id) {
        if best.is_some() {
            abort(http, key, &id)?;
            continue;
        }
        let text = http.ask("GET", key, &[("uploadId", id.clone())], &[], Body::None)?.text()?;
        let mut at = 0;
        for (index, part) in xml::all(&text, "Part").into_iter().enumerate() {
            let field = |name| xml::text(part, name).unwrap_or_default();
            let len = part_len.min(content.size() - at);
            if len == 0 || field("PartNumber") != (index + 1).to_string() || field("Size") != len.to_string() {
                break;
            }
            let before = hashes.whole.clone();
            let (md5, _) = hash_part(content, at, len, &mut hashes.whole, run)?;
            if field("ETag").trim_matches('"') != hex(&md5) {
                hashes.whole = before;
                break;
            }
            hashes.md5s.push(md5);
            at += len;
        }
        if at == 0 {
            abort(http, key, &id)?;
        } else {
            best = Some((id, at));
        }
    }
    Ok(best)
}

/// MD5 and SHA-256 of a part, which also goes into the hash of all.
fn hash_part(content: &Content, at: u64, len: u64, whole: &mut Sha256, run: &Run) -> Result<([u8; 16], String)> {
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut reader = content.reader(at, None, run)?.take(len);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = reader.read(&mut buffer).context(|| "cannot read what is to be sent".into())?;
        if read == 0 {
            return Ok((md5.finalize().into(), hex(&sha256.finalize())));
        }
        md5.update(&buffer[..read]);
        sha256.update(&buffer[..read]);
        whole.update(&buffer[..read]);
    }
}

fn complete(http: &Http, key: &str, id: &str, md5s: &[[u8; 16]]) -> Result<()> {
    let parts: String = md5s
        .iter()
        .enumerate()
        .map(|(index, md5)| format!("<Part><PartNumber>{}</PartNumber><ETag>\"{}\"</ETag></Part>", index + 1, hex(md5)))
        .collect();
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

fn uploads(http: &Http, prefix: &str) -> Result<Vec<(String, String)>> {
    let query = [("encoding-type", "url".to_owned()), ("prefix", prefix.to_owned()), ("uploads", String::new())];
    let text = http.ask("GET", "", &query, &[], Body::None)?.text()?;
    let one = |upload: &str| Some((xml::decode(&xml::text(upload, "Key")?)?, xml::text(upload, "UploadId")?));
    Ok(xml::all(&text, "Upload").into_iter().filter_map(one).collect())
}

fn abort(http: &Http, key: &str, id: &str) -> Result<()> {
    match http.ask("DELETE", key, &[("uploadId", id.to_owned())], &[], Body::None) {
        Err(error) if error.kind() == Kind::Missing => Ok(()),
        aborted => aborted.map(|_| ()),
    }
}

/// Gives up every upload below `prefix` that is not finished.
pub(super) fn abort_all(http: &Http, prefix: &str) -> Result<()> {
    for (key, id) in uploads(http, prefix)? {
        abort(http, &key, &id)?;
    }
    Ok(())
}
