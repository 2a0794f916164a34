//! Files and the system's configuration, beside a database: backed up, drilled, and put back, with GNU tar as the judge.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::kit::{Box, Mounted, Ran, STICK, Stick, is_root, names, ran, tillstick, tool, tool_command};

/// A box with a shop's folder as a source `web`.
fn shop(more: &str) -> (Box, PathBuf) {
    let site = Box::new();
    let www = site.path("www");
    fs::create_dir_all(www.join("img/deep")).unwrap();
    fs::write(www.join("index.php"), "<?php echo 1;").unwrap();
    fs::write(www.join("img/a.bin"), (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    fs::write(www.join("img/deep/empty"), "").unwrap();
    fs::write(www.join(std::ffi::OsStr::from_bytes(b"no \xff text\n")), "odd").unwrap();
    fs::write(www.join("x".repeat(250)), "long").unwrap();
    symlink("../index.php", www.join("img/link")).unwrap();
    fs::hard_link(www.join("index.php"), www.join("second.php")).unwrap();
    fs::set_permissions(www.join("index.php"), fs::Permissions::from_mode(0o640)).unwrap();
    configure(&site, more);
    (site, www)
}

fn configure(site: &Box, more: &str) {
    let www = site.path("www");
    site.configure("", &format!("[sources.web]\ntype = \"files\"\npaths = [{www:?}]\n{more}"));
}

/// Everything below a folder, without the folder itself.
fn tree(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = match meta.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_dir() => String::new(),
            _ => format!("{} {:x}", meta.nlink(), xxhash_rust::xxh3::xxh3_128(&fs::read(&path).unwrap())),
        };
        let name = path.file_name().unwrap().as_bytes().escape_ascii().to_string();
        let (mode, mtime) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
        lines.push(format!("{name} {mode:o} {}:{} {mtime:?} {content}", meta.uid(), meta.gid()));
        if meta.is_dir() {
            lines.extend(tree(&path).iter().map(|line| format!("{name}/{line}")).collect::<Vec<_>>());
        }
    }
    lines.sort();
    lines
}

fn tar_of(site: &Box, id: &str) -> PathBuf {
    site.primary().join(id).join("004711_web.tar.gz")
}

#[test]
fn files_are_backed_up_beside_the_database_drilled_and_put_into_a_new_folder() {
    let (site, www) = shop("");
    let stick = Stick::fat32(STICK);
    let report = site.run(&["backup", "--stick", stick.text(), "--json"]).exits(0).json();
    let id = report["id"].as_str().unwrap().to_owned();
    assert!(stick.files().contains(&"004711_web.tar.gz".to_owned()), "{:?}", stick.files());
    site.run(&["check", "--drill"]).exits(0).prints(&["004711_web.tar.gz", "restored and equal"]);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    site.run(&["list"]).exits(0).prints(&["004711_web.tar.gz"]);

    let out = site.path("out");
    site.run(&["restore", &id, "--source", "web", "--into", out.to_str().unwrap()]).exits(0);
    let www_out = out.join(www.strip_prefix("/").unwrap());
    assert_eq!(tree(&www_out), tree(&www));
    site.run(&["restore", &id, "--source", "web", "--into", out.to_str().unwrap()])
        .exits(1)
        .says(&["is there already"]);

    // An unchanged tree gives the same bytes, all of them taken over.
    let again = site.run(&["backup", "--json"]).exits(0).json();
    let web = &again["artifacts"].as_array().unwrap().iter().find(|one| one["name"] == "004711_web.tar.gz").unwrap();
    assert_eq!(web["new_bytes"], 0);
    assert_eq!(fs::read(tar_of(&site, &id)).unwrap(), fs::read(tar_of(&site, again["id"].as_str().unwrap())).unwrap());
    site.ids();
}

