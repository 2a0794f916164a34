//! The udev rules of enrolled sticks, as files: each is written when its stick is enrolled and goes when it is forgotten.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::policy::automount;
use crate::policy::enrol::Enrolment;

/// Writes the rule that has other programs leave the stick alone. udev reads it by itself, at the latest with the next plug.
pub fn write(dir: &Path, enrolment: &Enrolment) -> Result<()> {
    let text = automount::rule(enrolment)
        .map_err(|why| Error::new(Kind::Refused, format!("no udev rule is written for the stick: {why}")))?;
    let name = automount::file_name(&enrolment.id)
        .ok_or_else(|| Error::new(Kind::Damaged, "the enrolment has an id that is no name of a file"))?;
    fs::create_dir_all(dir).context(|| format!("cannot make the folder {dir:?}"))?;
    durable::write(&dir.join(name), text.as_bytes(), 0o644)
}

/// Removes the rule of an enrolment, if there is one.
pub fn remove(dir: &Path, id: &str) -> Result<()> {
    let Some(name) = automount::file_name(id) else { return Ok(()) };
    let path = dir.join(name);
    match fs::remove_file(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        other => other.context(|| format!("cannot remove the udev rule {path:?}")),
    }
}
