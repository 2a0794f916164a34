//! The form of the state folder: enrolments, queues, notes of what is owed, and what the primary has beside its backups. An older form is
//! brought forward, that of a newer program is refused: it would be misread, and lost with the next write.
//!
//! `<state>/format` holds the number of the form. Without it the form is the first one, which none of the steps below has changed.
//! The journal has a number of its own, and so has what leaves the box.

use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;

const FORMAT: &str = "format";
const FORMAT_MAX: u64 = 100;

/// Brings the state folder from one form to the next. A step that was cut short is done again, so it must bear that.
type Step = fn(&Path) -> Result<()>;

/// From the first form on.
const STEPS: &[Step] = &[];

/// Fails when a newer program wrote the state. Nothing is changed.
pub(super) fn refuse_newer(state: &Path) -> Result<()> {
    judge(format(state)?, STEPS, state)
}

/// Brings the state to this program's form.
pub(super) fn bring_forward(state: &Path) -> Result<()> {
    through(state, STEPS)
}

fn through(state: &Path, steps: &[Step]) -> Result<()> {
    let found = format(state)?;
    judge(found, steps, state)?;
    for (number, step) in steps.iter().enumerate().skip(found - 1) {
        let next = number + 2;
        step(state).context(|| format!("cannot bring the state in {state:?} to form {next}"))?;
        durable::write(&state.join(FORMAT), format!("{next}\n").as_bytes(), 0o600)?;
    }
    Ok(())
}

fn judge(found: usize, steps: &[Step], state: &Path) -> Result<()> {
    let known = steps.len() + 1;
    if found <= known {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!("the state in {state:?} has form {found}, and this program knows form {known}"),
    )
    .help(
        "a newer tillstick has run here: install that one again; `dump`, `load`, and `restore` of a file need no state",
    ))
}

/// The form's number, which is at least 1.
fn format(state: &Path) -> Result<usize> {
    let path = state.join(FORMAT);
    let bytes = match durable::read(&path, FORMAT_MAX) {
        Err(error) if error.kind() == Kind::Missing => return Ok(1),
        bytes => bytes?,
    };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| {
        Error::new(Kind::Damaged, format!("{path:?} does not hold the number of the state's form"))
            .help("remove it if no newer tillstick has ever run here")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The queue gets another name, as a later form might have it.
    fn renames(state: &Path) -> Result<()> {
        let (old, new) = (state.join("queue"), state.join("queue.2"));
        if old.exists() {
            durable::rename(&old, &new)?;
        }
        Ok(())
    }

    fn appends(state: &Path) -> Result<()> {
        durable::write(&state.join("queue.2"), b"3", 0o600)
    }

    fn fails(_: &Path) -> Result<()> {
        Err(Error::new(Kind::NoSpace, "no room"))
    }

    #[test]
    fn the_state_goes_forward_step_by_step_and_each_is_done_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("queue"), "1").unwrap();
        assert_eq!(through(dir.path(), &[renames, fails]).unwrap_err().kind(), Kind::NoSpace);
        assert_eq!(format(dir.path()).unwrap(), 2);
        assert_eq!(fs::read(dir.path().join("queue.2")).unwrap(), b"1");
        through(dir.path(), &[fails, appends]).unwrap();
        assert_eq!(format(dir.path()).unwrap(), 3);
        assert_eq!(fs::read(dir.path().join("queue.2")).unwrap(), b"3");
        through(dir.path(), &[fails, fails]).unwrap();
    }

    #[test]
    fn a_state_of_a_newer_program_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        through(dir.path(), &[renames, appends]).unwrap();
        for refused in [through(dir.path(), &[renames]), refuse_newer(dir.path())] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), Kind::Refused);
            assert!(refused.report().contains("form 3"), "{}", refused.report());
        }
        assert_eq!(fs::read(dir.path().join(FORMAT)).unwrap(), b"3\n");
    }

    #[test]
    fn what_holds_no_number_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["", "x", "0", "-1", "99999999999999999999999"] {
            fs::write(dir.path().join(FORMAT), wrong).unwrap();
            assert_eq!(bring_forward(dir.path()).unwrap_err().kind(), Kind::Damaged, "{wrong:?}");
        }
    }
}