#[test]
fn gnu_tar_reads_what_is_written_and_what_it_writes_is_read() {
    let (site, www) = shop("");
    let id = site.backup();
    let theirs = site.path("theirs");
    fs::create_dir(&theirs).unwrap();
    tool("tar", &["-xpzf", tar_of(&site, &id).to_str().unwrap(), "-C", theirs.to_str().unwrap()]);
    assert_eq!(tree(&theirs.join(www.strip_prefix("/").unwrap())), tree(&www));
    for format in ["gnu", "posix", "ustar", "oldgnu"] {
        let packed = site.path(&format!("{format}.tar.gz"));
        let odd: &[&str] = if format == "ustar" { &["--exclude=xxx*"] } else { &[] };
        // ustar has no form for holes.
        let pack = if format == "ustar" { "-czf" } else { "-czSf" };
        let args = [pack, packed.to_str().unwrap(), &format!("--format={format}")];
        tool("tar", &[&args, odd, &["-C", www.to_str().unwrap(), "."]].concat());
        let ours = site.path(&format!("ours-{format}"));
        let url = format!("files:{}", ours.display());
        ran(tillstick(&["load", packed.to_str().unwrap(), &url])).exits(0);
        let expected = site.path(&format!("expected-{format}"));
        fs::create_dir(&expected).unwrap();
        tool("tar", &["-xpzf", packed.to_str().unwrap(), "-C", expected.to_str().unwrap()]);
        assert_eq!(tree(&ours), tree(&expected), "{format}");
    }
}

#[test]
fn in_place_only_what_differs_changes_and_the_old_is_kept() {
    let (site, www) = shop("");
    let id = site.backup();
    let before = tree(&www);
    let same = fs::metadata(www.join("img/a.bin")).unwrap().ino();
    fs::write(www.join("index.php"), "hacked").unwrap();
    fs::remove_file(www.join("img/link")).unwrap();
    fs::remove_dir_all(www.join("img/deep")).unwrap();
    fs::write(www.join("img/deep"), "a file where a folder was").unwrap();
    fs::write(www.join("newer"), "stays").unwrap();
    let look = site.run(&["restore", &id, "--source", "web", "--dry-run", "--json"]).exits(0).json();
    assert_eq!((look["new"].as_u64(), look["replaced"].as_u64()), (Some(2), Some(3)), "{look}");
    site.run(&["restore", &id, "--source", "web", "--in-place"]).exits(2).says(&["--yes"]);
    let done = site.run(&["restore", &id, "--source", "web", "--in-place", "--yes", "--json"]).exits(0).json();
    assert_eq!(fs::read(www.join("newer")).unwrap(), b"stays");
    fs::remove_file(www.join("newer")).unwrap();
    let mtime = fs::metadata(www.join("second.php")).unwrap();
    assert_eq!(mtime.mode() & 0o7777, 0o640);
    fs::File::open(&www).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(tree(&www), before);
    assert_eq!(fs::metadata(www.join("img/a.bin")).unwrap().ino(), same, "what is the same stays as it is");
    let aside = PathBuf::from(done["set_aside"][0].as_str().unwrap());
    assert_eq!(aside, site.path(&format!("web_before_{id}")));
    assert_eq!(fs::read(aside.join("www/index.php")).unwrap(), b"hacked");
    assert_eq!(fs::read(aside.join("www/img/deep")).unwrap(), b"a file where a folder was");
    let look = site.run(&["restore", &id, "--source", "web", "--dry-run", "--json"]).exits(0).json();
    assert_eq!((look["new"].as_u64(), look["replaced"].as_u64()), (Some(0), Some(0)), "{look}");
    assert!(!names(&site.path("")).iter().any(|name| name.starts_with(".tillstick")));
}

#[test]
fn what_is_left_out_cannot_be_read_or_holds_no_data_is_told() {
    let (site, www) = shop("exclude = [\"*.tmp\", \"img/deep\"]");
    fs::write(www.join("x.tmp"), "").unwrap();
    tool("mkfifo", &[www.join("pipe").to_str().unwrap()]);
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert!(report["warnings"].to_string().contains("named pipe"), "{report}");
    let list = tool("tar", &["-tzf", tar_of(&site, report["id"].as_str().unwrap()).to_str().unwrap()]);
    assert!(!list.contains("x.tmp") && !list.contains("deep") && list.contains("img/a.bin"), "{list}");

    fs::remove_dir_all(&www).unwrap();
    site.run(&["backup"]).exits(1).says(&["there is no", "www", "paths"]);
}

