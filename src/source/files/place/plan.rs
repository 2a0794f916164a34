//! The plan of a restore in place, as it lies in a file: fields that end in a zero, because paths may hold all else.

use std::path::{Path, PathBuf};

use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::{Error, Kind, Result};
use crate::host::durable;

const FIRST: &[u8] = b"tillstick restore 1";
/// The longest plan that is read, in bytes: a million changes.
const PLAN_MAX: u64 = 256 << 20;

/// What a restore is about to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The backup's id.
    pub(super) label: String,
    /// Everything is prepared: from here on it is carried out.
    pub(super) ready: bool,
    pub(super) stages: Vec<Staged>,
}

/// What is prepared on one file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Staged {
    /// The folder below which things change places.
    pub(super) base: PathBuf,
    /// The folder that holds what is prepared.
    pub(super) stage: PathBuf,
    pub(super) ops: Vec<Op>,
}

/// One change of places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// The number of what was prepared: whatever has it is the new one.
    pub(super) ino: u64,
    /// Its path below both folders.
    pub(super) path: Vec<u8>,
}

impl Plan {
    pub(super) fn new(label: &str) -> Self {
        Self { label: label.to_owned(), ready: false, stages: Vec::new() }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut out = Vec::new();
        let mut put = |field: &[u8]| {
            out.extend_from_slice(field);
            out.push(0);
        };
        put(FIRST);
        put(self.label.as_bytes());
        put(if self.ready { b"ready" } else { b"preparing" });
        for staged in &self.stages {
            put(staged.base.as_os_str().as_bytes());
            put(staged.stage.as_os_str().as_bytes());
            put(staged.ops.len().to_string().as_bytes());
            for op in &staged.ops {
                put(op.ino.to_string().as_bytes());
                put(&op.path);
            }
        }
        durable::write(path, &out, 0o600)
    }

    /// The plan at `path`; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        if !durable::is_there(path)? {
            return Ok(None);
        }
        let bytes = durable::read(path, PLAN_MAX)?;
        let wrong = || {
            Error::new(Kind::Damaged, format!("{path:?}, the plan of a restore that was cut short, is damaged"))
                .help("look for folders that begin with .tillstick-restore- beside the files, and remove the plan")
        };
        Self::parse(&bytes).map(Some).ok_or_else(wrong)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        if fields.next()? != FIRST {
            return None;
        }
        let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
        let label = text(fields.next()?)?;
        let ready = fields.next()? == b"ready";
        let mut stages = Vec::new();
        while let Some(base) = fields.next() {
            let path = |field: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(field.to_vec()));
            let (base, stage) = (path(base), path(fields.next()?));
            let count: u64 = text(fields.next()?)?.parse().ok()?;
            let mut ops = Vec::new();
            for _ in 0..count {
                ops.push(Op { ino: text(fields.next()?)?.parse().ok()?, path: fields.next()?.to_vec() });
            }
            stages.push(Staged { base, stage, ops });
        }
        Some(Self { label, ready, stages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_as_it_was_and_half_of_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let ops = vec![Op { ino: 7, path: b"a\n\xff/b".to_vec() }];
        let staged = Staged { base: "/etc".into(), stage: "/etc/.s".into(), ops };
        let plan = Plan { label: "20261122T200002Z".into(), ready: true, stages: vec![staged] };
        plan.write(&path).unwrap();
        assert_eq!(Plan::read(&path).unwrap().unwrap(), plan);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(Plan::parse(&bytes[..bytes.len() - 4]), None);
        assert_eq!(Plan::read(&dir.path().join("none")).unwrap(), None);
    }
}
