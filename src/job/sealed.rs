//! A backup as it goes to a medium that is encrypted: the same backup with its artifacts sealed, and a manifest of its own
//! that says so. Everything between here and the medium then goes on as always, with sizes and sums of what is sealed.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Site;
use super::artifact::Checked;
use crate::error::{Context, Result};
use crate::host::durable;
use crate::model::{ArtifactFacts, Manifest, PlainFacts, Run, Stage};
use crate::primary::{Primary, Stored};
use crate::trust::sealing::{Identities, seal};
use crate::trust::signing::BoxKey;

/// Beside the backups in the primary; each medium has a folder of its own there.
const FOLDER: &str = ".sealed";

/// The sealed backups for one medium: the newest that was sealed stays until it has arrived, so that a copy that was cut
/// off goes on with the very same bytes.
pub(super) struct Sealed(Primary);

impl Sealed {
    /// Those for the medium of this name.
    pub(super) fn for_medium(site: &Site, name: &str) -> Result<Self> {
        // A medium's name may come from a stick.
        let name = format!("{:x}", Sha256::digest(name));
        Ok(Self(Primary::open(&site.primary.dir().join(FOLDER).join(&name[..16]))?))
    }

    /// The backup, sealed to these recipients.
    pub(super) fn seal(&self, site: &Site, stored: &Stored, recipients: &[String], run: &Run) -> Result<Stored> {
        let lock = self.0.lock("encrypt a backup")?;
        self.0.sweep(&lock)?;
        let plain = stored.manifest()?;
        for other in self.0.list()? {
            // Sealed for other recipients, or before the backup was made anew, it is of no use.
            let fits = other.manifest().is_ok_and(|sealed| sealed.is_sealed_from(&plain) && other.is_whole(&sealed));
            if fits && *other.id() == plain.id && sealed_to(&other) == text_of(recipients) {
                return Ok(other);
            }
            self.0.remove(&lock, other.id())?;
        }
        let draft = self.0.begin(&lock, plain.id.clone(), site.config.primary.min_free)?;
        let mut artifacts = Vec::new();
        for facts in &plain.artifacts {
            run.begin(Stage::Seal, facts.name.as_str(), facts.size);
            let doing = || format!("cannot encrypt `{}`", facts.name);
            let mut from = Watched { inner: Checked::new(stored.open(&facts.name)?, facts), done: 0, run };
            let name = facts.name.sealed();
            let file = seal(recipients, &mut from, draft.artifact(&name)?).context(doing)?;
            let (size, sha256) = file.finish().context(doing)?;
            run.end(Stage::Seal);
            let plain = Some(PlainFacts { size: facts.size, sha256: facts.sha256.clone() });
            artifacts.push(ArtifactFacts { name, size, sha256, plain, ..facts.clone() });
        }
        let key = BoxKey::read_or_make(&site.config.state).ok();
        let manifest = Manifest { artifacts, signed_by: key.as_ref().map(BoxKey::public), ..plain };
        let stored = draft.finish(&manifest, |bytes| key.map(|key| key.sign(bytes)))?;
        fs::write(stored.dir().join(RECIPIENTS), text_of(recipients))
            .context(|| "cannot note the recipients".into())?;
        Ok(stored)
    }

    /// The pack whose content has this name, sealed into a file that stays until it has arrived.
    pub(super) fn seal_pack(
        &self,
        site: &Site,
        content: &str,
        recipients: &[String],
        from: &mut dyn Read,
    ) -> Result<PathBuf> {
        let lock = self.0.lock("encrypt a pack")?;
        self.0.sweep(&lock)?;
        let to = format!("{:x}", Sha256::digest(text_of(recipients)));
        let path = self.0.dir().join(format!("{content}-{to}{PACK}"));
        if durable::is_there(&path)? {
            return Ok(path);
        }
        self.sweep_packs()?;
        let part = path.with_extension("part");
        let file = self.0.spool(&lock, &part, site.config.primary.min_free)?;
        seal(recipients, from, file)?.finish()?;
        durable::rename(&part, &path)?;
        Ok(path)
    }

    fn sweep_packs(&self) -> Result<()> {
        let dir = self.0.dir();
        for entry in fs::read_dir(dir).context(|| format!("cannot look into {dir:?}"))? {
            let path = entry.context(|| format!("cannot look into {dir:?}"))?.path();
            if [PACK, ".part"].iter().any(|ending| path.to_string_lossy().ends_with(ending)) && path.is_file() {
                fs::remove_file(&path).context(|| format!("cannot remove {path:?}"))?;
            }
        }
        Ok(())
    }

    /// The backup has arrived, or will never: what was sealed for this medium goes.
    pub(super) fn done(self) -> Result<()> {
        let lock = self.0.lock("clean up")?;
        self.sweep_packs()?;
        self.0.list()?.iter().try_for_each(|stored| self.0.remove(&lock, stored.id()))
    }
}

/// What the name of a sealed pack ends in.
const PACK: &str = ".pack.age";

/// To whom the backup beside it was sealed.
const RECIPIENTS: &str = "recipients";

fn text_of(recipients: &[String]) -> String {
    recipients.join("\n")
}

fn sealed_to(stored: &Stored) -> String {
    fs::read_to_string(stored.dir().join(RECIPIENTS)).unwrap_or_default()
}

/// Tells how far the reading has come, and fails once the run is cancelled.
struct Watched<'a> {
    inner: Checked<'a, File>,
    done: u64,
    run: &'a Run<'a>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.run.progress(self.done)?;
        let read = self.inner.read(buffer)?;
        self.done += read as u64;
        Ok(read)
    }
}

/// The content of an artifact as it was before it was sealed, if it was.
pub(super) fn opened<'a>(
    content: Box<dyn Read + Send + 'a>,
    facts: &ArtifactFacts,
    identities: &Identities,
) -> Result<Box<dyn Read + Send + 'a>> {
    match facts.plain {
        None => Ok(content),
        Some(_) => identities.open(content).context(|| format!("cannot open `{}`", facts.name)),
    }
}
