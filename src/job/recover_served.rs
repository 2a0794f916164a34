//! The recovery of databases that a server keeps: once the configuration is back they are loaded, where the server answers and has no
//! such database. Else their dumps stay beside, with what a person does next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::artifact::Checked;
use super::record::one_line;
use super::{Site, pieces};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, Run, Stage};
use crate::pack::Unpacker;

/// Puts the dump beside, until the server can be asked.
pub(super) fn put_aside(reader: impl Read, facts: &ArtifactFacts, path: &Path) -> Result<()> {
    let doing = || format!("cannot recover {path:?}");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).context(doing)?;
    io::copy(&mut Checked::new(reader, facts), &mut file).context(doing)?;
    file.sync_all().context(doing)
}

/// Loads the dump at `path` into the server of its source; gives the database's name there. The dump stays where it failed.
pub(super) fn load(site: &Site, facts: &ArtifactFacts, path: &Path, run: &Run) -> Result<String> {
    let (_, served) = pieces::home(site, Some(facts), &facts.source)
        .filter(|(_, served)| served.kind() == facts.facts.kind)
        .ok_or_else(|| Error::new(Kind::Config, format!("the configuration has no server for `{}`", facts.source)))?;
    let file = File::open(path).context(|| format!("cannot open {path:?}"))?;
    run.begin(Stage::Load, facts.name.as_str(), facts.text.size);
    let loaded = served.load(Unpacker::new(Checked::new(file, facts)), Some(&facts.facts), run)?;
    run.end(Stage::Load);
    loaded.warnings.into_iter().for_each(|warning| run.warn(warning));
    // It is on the medium as well.
    let _ = fs::remove_file(path);
    Ok(served.name().to_owned())
}

/// What a person does with a dump that was put beside.
pub(super) fn next_step(facts: &ArtifactFacts, path: &Path, why: Option<&Error>) -> String {
    let (kind, source) = (&facts.facts.kind, &facts.source);
    if pieces::is_accounts(facts) {
        return format!(
            "{path:?} holds the accounts of a server: look through it (`zcat`), and load what you want with the server's client"
        );
    }
    let why = why.map_or(String::new(), |why| format!(" ({})", one_line(&why.report())));
    format!(
        "{path:?} is a {kind} dump that was not loaded{why}: set the server up, then `tillstick restore {} --source {source} --in-place`",
        path.display()
    )
}
