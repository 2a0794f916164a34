//! Takes chosen backups off a stick.

use super::fs::StickFs;
use super::generations::{Denied, survey};
use super::repair::{free, repair};
use super::sums;
use crate::error::{Error, Kind, Result};
use crate::model::{BackupId, Run};

/// Takes the backups `ids` of the box `box_id` off the stick, after an earlier, interrupted run is put right. Pulled at
/// any moment, the stick shows each of them whole or not at all. The newest backup of a box stays whatever is asked.
///
/// # Errors
/// [`Kind::Refused`] when one of them is the newest; nothing has gone then.
pub fn remove(fs: &mut dyn StickFs, box_id: &str, ids: &[&BackupId], run: &Run) -> Result<()> {
    repair(fs, run)?;
    let found = survey(fs, &Denied::new())?;
    for folder in &found.boxes {
        let newest = folder.generations.first().filter(|newest| newest.manifest.box_id == box_id);
        if let Some(newest) = newest.filter(|newest| ids.contains(&newest.id())) {
            return Err(Error::new(Kind::Refused, format!("{} is the newest backup on the stick", newest.id())));
        }
    }
    sums::withdraw(fs)?;
    for folder in &found.boxes {
        let own = folder.generations.iter().filter(|held| held.manifest.box_id == box_id);
        for generation in own.filter(|held| ids.contains(&held.id())) {
            run.check()?;
            free(fs, &folder.name, generation)?;
        }
    }
    let left = survey(fs, &Denied::new())?;
    sums::refresh(fs, &left, run)?;
    fs.sync()
}