/// The program as somebody whom a folder can be closed to: root reads everything.
fn as_nobody(site: &Box, args: &[&str]) -> Ran {
    let command = site.command(args);
    if !is_root() {
        return ran(command);
    }
    let own = site.path("tillstick-of-nobody");
    if !own.exists() {
        fs::copy(command.get_program(), &own).unwrap();
        tool("chown", &["-R", "nobody:nogroup", site.path("").to_str().unwrap()]);
    }
    let mut as_nobody = tool_command("setpriv", &["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]);
    as_nobody.arg(own).args(command.get_args());
    ran(as_nobody)
}

#[test]
fn what_cannot_be_read_is_told_or_fails_the_backup() {
    let (site, www) = shop("");
    let secret = www.join("img/secret.key");
    fs::write(&secret, "k").unwrap();
    fs::create_dir(www.join("closed")).unwrap();
    fs::write(www.join("closed/below"), "b").unwrap();
    let close = |mode: u32| {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(www.join("closed"), fs::Permissions::from_mode(mode)).unwrap();
    };
    close(0o000);
    let report = as_nobody(&site, &["backup", "--json"]).exits(0).json();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("secret.key") && warnings.contains("closed"), "{report}");
    let list = tool("tar", &["-tzf", tar_of(&site, report["id"].as_str().unwrap()).to_str().unwrap()]);
    assert!(list.contains("img/a.bin") && !list.contains("secret.key") && !list.contains("below"), "{list}");
    configure(&site, "unreadable = \"fail\"");
    // Whichever of the two it comes to first.
    let failed = as_nobody(&site, &["backup"]).exits(1).says(&["cannot read", "Permission denied"]);
    assert!(failed.err.contains("secret.key") || failed.err.contains("closed"), "{}", failed.err);
    close(0o700);
}

#[test]
fn what_is_gone_when_its_turn_comes_is_told() {
    let (site, www) = shop("");
    // Something that takes a while is read before it.
    let noise: Vec<u8> =
        (0..12_000_000_u64).flat_map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).to_le_bytes()).collect();
    fs::write(www.join("a_large.bin"), noise).unwrap();
    fs::write(www.join("zz.txt"), "soon gone").unwrap();
    let mut backup = site.start(&["backup", "--json"]);
    let files = PathBuf::from(format!("/proc/{}/fd", backup.id()));
    let is_read = || {
        let open =
            fs::read_dir(&files).into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        open.into_iter().any(|path| path.ends_with("a_large.bin"))
    };
    while !is_read() {
        assert!(backup.try_wait().unwrap().is_none(), "it was over before it was seen");
    }
    fs::remove_file(www.join("zz.txt")).unwrap();
    let report = Ran::from(backup.wait_with_output().unwrap()).exits(0).json();
    assert!(report["warnings"].to_string().contains("zz.txt"), "{report}");
    let list = tool("tar", &["-tzf", tar_of(&site, report["id"].as_str().unwrap()).to_str().unwrap()]);
    assert!(!list.contains("zz.txt") && list.contains("second.php"), "{list}");
    site.run(&["check", "--drill"]).exits(0);
}

#[test]
fn what_is_mounted_below_is_left_out_and_told_or_taken() {
    let (site, www) = shop("");
    fs::create_dir(www.join("disk")).unwrap();
    if !is_root() {
        return;
    }
    let at = www.join("disk");
    let _mounted = Mounted::at(&["-t", "tmpfs", "tmpfs", at.to_str().unwrap()], at.clone());
    fs::write(at.join("inside"), "i").unwrap();
    let list = |report: &serde_json::Value| {
        tool("tar", &["-tzf", tar_of(&site, report["id"].as_str().unwrap()).to_str().unwrap()])
    };
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert!(report["warnings"].to_string().contains("www/disk"), "{report}");
    assert!(!list(&report).contains("inside"));
    configure(&site, "one_file_system = false");
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert!(list(&report).contains("disk/inside") && !report["warnings"].to_string().contains("www/disk"), "{report}");
}

