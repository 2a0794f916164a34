//! The trial of a store: writes, reads, lists and deletes a probe, and says what is missing.

use std::io::Read as _;

use serde::Serialize;

use super::{Opened, StoreAt};
use crate::error::{Context, Error, Kind, Result};
use crate::host::entropy;
use crate::job::Site;
use crate::model::{FileName, Run};
use crate::store::Content;

/// The size of the probe in bytes: more than one packet, less than anybody waits for.
const SIZE: usize = 100_000;

/// One step of the trial.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was tried.
    pub what: &'static str,
    /// What there is to say of it.
    pub said: Option<String>,
    /// Bytes that may still be written, of the step that asks for them and where that can be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Why it failed; then nothing more was tried.
    pub problem: Option<String>,
}

/// Tries a store out. It touches nothing but a file of its own.
pub fn probe(site: &Site, name: &FileName, run: &Run) -> Result<Vec<Step>> {
    let at = StoreAt::of(site, name)?;
    let _lock = at.lock(site, "test")?;
    let mut steps = Vec::new();
    let mut opened = match at.open(site, run) {
        Ok(opened) => {
            steps.push(Step { what: "open", said: opened.label(), free: None, problem: None });
            opened
        }
        Err(error) => return told(steps, "open", Err(error)).map(|(steps, _)| steps),
    };
    let bytes: Vec<u8> = entropy::bytes::<32>()?.iter().copied().cycle().take(SIZE).collect();
    let dir = format!("{}/{}", site.config.customer, site.config.box_name);
    let path = format!("{dir}/probe");
    for what in ["whose folder it is", "write", "list", "read", "delete", "free space"] {
        let mut free = None;
        let tried = match what {
            "whose folder it is" => opened.shelf.refuse_if_anothers(opened.store.as_mut(), &site.box_id).map(|()| None),
            "write" => opened.store.put(&path, &Content::bytes(bytes.clone()), run).map(|_| None),
            "list" => listed(&mut opened, &dir, true).map(|()| None),
            "read" => read(&mut opened, &path, &bytes).map(|()| None),
            "delete" if at.config.append_only => Ok(Some("not tried: append_only".to_owned())),
            "delete" => opened.store.delete(&path).and_then(|()| listed(&mut opened, &dir, false)).map(|()| None),
            _ => opened.store.free().map(|known| {
                free = known;
                known.is_none().then(|| "not known for this type".to_owned())
            }),
        };
        let failed;
        (steps, failed) = told(steps, what, tried)?;
        if let Some(step) = steps.last_mut() {
            step.free = free;
        }
        if failed {
            // Whatever failed, nothing is to stay; the first error counts.
            let _ = opened.store.delete(&path);
            break;
        }
    }
    Ok(steps)
}

fn told(mut steps: Vec<Step>, what: &'static str, tried: Result<Option<String>>) -> Result<(Vec<Step>, bool)> {
    match tried {
        Err(error) if error.kind() == Kind::Cancelled => return Err(error),
        Ok(said) => steps.push(Step { what, said, free: None, problem: None }),
        Err(error) => {
            steps.push(Step { what, said: None, free: None, problem: Some(error.report()) });
            return Ok((steps, true));
        }
    }
    Ok((steps, false))
}

fn listed(opened: &mut Opened, dir: &str, there: bool) -> Result<()> {
    let found = opened.store.list(dir)?.iter().any(|entry| entry.name == "probe" && entry.size == SIZE as u64);
    match (found, there) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(Error::new(Kind::Io, "what was just written is not in the list")),
        (true, false) => Err(Error::new(Kind::Io, "what was just deleted is still in the list")),
    }
}

fn read(opened: &mut Opened, path: &str, expected: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    let mut reader = opened.store.open(path)?.take(2 * SIZE as u64);
    reader.read_to_end(&mut bytes).context(|| format!("cannot read {path:?}"))?;
    match bytes == expected {
        true => Ok(()),
        false => Err(Error::new(Kind::Damaged, "what was just written reads back otherwise")),
    }
}
