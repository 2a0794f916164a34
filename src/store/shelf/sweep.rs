//! Packs that no backup needs any more.

use std::collections::BTreeSet;

use super::parts::PackName;
use super::{Held, Shelf};
use crate::error::Result;
use crate::model::{BackupId, Run};
use crate::store::Store;

impl Shelf {
    /// Removes the packs that nobody needed when `held` was looked at, once the backups `gone` are removed. Gives how many bytes that were.
    pub fn sweep(&self, store: &mut dyn Store, held: &Held, gone: &[BackupId], run: &Run) -> Result<u64> {
        let mut needed: BTreeSet<&PackName> = BTreeSet::new();
        for (id, claims) in held.claims.iter().filter(|(id, _)| !gone.contains(id)) {
            match claims {
                Some(claims) => needed.extend(claims),
                // It may need any of them.
                None => {
                    run.warn(format!("{id}: the list of its parts is damaged, so no pack is removed"));
                    return Ok(0);
                }
            }
        }
        let mut freed = 0;
        for entry in &held.packs {
            let Some(name) = PackName::parse(&entry.name).filter(|name| !needed.contains(name)) else { continue };
            run.check()?;
            store.delete(&self.pack_path(&name))?;
            freed += entry.size;
        }
        Ok(freed)
    }
}
