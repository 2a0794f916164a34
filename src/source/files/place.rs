//! Files take the place of those in use. All that changes is unpacked beside them first; then each one changes places with
//! the old one at one instant. A plan of that is kept, so that what was cut short is finished by whoever comes next.
//!
//! What is prepared lies in a folder on the same file system, above what the source names wherever that is possible; in
//! the end it holds what was replaced and gets its final name.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Files;
use super::compare::{Base, Change, Changes, InUse, against, descend, format_path};
use super::format::{Entry, What};
use super::read::Archive;
use super::unpack::{Maker, Stage, Unpacked};
use super::walk::{BEFORE, STAGE, names};
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::host::durable;
use crate::host::tree::{Dir, Kind};
use crate::model::Run;

mod plan;
use plan::{Op, Plan, Staged};

/// What a restore in place came to.
#[derive(Debug, Default, Serialize)]
pub struct Replaced {
    /// What was unpacked.
    pub unpacked: Unpacked,
    /// What was changed.
    pub changes: Changes,
    /// Where the replaced files are now.
    pub set_aside: Vec<PathBuf>,
}

/// A restore in place of one source.
pub struct InPlace<'a> {
    /// The source as it is configured now.
    pub files: &'a Files,
    /// Its name.
    pub source: &'a str,
    /// The id of the backup, for names.
    pub label: &'a str,
    /// Where the plan is kept.
    pub plan: PathBuf,
}

/// Where something goes: the folder that holds what is prepared, and the path below it.
struct Spot {
    base: PathBuf,
    rest: Vec<u8>,
}

