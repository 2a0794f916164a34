//! What is sent to a store of a backup: whole files or packs, encrypted or not, and only what is not there.

use super::super::record::Record;
use super::super::sealed::Sealed;
use super::{Opened, StoreAt};
use crate::config::Layout;
use crate::error::{Error, Kind, Result};
use crate::job::Site;
use crate::model::{BackupId, Run};
use crate::primary::Stored;
use crate::store::Sent;
use crate::store::shelf::{Packing, Seal, Sealer, Shelved};

/// Sends a backup. What is there already, in whatever layout, is not sent again.
pub(super) fn send(
    site: &Site,
    stored: &Stored,
    at: &StoreAt,
    opened: &mut Opened,
    record: &Record,
    run: &Run,
) -> Result<Sent> {
    let place = opened.place.clone();
    let is_damaged = |id: &BackupId| record.is_damaged(id, &place);
    let recipients = at.config.encrypt_to.as_slice();
    let sealed = match recipients {
        [] => None,
        _ => Some(Sealed::for_medium(site, at.name.as_str())?),
    };
    let sent = match (at.config.layout, &sealed) {
        _ if is_there(site, stored, at, opened, &is_damaged)? => Sent::default(),
        (Layout::Plain, None) => put(opened, stored, run)?,
        (Layout::Plain, Some(sealed)) => {
            let outgoing = sealed.seal(site, stored, recipients, run)?;
            put(opened, &outgoing, run)?
        }
        (Layout::Delta, sealed) => {
            let seal = Seal::to(recipients);
            let seal_pack = sealed.as_ref().map(|sealed| {
                move |name: &str, from: &mut dyn std::io::Read| sealed.seal_pack(site, name, recipients, from)
            });
            let sealer = seal_pack.as_ref().map(|seal| seal as Sealer<'_>);
            let packing = Packing { primary: &site.primary, seal, sealer, is_damaged: &is_damaged };
            put_delta(opened, stored, &packing, run)?
        }
    };
    sealed.map_or(Ok(()), Sealed::done)?;
    Ok(sent)
}

/// Whether the backup is there as it is to be. One that lies there readable and is to be encrypted goes first: it would
/// lie there readable for good.
fn is_there(
    site: &Site,
    stored: &Stored,
    at: &StoreAt,
    opened: &mut Opened,
    is_damaged: &dyn Fn(&BackupId) -> bool,
) -> Result<bool> {
    let Ok(there) = opened.find(stored.id()) else { return Ok(false) };
    let plain = stored.manifest()?;
    let (recipients, layout) = (&at.config.encrypt_to, at.config.layout);
    let is_readable = there.manifest == plain && !there.has_sealed_packs();
    if is_readable && !recipients.is_empty() {
        if there.manifest.box_id == site.box_id && !at.config.append_only {
            opened.shelf.remove(opened.store.as_mut(), stored.id())?;
        }
        return Ok(false);
    }
    let is_it = match &there {
        // Whole files are compared when they are put.
        Shelved { parts: None, .. } if recipients.is_empty() => layout == Layout::Delta && there.manifest == plain,
        Shelved { parts: None, .. } => there.manifest.is_sealed_from(&plain),
        Shelved { parts: Some(parts), .. } => {
            let seal = Seal::to(recipients);
            there.manifest == plain && parts.packs().keys().all(|pack| pack.seal() == seal)
        }
    };
    Ok(is_it && there.complete && !is_damaged(stored.id()))
}

fn put(opened: &mut Opened, stored: &Stored, run: &Run) -> Result<Sent> {
    room(opened, stored.manifest()?.size())?;
    opened.shelf.put(opened.store.as_mut(), stored, run)
}

fn put_delta(opened: &mut Opened, stored: &Stored, packing: &Packing<'_>, run: &Run) -> Result<Sent> {
    let delta = opened.shelf.prepare(opened.store.as_mut(), stored, packing, run)?;
    log::info!("{}: {}: {}", opened.place.store, stored.id(), delta.decision);
    room(opened, delta.size())?;
    opened.shelf.put_delta(opened.store.as_mut(), &delta, run)
}

/// A store that is full is told before anything is sent.
fn room(opened: &mut Opened, need: u64) -> Result<()> {
    match opened.store.free()? {
        Some(free) if free < need => Err(Error::new(
            Kind::NoSpace,
            format!("the backup needs {need} bytes, and {free} are free in {:?}", opened.store.label()),
        )
        .help(format!(
            "free some space there, or keep fewer backups: `tillstick prune --store {} --dry-run`",
            opened.place.store
        ))),
        _ => Ok(()),
    }
}
