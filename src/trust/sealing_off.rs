//! A build without encryption: what is sealed stays closed, and nothing is sealed.

use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Nobody's.
#[derive(Default)]
pub struct Identities;

impl Identities {
    /// No identity is of use to this build.
    pub fn read(_path: &Path) -> Result<Self> {
        Err(off(Kind::Refused))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Refuses.
    pub fn open<'a>(&self, _sealed: Box<dyn Read + Send + 'a>) -> Result<Box<dyn Read + Send + 'a>> {
        Err(off(Kind::Sealed))
    }
}

/// Refuses.
pub fn seal<W: Write>(_recipients: &[String], _from: &mut dyn Read, _to: W) -> Result<W> {
    Err(off(Kind::Refused))
}

fn off(kind: Kind) -> Error {
    Error::new(kind, "this tillstick was built without encryption")
        .help("use a build with the feature `encryption`; `age` itself opens such files, too")
}