impl InPlace<'_> {
    /// Finishes, or clears away, what a restore that died has left; tells what it did.
    pub fn resume(&self, run: &Run) -> Result<Option<String>> {
        let Some(plan) = Plan::read(&self.plan)? else { return Ok(None) };
        let told = if plan.ready {
            let aside = self.carry_out(&plan, run)?;
            format!("finished a restore of {} that was cut short; what it replaced is in {aside:?}", plan.label)
        } else {
            for staged in &plan.stages {
                remove(&staged.stage)?;
            }
            format!("cleared away what a restore of {} that was cut short had prepared", plan.label)
        };
        durable_remove(&self.plan)?;
        Ok(Some(told))
    }

    /// Puts the files of an archive in place, which `open` opens as often as it is asked.
    pub fn run<'r>(&self, open: &mut dyn FnMut() -> Result<Box<dyn Read + 'r>>, run: &Run) -> Result<Replaced> {
        let compared = against(open()?, self.files, run)?;
        let mut plan = Plan::new(self.label);
        let (unpacked, folders) = match self.prepare(open()?, &compared.each, &mut plan, run) {
            Ok(prepared) => prepared,
            Err(error) => {
                // Nothing in use was touched.
                for staged in &plan.stages {
                    let _ = remove(&staged.stage);
                }
                let _ = durable_remove(&self.plan);
                return Err(error);
            }
        };
        for staged in &mut plan.stages {
            staged.ops = ops(staged)?;
        }
        plan.ready = true;
        plan.write(&self.plan)?;
        let set_aside = self.carry_out(&plan, run)?;
        let mut replaced = Replaced { unpacked, changes: compared.changes, set_aside };
        replaced.unpacked.warnings.extend(self.finish_folders(&folders, &plan, &compared.each, run)?);
        durable_remove(&self.plan)?;
        Ok(replaced)
    }

    /// Unpacks what changes. Gives the folders of the archive too, with their numbers in it.
    fn prepare(
        &self,
        archive: impl Read,
        each: &[Change],
        plan: &mut Plan,
        run: &Run,
    ) -> Result<(Unpacked, Vec<(usize, Entry)>)> {
        let mut archive = Archive::new(archive);
        let mut makers: Vec<Maker> = Vec::new();
        let mut folders = Vec::new();
        let mut number = 0;
        while let Some(mut entry) = archive.next()? {
            let change = each.get(number).copied().ok_or_else(changed)?;
            number += 1;
            if matches!(entry.what, What::Other(_)) || change == Change::Foreign {
                continue;
            }
            if entry.what == What::Dir {
                folders.push((number - 1, entry.clone()));
            }
            if change == Change::Same || change == Change::Attributes && entry.what == What::Dir {
                continue;
            }
            let spot = self.spot(&entry.path)?;
            let at = match plan.stages.iter().position(|staged| staged.base == spot.base) {
                Some(at) => at,
                None => {
                    let stage = spot.base.join(format!("{STAGE}{}", self.label));
                    plan.stages.push(Staged { base: spot.base.clone(), stage: stage.clone(), ops: Vec::new() });
                    plan.write(&self.plan)?;
                    remove(&stage)?;
                    std::mem::forget(Stage::new(stage.clone())?);
                    makers.push(Maker::new(&stage, run)?);
                    makers.len() - 1
                }
            };
            entry.path = spot.rest;
            let mut full = Vec::new();
            if let What::Second(first) = &mut entry.what {
                let spot = self.spot(first)?;
                full = std::mem::replace(first, spot.rest);
            }
            makers[at].make(&entry, &mut archive, &mut |_| InUse(self.files).parent(&full))?;
        }
        let mut all = Unpacked::default();
        for maker in makers {
            let one = maker.finish()?;
            all.entries += one.entries;
            all.bytes += one.bytes;
            all.warnings.extend(one.warnings);
        }
        Ok((all, folders))
    }

    fn spot(&self, path: &[u8]) -> Result<Spot> {
        let all = names(path);
        let depth = self.files.covers(&all).unwrap_or(0);
        let mut at = depth.saturating_sub(1);
        let start = format_path(&all[..at]);
        std::fs::create_dir_all(&start).context(|| format!("cannot make the folder {start:?}"))?;
        let looking = || format!("cannot look into {:?}", String::from_utf8_lossy(path));
        let mut dir = Dir::open(&start).context(looking)?;
        let (mut base, mut dev) = (at, dir.facts().context(looking)?.dev);
        while let Some(name) = all.get(at) {
            match dir.look(name).context(looking)? {
                Some(facts) if facts.kind == Kind::Dir => dir = dir.dir(name).context(looking)?,
                _ => break,
            }
            at += 1;
            let here = dir.facts().context(looking)?.dev;
            // From here on it is another file system, to which nothing can be renamed from outside.
            if here != dev {
                (base, dev) = (at, here);
            }
        }
        Ok(Spot { base: format_path(&all[..base]), rest: all[base..].join(&b'/') })
    }

    fn carry_out(&self, plan: &Plan, _run: &Run) -> Result<Vec<PathBuf>> {
        let mut aside = Vec::new();
        for staged in &plan.stages {
            apply(staged)?;
            if !durable::is_there(&staged.stage)? {
                continue;
            }
            let stage = Dir::open(&staged.stage).context(|| format!("cannot open {:?}", staged.stage))?;
            if !prune(&stage).context(|| format!("cannot clear {:?}", staged.stage))? {
                let mut name = staged.base.join(format!("{}{BEFORE}{}", self.source, plan.label));
                for number in 2.. {
                    if !durable::is_there(&name)? {
                        break;
                    }
                    name = staged.base.join(format!("{}-{number}{BEFORE}{}", self.source, plan.label));
                }
                durable::rename(&staged.stage, &name)?;
                aside.push(name);
            } else {
                std::fs::remove_dir(&staged.stage).context(|| format!("cannot remove {:?}", staged.stage))?;
            }
            stage.sync_all().context(|| format!("cannot sync {:?}", staged.base))?;
        }
        Ok(aside)
    }

    /// Folders in use get back what they were, and so do the times of those in which something changed places.
    fn finish_folders(
        &self,
        folders: &[(usize, Entry)],
        plan: &Plan,
        each: &[Change],
        run: &Run,
    ) -> Result<Vec<String>> {
        let mut touched = HashSet::new();
        for staged in &plan.stages {
            for op in &staged.ops {
                let path = staged.base.join(bytes_path(&op.path));
                touched.extend(path.parent().map(Path::to_owned));
            }
        }
        let Some((_, first)) = folders.first() else { return Ok(Vec::new()) };
        let base = self.spot(&first.path)?.base;
        let mut maker = Maker::new(&base, run)?;
        for (number, entry) in folders.iter().rev() {
            let wanted =
                each.get(*number) == Some(&Change::Attributes) || touched.contains(&format_path(&names(&entry.path)));
            if wanted && let Some((dir, name)) = InUse(self.files).parent(&entry.path)? {
                let failed = || format!("cannot finish the folder {:?}", String::from_utf8_lossy(&entry.path));
                maker.folder(&dir, &name, entry).context(failed)?;
            }
        }
        Ok(maker.finish()?.warnings)
    }
}

