//! Restores on a server that may be cut short: what they make and what they change is written down first
//! (`<state>/restores/<name>.json`). The next command or the agent undoes what had not come to the renaming, and finishes what had.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::owed::{self, Note};
use super::record::one_line;
use super::{Site, served, set_aside};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{FileName, Run};
use crate::source::Served;
use crate::source::server::{Settled, Swap, Swapped, uncancelled};

const RESTORES: &str = "restores";

/// What helps when the note of a restore is not readable.
const UNREADABLE: &str = "look at the databases of the server by hand, and remove the file";

/// A restore under way.
#[derive(Debug, Serialize, Deserialize)]
struct Owed {
    /// The source whose server it is.
    source: FileName,
    /// The source's database.
    database: String,
    since: Timestamp,
    /// The database that is being made.
    making: String,
    /// How it takes the place of the old one, once that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    swap: Option<Swap>,
}

/// A restore that makes a new database.
pub(super) struct Restoring<'s> {
    served: &'s Served,
    owed: Owed,
    note: Note,
}

impl<'s> Restoring<'s> {
    /// From here on the database `making`, which is not there yet, is taken away again when we die.
    pub(super) fn begin(site: &Site, source: &FileName, served: &'s Served, making: &str) -> Result<Self> {
        let owed = Owed {
            source: source.clone(),
            database: served.name().to_owned(),
            since: Timestamp::now(),
            making: making.to_owned(),
            swap: None,
        };
        let note = Note::write(&site.config.state.join(RESTORES), "restore", &owed)?;
        Ok(Self { served, owed, note })
    }

    /// What was made stays.
    pub(super) fn over(&self) -> Result<()> {
        self.note.done()
    }

    /// It failed, and what was made should be gone. Where that is not so, because the server went away, the next command sees to it.
    pub(super) fn failed(&self) -> Result<()> {
        match self.served.named(&self.owed.making).is_there(&uncancelled()) {
            Ok(false) => self.note.done(),
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Puts the new database into the place of the old one; gives what that is called now. A failure leaves the old one as it
    /// was, or says that it is to be settled.
    pub(super) fn put_in_place(
        &mut self,
        site: &Site,
        before: &str,
        warnings: &mut Vec<String>,
        run: &Run,
    ) -> Result<Option<String>> {
        let doing = || format!("cannot put the restored database into the place of {:?}", self.served.name());
        let planned = self.served.plan(&self.owed.making, before, run).context(doing);
        let swap = match planned {
            Ok((swap, told)) => {
                warnings.extend(told);
                swap
            }
            Err(error) => {
                // The first error counts.
                let _ = self.served.named(&self.owed.making).drop_database(&uncancelled());
                self.failed()?;
                return Err(error);
            }
        };
        self.owed.swap = Some(swap.clone());
        self.note.rewrite(&self.owed)?;
        match self.served.carry_out(&swap, run) {
            Swapped::InPlace { warnings: told } => {
                warnings.extend(told);
                if let Some(before) = swap.before() {
                    set_aside::note(site, &self.owed.source, &self.owed.database, before)?;
                }
                self.over()?;
                Ok(swap.before().map(str::to_owned))
            }
            Swapped::Undone(error) => {
                self.over()?;
                Err(error)
                    .context(|| format!("cannot put the restored database into the place of {:?}", self.served.name()))
            }
            Swapped::Unfinished(error) => Err(Error::new(
                error.kind(),
                format!("the restore of {:?} stopped in the middle of changing places", self.served.name()),
            )
            .because(error)
            .help("the next command of tillstick, or the agent, undoes or finishes it")),
        }
    }
}

/// Undoes or finishes the restores of processes that died. Tells what was done and what failed.
pub(super) fn settle(site: &Site, wait: bool) -> Vec<String> {
    let notes = owed::abandoned(&site.config.state.join(RESTORES), wait);
    notes.map(|note| settle_one(site, &note).unwrap_or_else(|error| one_line(&error.report()))).collect()
}

fn settle_one(site: &Site, note: &Note) -> Result<String> {
    let owed: Owed = note.read(UNREADABLE)?;
    let (database, making, since) = (&owed.database, &owed.making, owed.since.strftime("%Y-%m-%d %H:%M:%S UTC"));
    let doing = || {
        let path = &note.path;
        format!(
            "a restore of {database:?} that was cut short at {since} is not undone yet; it is tried again ({path:?})"
        )
    };
    let served = served_of(site, &owed).context(doing)?;
    let told = match &owed.swap {
        None => {
            let made = served.named(making);
            if made.is_there(&uncancelled()).context(doing)? {
                made.drop_database(&uncancelled()).context(doing)?;
            }
            format!("a restore that was cut short at {since} had not finished {making:?}, which was dropped")
        }
        Some(swap) => match served.settle(swap, &uncancelled()).context(doing)? {
            Settled::Undone => {
                format!(
                    "a restore of {database:?} that was cut short at {since} was undone: the old database is in its place"
                )
            }
            Settled::Finished(warnings) => {
                if let Some(before) = swap.before() {
                    set_aside::note(site, &owed.source, &owed.database, before)?;
                }
                let old = swap.before().map_or(String::new(), |before| format!(", the old one is {before:?}"));
                let warnings: String = warnings.iter().map(|warning| format!("; {warning}")).collect();
                format!("a restore of {database:?} that was cut short at {since} was finished{old}{warnings}")
            }
        },
    };
    note.done()?;
    Ok(told)
}

fn served_of(site: &Site, owed: &Owed) -> Result<Served> {
    let served = site.config.sources.get(&owed.source).and_then(|source| served::server_of(&source.kind));
    let served = served.ok_or_else(|| {
        Error::new(Kind::Config, format!("the configuration no longer has the source `{}` of a server", owed.source))
            .help("put it back until this is done")
    })?;
    Ok(served.named(&owed.database))
}

/// Whether a restore is to be undone or finished.
pub(super) fn are_owed(state: &Path) -> bool {
    !owed::paths(&state.join(RESTORES)).is_empty()
}

/// No second restore of a database begins while one is to be undone or finished.
pub(super) fn refuse_if_owed(site: &Site, source: &FileName, served: &Served) -> Result<()> {
    for note in owed::abandoned(&site.config.state.join(RESTORES), false) {
        let owed: Owed = note.read(UNREADABLE)?;
        if owed.source == *source && owed.database == served.name() {
            settle_one(site, &note)?;
        }
    }
    Ok(())
}
