//! Packs that no backup needs any more.

use std::collections::BTreeSet;

use super::parts::PackName;
use super::{Held, PACKS, Shelf};
use crate::error::Result;
use crate::model::{BackupId, Run};
use crate::store::Store;

impl Shelf {
    /// Removes the packs that nobody needed when `held` was looked at, once the backups `gone` are removed, and what is left
    /// of packs that were never finished.
    pub fn sweep(&self, store: &mut dyn Store, held: &Held, gone: &[BackupId], run: &Run) -> Result<()> {
        let (mut needed, mut newest): (BTreeSet<&PackName>, _) = (BTreeSet::new(), None);
        for (id, claims) in held.claims.iter().filter(|(id, _)| !gone.contains(id)) {
            match claims {
                Some(claims) => needed.extend(claims),
                // It may need any of them.
                None => {
                    run.warn(format!("{id}: the list of its parts is damaged, so no pack is removed"));
                    return Ok(());
                }
            }
            newest = Some(id);
        }
        let is_needless = |name: &PackName| !needed.contains(name);
        for name in held.packs.iter().filter_map(|entry| PackName::parse(&entry.name)).filter(is_needless) {
            run.check()?;
            store.delete(&self.pack_path(&name))?;
        }
        if held.claims.is_empty() {
            return Ok(());
        }
        // What another program sends at this moment is newer than all that was seen.
        let keep = |name: &str| {
            PackName::parse(name)
                .is_none_or(|name| !is_needless(&name) || newest.is_none_or(|newest| name.id() > newest.as_str()))
        };
        store.give_up(&format!("{}/{PACKS}", self.dir()), &keep)
    }
}