fn bytes_path(path: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(path.to_vec())
}

fn changed() -> Error {
    Error::new(ErrorKind::Damaged, "the archive is another one than a moment ago")
}

fn remove(stage: &Path) -> Result<()> {
    match durable::is_there(stage)? {
        true => std::fs::remove_dir_all(stage).context(|| format!("cannot remove {stage:?}")),
        false => Ok(()),
    }
}

fn durable_remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => durable::sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context(|| format!("cannot remove {path:?}")),
    }
}

/// What is to change places: the topmost things that are prepared and are no folders on both sides.
fn ops(staged: &Staged) -> Result<Vec<Op>> {
    fn collect(stage: &Dir, live: &Dir, at: &[u8], all: &mut Vec<Op>) -> io::Result<()> {
        for name in stage.names()? {
            let path = if at.is_empty() { name.clone() } else { [at, b"/", &name].concat() };
            let facts = stage.facts_of(&name)?;
            let there = live.look(&name)?;
            if facts.kind == Kind::Dir && there.is_some_and(|there| there.kind == Kind::Dir) {
                collect(&stage.dir(&name)?, &live.dir(&name)?, &path, all)?;
            } else {
                all.push(Op { ino: facts.ino, path });
            }
        }
        Ok(())
    }
    let failed = || format!("cannot compare {:?} with {:?}", staged.stage, staged.base);
    let (stage, live) = (Dir::open(&staged.stage).context(failed)?, Dir::open(&staged.base).context(failed)?);
    let mut all = Vec::new();
    collect(&stage, &live, b"", &mut all).context(failed)?;
    Ok(all)
}

/// Carries out what was not carried out yet: what is in its place already has the number that was prepared.
fn apply(staged: &Staged) -> Result<()> {
    for op in &staged.ops {
        let shown = staged.base.join(bytes_path(&op.path));
        let failed = || format!("cannot put {shown:?} in its place");
        let all = names(&op.path);
        let base = Dir::open(&staged.base).context(failed)?;
        let gone = || Error::new(ErrorKind::Missing, format!("the folder of {shown:?} is no longer there"));
        let (live, name) = descend(base, &all)?.ok_or_else(gone)?;
        let there = live.look(&name).context(failed)?;
        if there.is_some_and(|there| there.ino == op.ino) {
            continue;
        }
        let stage = Dir::open(&staged.stage).context(failed)?;
        let (stage, name) = descend(stage, &all)?.ok_or_else(gone)?;
        if stage.facts_of(&name).context(failed)?.ino != op.ino {
            return Err(Error::new(ErrorKind::Damaged, format!("what was prepared for {shown:?} is no longer there")));
        }
        change_places(&stage, &live, &name, there.is_some()).context(failed)?;
    }
    Ok(())
}

fn change_places(stage: &Dir, live: &Dir, name: &[u8], occupied: bool) -> io::Result<()> {
    let done = match occupied {
        true => stage.exchange(name, live, name),
        false => stage.rename_new(name, live, name),
    };
    match done {
        // This file system cannot do it at one instant: the old one goes first, and stays whole.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && occupied => {
            let old = [name, b".tillstick-old"].concat();
            live.rename_plain(name, stage, &old)?;
            stage.rename_plain(name, live, name)?;
            stage.rename_plain(&old, stage, name)
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => stage.rename_plain(name, live, name),
        done => done,
    }
}

/// Removes folders that hold nothing; true when nothing is left.
fn prune(dir: &Dir) -> io::Result<bool> {
    let mut empty = true;
    for name in dir.names()? {
        let is_dir = dir.facts_of(&name)?.kind == Kind::Dir;
        if is_dir && prune(&dir.dir(&name)?)? {
            dir.remove_dir(&name)?;
        } else {
            empty = false;
        }
    }
    Ok(empty)
}
