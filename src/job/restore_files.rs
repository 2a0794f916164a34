//! The restore of files: into a new folder, or in place of those in use, with a preview.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::artifact::Checked;
use super::plumbing::text_of;
use super::provenance::Trust;
use super::record::recorded;
use super::restore::{Chosen, Origin, again, prove};
use super::{Site, quiesce};
use crate::config::SourceKind;
use crate::error::{Context, Error, Kind, Result};
use crate::journal::RunKind;
use crate::model::{ArtifactFacts, FileName, Run, Stage};
use crate::pack::Unpacker;
use crate::source::files::{self, Changes, Files, InPlace, Replaced, Unpacked};

/// What a restore of files came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The new folder; `None` for a restore in place.
    pub target: Option<PathBuf>,
    /// Files, folders and links that were made.
    pub entries: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// What was changed in place.
    pub changes: Option<Changes>,
    /// Where the replaced files are now.
    pub set_aside: Vec<PathBuf>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The source of the configuration whose files are meant.
pub fn source(site: &Site, name: &FileName) -> Result<Files> {
    match site.config.sources.get(name).map(|source| &source.kind) {
        Some(SourceKind::Files(files)) => Ok(site.files(files)),
        _ => Err(Error::new(Kind::Usage, format!("the configuration has no source `{name}` of files"))
            .help("use --into DIR, or name a source of files with --source")),
    }
}

/// An archive that is read more than once.
pub struct Content<'a> {
    /// The box.
    pub site: &'a Site,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// What is known of it.
    pub chosen: &'a Chosen,
    /// Whose backups can be opened.
    pub trust: &'a Trust,
}

impl Content<'_> {
    /// The archive from its begin.
    fn open(&self, run: &Run) -> Result<Box<dyn Read + '_>> {
        reader(again(self.site, self.origin, self.trust, run)?.content, self.chosen.facts.as_ref())
    }
}

/// The text of an archive, checked against its manifest where there is one.
fn reader<'a>(content: Box<dyn Read + Send + 'a>, facts: Option<&'a ArtifactFacts>) -> Result<Box<dyn Read + 'a>> {
    Ok(match facts {
        Some(facts) => Box::new(Unpacker::new(Checked::new(content, facts))),
        None => text_of(content)?,
    })
}

/// What a restore in place would change.
pub fn preview(content: &Content, files: &Files, run: &Run) -> Result<Changes> {
    run.begin(Stage::Compare, content.chosen.name.clone(), content.chosen.text_size());
    let compared = files::against(content.open(run)?, files, run)?;
    run.end(Stage::Compare);
    Ok(compared.changes)
}

/// Restores into a new folder.
pub fn into(site: Option<&Site>, chosen: &mut Chosen, target: &Path, run: &Run) -> Result<Report> {
    let unpacked = recorded(site, RunKind::Restore, run, |record, run| {
        record.begin();
        run.begin(Stage::Load, chosen.name.clone(), chosen.text_size());
        let content = std::mem::replace(&mut chosen.content, Box::new(std::io::empty()));
        let archive = reader(content, chosen.facts.as_ref());
        let unpacked = archive.and_then(|archive| files::into_new(archive, target, run));
        let unpacked = unpacked.context(|| format!("cannot restore {:?}", chosen.name));
        run.end(Stage::Load);
        prove(record, chosen, unpacked)
    })?;
    let Unpacked { entries, bytes, warnings } = unpacked;
    let warnings = chosen.warnings.drain(..).chain(warnings).collect();
    Ok(Report { target: Some(target.to_owned()), entries, bytes, changes: None, set_aside: Vec::new(), warnings })
}

/// Restores in place of the files in use; those that are replaced are kept.
pub fn in_place(content: &Content, name: &FileName, label: &str, run: &Run) -> Result<Report> {
    let Content { site, chosen, .. } = *content;
    let files = source(site, name)?;
    let plan = site.config.state.join(format!("restore-{name}.plan"));
    let place = InPlace { files: &files, source: name.as_str(), label, plan };
    let (replaced, finished) = recorded(Some(site), RunKind::Restore, run, |record, run| {
        let _lock = site.primary.lock("restore")?;
        record.begin();
        let finished = place.resume(run)?;
        run.begin(Stage::Load, chosen.name.clone(), chosen.text_size());
        let all = quiesce::hold(site, None, "restore", run)?;
        let own = quiesce::hold(site, Some(name), "restore", run)?;
        let replaced = place.run(&mut || content.open(run), run);
        let held = [own, all].map(|mut hold| [std::mem::take(&mut hold.warnings), hold.release()].concat()).concat();
        held.into_iter().for_each(|line| run.warn(line));
        let replaced = replaced.context(|| format!("cannot restore {:?}", chosen.name));
        run.end(Stage::Load);
        Ok((prove(record, chosen, replaced)?, finished))
    })?;
    let Replaced { unpacked: Unpacked { entries, bytes, warnings }, changes, set_aside } = replaced;
    let warnings = finished.into_iter().chain(chosen.warnings.iter().cloned()).chain(warnings).collect();
    Ok(Report { target: None, entries, bytes, changes: Some(changes), set_aside, warnings })
}
