//! The main job: into the primary and onto a stick, its exit codes, and two at once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{
    Box, MIB, Mounted, STICK, Stick, is_root, names, ran, receipts, scratch, tillstick, tool, tool_command,
};

#[test]
fn a_wrong_command_line_exits_2_and_says_what_there_is() {
    ran(tillstick(&["bakcup"])).exits(2).says(&["bakcup", "backup"]);
    ran(tillstick(&["backup", "--plain-folder"])).exits(2).says(&["--stick"]);
    ran(tillstick(&["restore", "20261122T200002Z"])).exits(2).says(&["--into"]);
}

#[test]
fn a_wrong_configuration_exits_2_and_lists_every_problem_with_its_line() {
    let site = Box::new();
    fs::write(site.config(), "customer = 4711\nbox = \"a/b\"\n[primary]\nmin_fre = \"1MB\"\n").unwrap();
    for verb in ["backup", "list", "check", "status"] {
        let ran = site.run(&[verb]).exits(2);
        for place in ["tillstick.toml:1", "tillstick.toml:2", "tillstick.toml:4"] {
            assert!(ran.err.contains(place), "{verb}: {place}: {}", ran.err);
        }
        ran.says(&["leading zeros", "min_free", "sources"]);
    }
    assert!(!site.primary().exists(), "nothing was started");
}

#[test]
fn many_that_start_at_once_on_a_new_box_agree_on_its_id() {
    for _ in 0..3 {
        let site = Box::new();
        let all: Vec<_> = (0..12).map(|_| site.start(&["list", "--json"])).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(!site.path("state/box-id.part").exists());
    }
}

#[test]
fn a_configuration_that_is_not_there_exits_with_its_name_and_a_remedy() {
    let ran = ran(tillstick(&["backup", "--config", "/nowhere/tillstick.toml"]));
    assert_ne!(ran.code, Some(0));
    ran.says(&["/nowhere/tillstick.toml", "help:"]);
}

#[test]
fn a_stick_gets_the_backup_under_a_name_with_its_leading_zeros_and_the_second_run_reuses() {
    for stick in [Stick::fat32(STICK), Stick::partitioned(STICK)] {
        let site = Box::new();
        stick.put("Strand.jpg", b"holiday");
        let first = site.run(&["backup", "--json", "--stick", stick.text()]).exits(0).json();
        assert_eq!(first["artifacts"][0]["reused_bytes"], 0);
        assert!(stick.files().contains(&"004711_kasse.sql.gz".to_owned()), "{:?}", stick.files());
        assert_eq!(stick.read("004711_kasse.sql.gz"), fs::read(site.artifact(first["id"].as_str().unwrap())).unwrap());

        let second = site.run(&["backup", "--json", "--stick", stick.text()]).exits(0).json();
        assert!(second["artifacts"][0]["reused_bytes"].as_u64().unwrap() > 0, "{second}");
        assert!(second["id"].as_str() > first["id"].as_str());
        assert_eq!(site.ids().len(), 2);
        assert_eq!(stick.read("Strand.jpg"), b"holiday");
        assert_eq!(stick.complaints(), [""; 0]);
        let listed = site.run(&["list", "--json", "--stick", stick.text()]).exits(0).json();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        site.run(&["check", "--stick", stick.text()]).exits(0);
    }
}

#[test]
fn what_lies_on_the_stick_is_read_with_ordinary_tools_alone() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let dir = scratch();
    for name in ["004711_kasse.sql.gz", "SHA256SUMS"] {
        fs::write(dir.path().join(name), stick.read(name)).unwrap();
    }
    let script = "sha256sum --ignore-missing -c SHA256SUMS && gunzip -c 004711_kasse.sql.gz | sqlite3 auditor.db";
    let done = tool_command("sh", &["-c", script]).current_dir(dir.path()).stdout(Stdio::null()).status().unwrap();
    assert!(done.success());
    assert_eq!(receipts(&dir.path().join("auditor.db")), receipts(&site.database()));
}

#[test]
fn a_stick_that_is_too_full_exits_3_and_the_backup_is_made() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    stick.put("FILM.MKV", &vec![7; (STICK - 2 * MIB) as usize]);
    site.run(&["backup", "--stick", stick.text(), "--quiet"]).exits(3).says(&[
        "the stick",
        "is NOT safe",
        stick.text(),
    ]);
    assert_eq!(site.ids().len(), 1);
    site.run(&["check"]).exits(0);
    assert_eq!(stick.complaints(), [""; 0]);
    assert_eq!(stick.read("FILM.MKV").len() as u64, STICK - 2 * MIB);
}

