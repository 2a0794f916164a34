//! An artifact that lies in packs, read as if it were a file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::parts::{PackName, Part};
use super::{PACKS, PARTS, Shelf, Shelved};
use crate::error::{Context, Error, Kind, Result};
use crate::host::scratch;
use crate::model::{ArtifactName, BackupId, Run};
use crate::store::content::hash;
use crate::store::{Ranges, Store};
use crate::trust::sealing::Identities;

/// How much of an encrypted pack is read at once, in bytes.
const READ_LEN: usize = 256 << 10;

/// What packs that are encrypted are opened with.
pub struct Unsealing<'a> {
    /// The keys.
    pub identities: &'a Identities,
    /// A folder with room for an artifact.
    pub scratch: &'a Path,
}

impl Shelf {
    /// The content of an artifact that lies in packs; `missing` is what a look for its file said.
    pub(super) fn rebuilt(
        &self,
        store: &mut dyn Store,
        id: &BackupId,
        name: &ArtifactName,
        unsealing: &Unsealing<'_>,
        missing: Error,
    ) -> Result<Box<dyn Read + Send>> {
        let parts = match self.read_parts(store, id) {
            Err(error) if error.kind() == Kind::Missing => return Err(missing),
            parts => parts?,
        };
        let damaged = || Error::new(Kind::Damaged, format!("{PARTS} of {id} does not say where `{name}` lies"));
        let parts = parts.as_ref().and_then(|parts| parts.of(name)).ok_or_else(damaged)?;
        if parts.iter().any(|part| !part.pack.seal().is_none()) {
            let unsealed = self.unseal(store, parts, unsealing).context(|| format!("cannot open `{name}` of {id}"))?;
            return Ok(Box::new(unsealed));
        }
        let folder = format!("{}/{PACKS}", self.dir());
        Ok(Box::new(Rebuilt { ranges: store.ranges(), folder, parts: parts.to_vec().into(), open: None, left: 0 }))
    }

    /// Puts an artifact together in a file without a name: each pack is opened once, and not kept.
    fn unseal(&self, store: &mut dyn Store, parts: &[Part], unsealing: &Unsealing<'_>) -> Result<File> {
        let mut file = scratch::nameless(unsealing.scratch)?;
        let mut places: BTreeMap<&PackName, Vec<Place>> = BTreeMap::new();
        let mut to = 0;
        for Part { pack, offset, length } in parts {
            places.entry(pack).or_default().push(Place { from: *offset, until: offset + length, to });
            to += length;
        }
        for (pack, mut places) in places {
            let sealed = store.open(&self.pack_path(pack))?;
            let mut content = match pack.seal().is_none() {
                true => sealed,
                false => unsealing.identities.open(sealed)?,
            };
            places.sort_by_key(|place| place.from);
            scatter(&mut content, &places, &file).context(|| format!("cannot read {pack}"))?;
        }
        file.rewind().context(|| "cannot read what was put together".into())?;
        Ok(file)
    }

    /// Why these keys do not open the packs of a backup, all of which are encrypted to the same recipients. Whatever else
    /// is wrong with them is found when they are read.
    pub fn closed(&self, store: &mut dyn Store, found: &Shelved, identities: &Identities) -> Option<Error> {
        let pack = found.a_sealed_pack()?;
        let sealed: Box<dyn Read + Send> = match identities.is_empty() {
            true => Box::new(io::empty()),
            false => store.open(&self.pack_path(pack)).ok()?,
        };
        identities.open(sealed).err().filter(|error| error.kind() == Kind::Sealed)
    }

    /// Reads a pack through, and fails unless it is what was put there; nobody's key is needed.
    pub fn check_pack(&self, store: &mut dyn Store, pack: &PackName, run: &Run) -> Result<()> {
        let (_, sha256) = hash(&mut store.open(&self.pack_path(pack))?, run)?;
        match pack.is_of(&sha256) {
            true => Ok(()),
            false => Err(Error::new(Kind::Damaged, format!("the pack {pack} is not what was put there"))),
        }
    }
}

/// Bytes of a pack, and where they go.
struct Place {
    from: u64,
    until: u64,
    to: u64,
}

/// Writes what a pack has to all its places, which are sorted by where they begin in it.
fn scatter(pack: &mut dyn Read, places: &[Place], file: &File) -> Result<()> {
    let end = places.iter().map(|place| place.until).max().unwrap_or(0);
    let (mut begin, mut first) = (0, 0);
    let mut buffer = vec![0; READ_LEN];
    while begin < end {
        let read = pack.read(&mut buffer).context(|| "cannot read it".into())?;
        if read == 0 {
            return Err(Error::new(Kind::Damaged, "it is shorter than it was"));
        }
        let next = begin + read as u64;
        for place in places[first..].iter().take_while(|place| place.from < next) {
            let (from, until) = (place.from.max(begin), place.until.min(next));
            if from < until {
                let bytes = &buffer[(from - begin) as usize..(until - begin) as usize];
                file.write_all_at(bytes, place.to + (from - place.from)).context(|| "cannot put it together".into())?;
            }
        }
        begin = next;
        first += places[first..].iter().take_while(|place| place.until <= begin).count();
    }
    Ok(())
}

/// Reads one part after the other.
struct Rebuilt {
    ranges: Box<dyn Ranges>,
    folder: String,
    parts: VecDeque<Part>,
    open: Option<Box<dyn Read + Send>>,
    /// What is to come of the part that is open.
    left: u64,
}

impl Rebuilt {
    fn next(&mut self, part: &Part) -> Result<()> {
        let Part { pack, offset, length } = part;
        let path = format!("{}/{pack}", self.folder);
        self.open = Some(self.ranges.open_range(&path, *offset, *length).context(|| "cannot open a pack".into())?);
        self.left = *length;
        Ok(())
    }
}

impl Read for Rebuilt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.left == 0 {
            // What was read to its end is closed before the next one is opened.
            self.open = None;
            let Some(part) = self.parts.pop_front() else { return Ok(0) };
            self.next(&part)?;
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.open.as_mut().map_or(Ok(0), |open| open.read(&mut buffer[..most]))?;
        if read == 0 {
            return Err(Error::new(Kind::Damaged, "a pack is shorter than it was").into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}
