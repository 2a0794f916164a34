//! The public half of a box's key, as manifests name it and people compare it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

const LEN: usize = 32;
/// The first line of a public key that OpenSSL reads.
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// What comes before the key itself in DER: that it is one of Ed25519 (RFC 8410).
const DER_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An Ed25519 public key; 64 hex digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey([u8; LEN]);

impl PublicKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// What people compare over the phone: the first half of its SHA-256, in groups of four hex digits.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0);
        let groups: Vec<String> =
            digest[..16].chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
        groups.join(" ")
    }

    /// As OpenSSL reads it.
    pub fn pem(&self) -> String {
        let der = [&DER_HEAD[..], &self.0].concat();
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", base64(&der))
    }

    /// Reads 64 hex digits, or what [`pem`](Self::pem) gives.
    pub fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        let Some(inner) = text.strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END)) else {
            return text.parse();
        };
        let inner: String = inner.split_whitespace().collect();
        let der = unbase64(&inner).filter(|der| der.starts_with(&DER_HEAD));
        let key = der.and_then(|der| <[u8; LEN]>::try_from(&der[DER_HEAD.len()..]).ok());
        key.map(Self).ok_or_else(|| Error::new(Kind::Usage, "it is not the public key of a box (Ed25519)"))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(Kind::Usage, "a public key has 64 hex digits, or is a PEM file");
        if text.len() != 2 * LEN || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; LEN];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * at..2 * at + 2];
            *byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// Of a number of bytes that three divides less one or two, as the 44 of a key are: the only base64 here.
fn base64(bytes: &[u8]) -> String {
    let group = |chunk: &[u8]| -> String {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |at: usize| match at <= chunk.len() {
            true => char::from(BASE64[(word >> (18 - 6 * at) & 63) as usize]),
            false => '=',
        };
        (0..4).map(digit).collect()
    };
    bytes.chunks(3).map(group).collect()
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text
        .trim_end_matches('=')
        .bytes()
        .map(|byte| BASE64.iter().position(|known| *known == byte).map(|at| at as u32))
        .collect::<Option<_>>()?;
    let group = |chunk: &[u32]| {
        let word = chunk.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - chunk.len()));
        word.to_be_bytes()[1..chunk.len()].to_vec()
    };
    Some(digits.chunks(4).flat_map(group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_in_both_forms() {
        let key = PublicKey::new(std::array::from_fn(|at| at as u8 * 7 + 1));
        assert_eq!(PublicKey::read(&key.to_string()).unwrap(), key);
        assert_eq!(PublicKey::read(&key.pem()).unwrap(), key);
        assert_eq!(PublicKey::read(&key.pem().replace('\n', "\r\n")).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = PublicKey::new([9; 32]);
        let hex = key.to_string();
        let other = key.pem().replace("MCow", "MCox");
        for text in ["", "ab", &hex[1..], &hex.replace("09", "+9"), &hex.replace("09", "0ä"), &other, PEM_BEGIN] {
            assert!(PublicKey::read(text).is_err(), "{text:?}");
        }
        let short = key.pem().replacen("AwEB", "", 1).replacen("CQkJ", "", 1);
        assert!(PublicKey::read(&short).is_err(), "{short}");
    }
}
