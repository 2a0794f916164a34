//! The box after a power cut, judged without a kernel: the file system replays its journal as at a boot, what is on it is taken out,
//! and the program looks at it as somebody would who has switched the box on again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::stick::command;
use crate::till::{Till, make};

/// What the box has told somebody.
#[derive(Clone, Debug)]
pub struct Promised {
    /// Who it is.
    pub box_id: String,
    /// The backups that were called done and that nobody has asked to be pruned.
    pub ids: Vec<String>,
    /// The one of which a copy on a stick was called safe.
    pub copied: Option<String>,
    /// The stick is the box's own.
    pub enrolled: bool,
}

/// Where disks are looked at.
pub struct Rebooted {
    scratch: TempDir,
}

impl Rebooted {
    pub fn new() -> Self {
        // In memory where that can be: what is measured is not this disk.
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        make(&scratch.path().join("kasse.db"), Till { lines: 30, wal: true }).unwrap();
        let at = scratch.path().display();
        let config = format!(
            "customer = \"104711\"\nbox = \"kasse-1\"\nlang = \"en\"\ntime_zone = \"Europe/Berlin\"\nmode = \"X\"\n\
             state = \"{at}/root/state\"\n[primary]\ndir = \"{at}/root/backups\"\nmin_free = \"1MB\"\n\
             [agent]\nsocket = \"{at}/none.sock\"\n[sources.kasse]\ntype = \"sqlite\"\npath = \"{at}/kasse.db\"\n"
        );
        fs::write(scratch.path().join("tillstick.toml"), config).unwrap();
        Self { scratch }
    }

    /// What does not hold. With `goes_on` the box also makes its next backup.
    pub fn complaints(&self, disk: &Disk, promised: &Promised, goes_on: bool) -> Vec<String> {
        let root = match self.boot(disk) {
            Ok(root) => root,
            Err(why) => return vec![why],
        };
        let mut bad = Vec::new();
        if fs::read_to_string(root.join("state/box-id")).ok().as_ref() != Some(&promised.box_id) {
            bad.push("it is another box".to_owned());
        }
        let listed = self.runs(&["list", "--json"], &mut bad);
        let ids: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
        for id in &promised.ids {
            if !ids.contains(&id.as_str()) {
                bad.push(format!("{id} is lost: {ids:?}"));
            }
        }
        self.runs(&["check", "--json"], &mut bad);
        self.runs(&["status", "--json"], &mut bad);
        if let Some(id) = &promised.copied {
            let copies = fs::read_to_string(root.join("backups").join(id).join("copies.json")).unwrap_or_default();
            if !copies.contains("\"stick\"") {
                bad.push(format!("it is forgotten that {id} is on a stick: {copies:?}"));
            }
        }
        let sticks = self.runs(&["stick", "list", "--json"], &mut bad);
        if promised.enrolled && sticks["enrolled"].as_array().is_none_or(Vec::is_empty) {
            bad.push(format!("the stick is a stranger: {sticks}"));
        }
        if goes_on {
            self.runs(&["backup", "--json"], &mut bad);
            let parts = ["state", "backups"].map(|name| parts(&root.join(name))).concat();
            bad.extend(parts.into_iter().map(|path| format!("{path:?} stayed")));
        }
        bad
    }

    /// The journal of the file system is replayed, and its files are taken out.
    fn boot(&self, disk: &Disk) -> Result<PathBuf, String> {
        let (image, root) = (self.scratch.path().join("disk.img"), self.scratch.path().join("root"));
        disk.save(&image);
        let image = image.to_str().unwrap();
        let checked = command("e2fsck", &["-p", image]).output().unwrap();
        // 1: something was put right, as files that were deleted while they were open.
        if !matches!(checked.status.code(), Some(0 | 1)) {
            return Err(format!("the file system is broken: {}", said(&checked)));
        }
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        let taken = command("debugfs", &["-R", &format!("rdump / {}", root.display()), image]).output().unwrap();
        let told = String::from_utf8_lossy(&taken.stderr);
        let wrong: Vec<&str> = told.lines().skip(1).filter(|line| !line.contains("ownership")).collect();
        if !taken.status.success() || !wrong.is_empty() {
            return Err(format!("the files cannot be read: {}", wrong.join("; ")));
        }
        Ok(root)
    }

    /// Runs a verb, which must succeed and have nothing to warn of; gives what it printed.
    fn runs(&self, args: &[&str], bad: &mut Vec<String>) -> Value {
        let mut tillstick = Command::new(env!("CARGO_BIN_EXE_tillstick"));
        tillstick.args(args).arg("--config").arg(self.scratch.path().join("tillstick.toml"));
        let ran = tillstick.env("LC_ALL", "C").env_remove("RUST_LOG").output().unwrap();
        let warned = String::from_utf8_lossy(&ran.stderr).contains("\"event\":\"warning\"");
        if !ran.status.success() || warned {
            bad.push(format!("{args:?} ended with {}: {}", ran.status, said(&ran)));
        }
        serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null)
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// Unfinished files and folders.
fn parts(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|ending| ending == "part") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(parts(&path));
        }
    }
    found
}