#[test]
fn what_is_none_of_the_source_stays_out_in_place() {
    let (site, www) = shop("");
    site.backup();
    let evil = site.path("evil");
    let root = evil.join(site.path("").strip_prefix("/").unwrap());
    fs::create_dir_all(root.join("www/img")).unwrap();
    fs::write(root.join("elsewhere"), "evil").unwrap();
    symlink(site.path("outside"), root.join("www/img/deep")).unwrap();
    fs::create_dir(site.path("outside")).unwrap();
    let packed = site.path("evil.tar.gz");
    tool("tar", &["-czf", packed.to_str().unwrap(), "-C", evil.to_str().unwrap(), "."]);
    let args = ["restore", packed.to_str().unwrap(), "--source", "web", "--in-place", "--yes", "--json"];
    let done = site.run(&args).exits(0).json();
    assert!(done["changes"]["foreign"].as_u64().unwrap() >= 2, "{done}");
    assert!(!site.path("elsewhere").exists());
    assert!(fs::symlink_metadata(www.join("img/deep")).unwrap().is_symlink(), "that is within the source");
    assert!(names(&site.path("outside")).is_empty());
    // What lies beyond a link that is there now is not the source's either.
    let beyond = site.path("beyond");
    fs::create_dir_all(beyond.join(www.strip_prefix("/").unwrap()).join("img/deep")).unwrap();
    fs::write(beyond.join(www.strip_prefix("/").unwrap()).join("img/deep/file"), "x").unwrap();
    tool("tar", &["-czf", packed.to_str().unwrap(), "-C", beyond.to_str().unwrap(), "."]);
    site.run(&args).exits(0);
    assert!(names(&site.path("outside")).is_empty());
    assert_eq!(fs::read(www.join("img/deep/file")).unwrap(), b"x");
}

#[test]
fn a_preset_takes_what_is_there() {
    let site = Box::new();
    site.configure("", "[sources.system]\ntype = \"files\"\npresets = [\"network\", \"postgresql\"]");
    let id = site.backup();
    let list = tool("tar", &["-tzf", site.primary().join(id).join("004711_system.tar.gz").to_str().unwrap()]);
    assert!(list.lines().any(|line| line == "etc/hosts"), "{list}");
}

#[test]
fn attributes_and_access_lists_come_back_where_the_file_system_has_them() {
    let (site, www) = shop("");
    let file = www.join("index.php");
    let set = |tool: &str, args: &[&str]| std::process::Command::new(tool).args(args).arg(&file).output();
    let has = |done: std::io::Result<std::process::Output>| done.is_ok_and(|output| output.status.success());
    let attributes = has(set("setfattr", &["-n", "user.note", "-v", "kept"]));
    let list = has(set("setfacl", &["-m", "u:12345:rw"]));
    let id = site.backup();
    let out = site.path("out");
    site.run(&["restore", &id, "--source", "web", "--into", out.to_str().unwrap()]).exits(0);
    let copy = out.join(file.strip_prefix("/").unwrap());
    if attributes {
        assert!(tool("getfattr", &["-d", copy.to_str().unwrap()]).contains("user.note=\"kept\""));
    }
    if list {
        assert!(tool("getfacl", &["-n", copy.to_str().unwrap()]).contains("user:12345:rw-"));
        let theirs = site.path("theirs");
        fs::create_dir(&theirs).unwrap();
        tool("tar", &["--acls", "-xpzf", tar_of(&site, &id).to_str().unwrap(), "-C", theirs.to_str().unwrap()]);
        let copy = theirs.join(file.strip_prefix("/").unwrap());
        assert!(tool("getfacl", &["-n", copy.to_str().unwrap()]).contains("user:12345:rw-"));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told() {
    let (site, www) = shop("");
    let busy = www.join("busy.log");
    fs::write(&busy, vec![b'x'; 3 << 20]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(&busy).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut file, b"line\n").unwrap();
            }
        });
        let report = site.run(&["backup", "--json"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        report
    });
    let report = report.exits(0).json();
    assert!(report["warnings"].to_string().contains("busy.log"), "{report}");
    site.run(&["check", "--drill"]).exits(0);
}
