//! What the runs of a box had to say, in a store: `logs/<customer>/<box>/<run>.jsonl.gz`.

use super::{Content, Store};
use crate::error::Result;
use crate::model::{FileName, LOGS, Run};

/// So many runs of a box stay; of those before them the store is cleared.
const KEPT: usize = 1000;

/// Puts there what the run `name` had to say.
pub fn put(store: &mut dyn Store, of: (&FileName, &FileName), name: &str, packed: Vec<u8>, run: &Run) -> Result<()> {
    let (customer, box_name) = of;
    store.put(&format!("{LOGS}/{customer}/{box_name}/{name}.jsonl.gz"), &Content::bytes(packed), run).map(drop)
}

/// Removes what is more than stays: the oldest, as the names begin with the time.
pub fn clear(store: &mut dyn Store, of: (&FileName, &FileName), run: &Run) -> Result<()> {
    let dir = format!("{LOGS}/{}/{}", of.0, of.1);
    let mut names: Vec<String> = store.list(&dir)?.into_iter().filter(|e| !e.is_dir).map(|e| e.name).collect();
    names.sort_unstable();
    for name in names.iter().rev().skip(KEPT) {
        run.check()?;
        store.delete(&format!("{dir}/{name}"))?;
    }
    Ok(())
}