#[test]
fn a_stick_that_spoiled_an_earlier_backup_counts_for_nothing_and_the_backup_is_named() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    let first = site.run(&["backup", "--json", "--stick", stick.text()]).exits(0).json();
    let id = first["id"].as_str().unwrap();
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let place = format!("TILLSTICK/kasse-1/backups/{id}/004711_kasse.sql.gz");
    let content = stick.read(&place);
    let mut image = fs::read(&stick.path).unwrap();
    // Of files that begin alike, the first to be written lies first.
    let at = (0..image.len()).step_by(512).find(|at| image[*at..].starts_with(&content[..512])).unwrap();
    image[at + 300] ^= 1;
    fs::write(&stick.path, image).unwrap();
    assert_ne!(stick.read(&place), content);

    let ran = site.run(&["backup", "--stick", stick.text()]).exits(3).says(&["is NOT safe", "use another stick"]);
    assert!(ran.err.contains(id), "{}", ran.err);
    let listed = site.run(&["list", "--json"]).exits(0).json();
    let copies = listed.as_array().unwrap().iter().flat_map(|backup| backup["copies"].as_array().unwrap());
    assert_eq!(copies.count(), 0, "{listed}");
}

#[test]
fn a_folder_that_is_no_stick_is_written_only_when_somebody_says_so() {
    let site = Box::new();
    let folder = site.path("folder");
    fs::create_dir(&folder).unwrap();
    let text = folder.to_str().unwrap();
    site.run(&["backup", "--stick", text]).exits(1).says(&["--plain-folder"]);
    assert!(site.ids().is_empty() && names(&folder).is_empty());
    site.run(&["backup", "--stick", text, "--plain-folder"]).exits(0);
    assert!(names(&folder).contains(&"004711_kasse.sql.gz".to_owned()), "{:?}", names(&folder));
    site.run(&["check", "--stick", text, "--plain-folder"]).exits(0);
}

/// A loop device of an image, detached at the end.
struct Loop(String);

impl Loop {
    fn of(stick: &Stick) -> Self {
        Self(tool("losetup", &["--show", "-f", stick.text()]).trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = tool_command("losetup", &["-d", &self.0]).status();
    }
}

#[test]
fn a_block_device_gets_the_backup_and_a_mounted_one_is_refused() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    if !is_root() {
        let error = fs::File::open("/dev/loop-control").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "only root has loop devices");
        return;
    }
    let device = Loop::of(&stick);
    site.run(&["backup", "--stick", &device.0]).exits(0);
    drop(device);
    assert!(stick.files().contains(&"004711_kasse.sql.gz".to_owned()));
    assert_eq!(stick.complaints(), [""; 0]);

    let other = Stick::made(STICK, "mkfs.ext4", &["-q", "-F"]);
    let device = Loop::of(&other);
    let dir = scratch();
    let _mounted = Mounted::at(&[&device.0, dir.path().to_str().unwrap()], dir.path().to_owned());
    let before = site.ids();
    let folder = dir.path().to_str().unwrap();
    site.run(&["backup", "--stick", &device.0]).exits(1).says(&[&device.0, "is mounted at", "help:"]);
    site.run(&["backup", "--stick", folder]).exits(1).says(&["refused"]);
    assert_eq!(site.ids(), before);
    assert_eq!(names(dir.path()), ["lost+found"]);
}

#[test]
fn the_second_of_two_runs_is_told_who_the_first_is() {
    let site = Box::large();
    let mut first = site.start(&["backup", "--json"]);
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("begin"));
    let pid = Pid::from_raw(first.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let second = site.run(&["backup"]).exits(1);
    let restore = site.run(&["list"]).exits(0);
    kill(pid, Signal::SIGCONT).unwrap();
    second.says(&[&format!("pid {pid}, backup"), "help: wait"]);
    assert!(restore.out.contains("no backups yet"));
    lines.for_each(drop);
    assert!(first.wait().unwrap().success());
    assert_eq!(site.ids().len(), 1);
}
