//! Enrolments: which sticks are this box's own, and the tokens that prove it; who signs backups: [`signing`];
//! who can read them: [`sealing`].
//!
//! ```text
//! <state>/sticks.json     the enrolled sticks
//! <state>/stick-key       32 bytes in hex: what tokens are made with; never leaves the box
//! <state>/had-sticks      there was an enrolment once: losing the list makes no stranger the first stick
//! ```
//! A token is `{"id": <16 hex digits>, "mac": HMAC-SHA256(key, [1, id, serial, uuid])}`: it fits one stick of one box.

pub mod mac;
pub mod rules;
#[cfg(feature = "encryption")]
pub mod sealing;
#[cfg(not(feature = "encryption"))]
#[path = "sealing_off.rs"]
pub mod sealing;
pub mod signing;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::host::{durable, entropy};
use crate::policy::enrol::{Enrolment, Marks, Token};
use mac::{hmac_sha256, same};

const LIST: &str = "sticks.json";
/// The file with the key of the tokens, in the state folder.
pub const STICK_KEY: &str = "stick-key";
const HAD: &str = "had-sticks";
const FILE_MAX: u64 = 4 << 20;

/// The longest token that is read, in bytes; a real one has about 100.
pub const TOKEN_MAX: u64 = 4096;

/// More sticks than this belong to no shop.
const STICKS_MAX: usize = 1000;

/// Two sticks may ask to be the first at once.
static CHANGING: Mutex<()> = Mutex::new(());

#[derive(Serialize, Deserialize)]
struct TokenFile {
    id: String,
    mac: String,
}

/// The enrolments of one box.
#[derive(Debug, Clone)]
pub struct Enrolments {
    state: PathBuf,
    list: Vec<Enrolment>,
    had_any: bool,
}

/// While it is held nobody else in this process changes the list.
#[must_use]
pub struct Changing(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

/// Keeps other threads from changing the list.
pub fn changing() -> Changing {
    Changing(CHANGING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Enrolments {
    /// Reads the list. One that is damaged counts as lost: then no stick is known, and none is taken for the first.
    pub fn read(state: &Path) -> Result<Self> {
        let missing = |error: &Error| error.kind() == Kind::Missing;
        let (list, lost) = match durable::read(&state.join(LIST), FILE_MAX) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(list) => (list, false),
                Err(error) => {
                    log::error!("the list of enrolled sticks in {state:?} is damaged: {error}");
                    (Vec::new(), true)
                }
            },
            Err(error) if missing(&error) => (Vec::new(), false),
            Err(error) => return Err(error),
        };
        let had_any = lost || !list.is_empty() || state.join(HAD).exists();
        Ok(Self { state: state.to_owned(), list, had_any })
    }

    /// The enrolled sticks.
    pub fn list(&self) -> &[Enrolment] {
        &self.list
    }

    /// Whether there ever was one.
    pub fn had_any(&self) -> bool {
        self.had_any
    }

    /// Whether the stick with this file system was adopted from another box.
    pub fn is_adopted(&self, uuid: &str) -> bool {
        self.list.iter().any(|enrolment| enrolment.adopted && enrolment.marks.uuid.as_deref() == Some(uuid))
    }

    /// What a token found on a stick is worth.
    pub fn judge(&self, token: Option<&[u8]>) -> Result<Token> {
        let Some(bytes) = token else { return Ok(Token::Missing) };
        let Ok(file) = serde_json::from_slice::<TokenFile>(bytes) else { return Ok(Token::Invalid) };
        let Some(enrolment) = self.list.iter().find(|enrolment| enrolment.id == file.id) else {
            return Ok(Token::Invalid);
        };
        let Some(key) = self.key()? else { return Ok(Token::Invalid) };
        let genuine = same(file.mac.as_bytes(), mac_of(&key, &enrolment.id, &enrolment.marks).as_bytes());
        Ok(if genuine { Token::Of(file.id) } else { Token::Invalid })
    }

    /// A new enrolment for a stick, and the token to be put onto it before [`add`](Self::add).
    pub fn prepare(&self, marks: Marks, adopted: bool, _held: &Changing) -> Result<(Enrolment, Vec<u8>)> {
        let key = match self.key()? {
            Some(key) => key,
            None => {
                let key = entropy::bytes::<32>()?;
                durable::write(&self.state.join(STICK_KEY), format!("{}\n", hex(&key)).as_bytes(), 0o600)?;
                key.to_vec()
            }
        };
        let id = hex(&entropy::bytes::<8>()?);
        let mac = mac_of(&key, &id, &marks);
        let mut token = serde_json::to_vec(&TokenFile { id: id.clone(), mac }).expect("plain data");
        token.push(b'\n');
        Ok((Enrolment { id, marks, since: Timestamp::now(), adopted }, token))
    }

    /// Remembers the stick; it replaces what was known of one with the same marks.
    pub fn add(&mut self, enrolment: Enrolment, _held: &Changing) -> Result<()> {
        durable::write(&self.state.join(HAD), b"", 0o600)?;
        self.had_any = true;
        self.list.retain(|known| known.marks != enrolment.marks);
        self.list.push(enrolment);
        let excess = self.list.len().saturating_sub(STICKS_MAX);
        self.list.drain(..excess);
        self.write()
    }

    /// Forgets the stick whose enrolment, serial number or file system is called so; gives what was forgotten.
    pub fn forget(&mut self, name: &str, _held: &Changing) -> Result<Vec<Enrolment>> {
        let named = |enrolment: &Enrolment| {
            let marks = &enrolment.marks;
            [Some(&enrolment.id), marks.serial.as_ref(), marks.uuid.as_ref()].contains(&Some(&name.to_owned()))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = self.list.drain(..).partition(named);
        self.list = kept;
        if gone.is_empty() {
            return Err(Error::new(Kind::Missing, format!("no stick is enrolled as {name:?}"))
                .help("`tillstick stick list` shows those that are"));
        }
        self.write()?;
        Ok(gone)
    }

    fn write(&self) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.list).expect("plain data");
        durable::write(&self.state.join(LIST), &bytes, 0o600)
    }

    fn key(&self) -> Result<Option<Vec<u8>>> {
        let path = self.state.join(STICK_KEY);
        let bytes = match durable::read(&path, TOKEN_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::Missing => return Ok(None),
            Err(error) => return Err(error).context(|| "cannot read the key of the sticks' tokens".into()),
        };
        match unhex(String::from_utf8_lossy(&bytes).trim()).filter(|key| key.len() == 32) {
            Some(key) => Ok(Some(key)),
            None => Err(Error::new(Kind::Damaged, format!("{path:?} does not hold the 64 hex digits of a key"))
                .help("remove it and enrol the sticks again")),
        }
    }
}

