//! AWS signature version 4, in the headers: the SHA-256 of what is sent is part of what is signed, so that every service
//! refuses what was changed on its way. (Signed URLs, which most small libraries make, leave it out.)

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::trust::mac::hmac_sha256;

/// SHA-256 of nothing.
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Who signs.
pub(super) struct Signer {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) region: String,
}

/// What is signed.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// Encoded, as it is sent.
    pub(super) path: &'a str,
    /// Encoded and sorted, as it is sent.
    pub(super) query: &'a str,
    /// Names in lower case; sorted here.
    pub(super) headers: &'a [(&'static str, String)],
    /// SHA-256 of the body in hex.
    pub(super) sha256: &'a str,
}

impl Signer {
    /// The headers to be sent beside `request.headers` and `host`.
    pub(super) fn sign(&self, request: &Request<'_>, at: Timestamp) -> Vec<(&'static str, String)> {
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = at.strftime("%Y%m%d").to_string();
        let mut headers = request.headers.to_vec();
        headers.push(("x-amz-content-sha256", request.sha256.to_owned()));
        headers.push(("x-amz-date", time.clone()));
        let mut signed = headers.clone();
        signed.push(("host", request.host.to_owned()));
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let Request { method, path, query, sha256, .. } = request;
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{sha256}");
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let mut key = hmac_sha256(format!("AWS4{}", self.secret_key).as_bytes(), day.as_bytes());
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
        let who = format!("{}/{scope}", self.access_key);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={who},SignedHeaders={names},Signature={signature}");
        headers.push(("authorization", authorization));
        headers
    }
}

/// A path or query as the signature wants it: everything but letters, digits and `-._~` is encoded, and `/` unless `keep`.
pub(super) fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hex digits stand for.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    text.len().is_multiple_of(2).then_some(())?;
    (0..text.len()).step_by(2).map(pair).collect()
}

/// 16 bytes, or any number of them, as some headers want them.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, at| word << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            out.push(if at <= three.len() { char::from(DIGITS[word >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification (AWS, "Authenticating Requests: Using the Authorization Header").
    #[test]
    fn the_examples_of_the_specification_come_out() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let at = "2013-05-24T00:00:00Z".parse().unwrap();
        let host = "examplebucket.s3.amazonaws.com";
        let put = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
        for (method, path, query, headers, sha256, signature) in [
            (
                "GET",
                "/test.txt",
                "",
                vec![("range", "bytes=0-9")],
                EMPTY,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                "",
                vec![("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                put,
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                "lifecycle=",
                vec![],
                EMPTY,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                "max-keys=2&prefix=J",
                vec![],
                EMPTY,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            let request = Request { method, host, path, query, headers: &headers, sha256 };
            let signed = signer.sign(&request, at);
            let authorization = &signed.iter().find(|(name, _)| *name == "authorization").unwrap().1;
            assert!(
                authorization.ends_with(&format!("Signature={signature}")),
                "{method} {path}?{query}: {authorization}"
            );
        }
    }

    #[test]
    fn paths_are_encoded_as_the_specification_wants() {
        assert_eq!(encode("a b/ä+%41=~", true), "a%20b/%C3%A4%2B%2541%3D~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }

    #[test]
    fn bytes_and_their_texts() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(unhex("00ff1a"), Some(vec![0, 255, 26]));
        for wrong in ["0", "0g", "ä"] {
            assert_eq!(unhex(wrong), None);
        }
    }
}