fn mac_of(key: &[u8], id: &str, marks: &Marks) -> String {
    // JSON keeps the parts apart, whatever is in them.
    let message = serde_json::to_vec(&(1, id, &marks.serial, &marks.uuid)).expect("plain data");
    hex(&hmac_sha256(key, &message))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(serial: &str) -> Marks {
        Marks { serial: Some(serial.into()), uuid: Some("ABCD-1234".into()) }
    }

    fn enrol(state: &Path, serial: &str) -> Vec<u8> {
        let mut enrolments = Enrolments::read(state).unwrap();
        let held = changing();
        let (enrolment, token) = enrolments.prepare(marks(serial), false, &held).unwrap();
        enrolments.add(enrolment, &held).unwrap();
        token
    }

    fn judged(state: &Path, token: &[u8]) -> Token {
        Enrolments::read(state).unwrap().judge(Some(token)).unwrap()
    }

    #[test]
    fn a_token_is_known_after_a_restart_and_worth_nothing_once_any_of_it_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let token = enrol(dir.path(), "S1");
        let id = Enrolments::read(dir.path()).unwrap().list()[0].id.clone();
        assert_eq!(judged(dir.path(), &token), Token::Of(id.clone()));
        for at in 0..token.len() - 1 {
            let mut forged = token.clone();
            forged[at] ^= 1;
            assert_ne!(judged(dir.path(), &forged), Token::Of(id.clone()), "byte {at}");
        }
        assert_eq!(judged(dir.path(), b"nonsense"), Token::Invalid);
        assert_eq!(Enrolments::read(dir.path()).unwrap().judge(None).unwrap(), Token::Missing);
    }

    #[test]
    fn a_token_of_another_box_is_worth_nothing() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        enrol(ours.path(), "S1");
        let token = enrol(theirs.path(), "S1");
        assert_eq!(judged(ours.path(), &token), Token::Invalid);
        // Not even with our list in its place: the key is another.
        std::fs::copy(theirs.path().join(LIST), ours.path().join(LIST)).unwrap();
        assert_eq!(judged(ours.path(), &token), Token::Invalid);
    }

    #[test]
    fn a_forgotten_stick_is_unknown_and_the_next_one_is_not_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let token = enrol(dir.path(), "S1");
        let mut enrolments = Enrolments::read(dir.path()).unwrap();
        assert_eq!(enrolments.forget("S2", &changing()).unwrap_err().kind(), Kind::Missing);
        assert_eq!(enrolments.forget("S1", &changing()).unwrap().len(), 1);
        assert_eq!(judged(dir.path(), &token), Token::Invalid);
        assert!(Enrolments::read(dir.path()).unwrap().had_any());
    }

    #[test]
    fn a_damaged_or_lost_list_knows_no_stick_and_takes_none_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Enrolments::read(dir.path()).unwrap().had_any());
        enrol(dir.path(), "S1");
        std::fs::write(dir.path().join(LIST), "{").unwrap();
        let damaged = Enrolments::read(dir.path()).unwrap();
        assert!(damaged.list().is_empty() && damaged.had_any());
        std::fs::remove_file(dir.path().join(LIST)).unwrap();
        let lost = Enrolments::read(dir.path()).unwrap();
        assert!(lost.list().is_empty() && lost.had_any());
    }
}
