//! Folders on disks that are really mounted and unmounted, in a mount namespace of the test's own: nobody else sees them, and
//! they end with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::kit::{Box, MIB, Ran, is_root, names, ran, tool, tool_command};
use crate::running::{Agent, BY_HAND, agent, comes, configure};

/// A mount namespace: of root's, or of a user's with a user namespace around it.
pub(crate) struct Space(Child);

impl Space {
    /// `None` where the kernel lets nobody have one.
    fn new() -> Option<Self> {
        let flags = if is_root() { "-m" } else { "-rm" };
        let mut command = tool_command("unshare", &[flags, "--propagation", "private", "sh", "-c"]);
        command.arg("echo ready; exec sleep 600").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let space = Self(process);
        (line == "ready\n").then_some(space)
    }

    /// The command as it runs in here.
    fn inside(&self, command: &Command) -> Command {
        let target = self.0.id().to_string();
        let user: &[&str] = if is_root() { &[] } else { &["--user", "--preserve-credentials"] };
        let mut inside = tool_command("nsenter", &[&["--target", &target, "--mount"], user, &["--"]].concat());
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs().filter(|(name, _)| *name != "PATH") {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    pub(crate) fn run(&self, site: &Box, args: &[&str]) -> Ran {
        ran(self.inside(&site.command(args)))
    }

    fn is_done(&self, name: &str, args: &[&str]) -> bool {
        self.inside(&tool_command(name, args)).stderr(Stdio::null()).status().unwrap().success()
    }

    #[track_caller]
    pub(crate) fn tool(&self, name: &str, args: &[&str]) {
        assert!(self.is_done(name, args), "{name} {args:?}");
    }

    /// What is in a folder, as it looks in here.
    fn names(&self, dir: &Path) -> String {
        let listed = self.inside(&tool_command("ls", &["-A", dir.to_str().unwrap()])).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A disk that can be mounted again with what it holds.
enum Disk {
    /// In memory; what is mounted is its folder.
    Memory(PathBuf),
    /// An image with ext4.
    Ext4(PathBuf),
}

impl Disk {
    fn in_memory(space: &Space, at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        space.tool("mount", &["-t", "tmpfs", "none", at.to_str().unwrap()]);
        Self::Memory(at)
    }

    fn ext4(at: PathBuf) -> Self {
        File::create(&at).unwrap().set_len(64 * MIB).unwrap();
        tool("mkfs.ext4", &["-q", "-F", at.to_str().unwrap()]);
        Self::Ext4(at)
    }

    fn can_be_mounted(&self, space: &Space, at: &Path) -> bool {
        let at = at.to_str().unwrap();
        match self {
            Self::Memory(disk) => space.is_done("mount", &["--bind", disk.to_str().unwrap(), at]),
            Self::Ext4(image) => space.is_done("mount", &["-o", "loop", image.to_str().unwrap(), at]),
        }
    }

    #[track_caller]
    fn mount(&self, space: &Space, at: &Path) {
        assert!(self.can_be_mounted(space, at), "mount at {at:?}");
    }
}

/// The whole life of a store on a disk that comes and goes; `other` is mounted in its place for a while.
fn comes_and_goes(space: &Space, site: &Box, disk: &Disk, other: &Disk) {
    let mount = site.path("mnt");
    let place = mount.join("tillstick");
    // The bare mount point even has the folder.
    fs::create_dir_all(&place).unwrap();
    configure(site, &format!("{BY_HAND}[stores.away]\ntype = \"directory\"\npath = {place:?}\n"));
    let unmount = |how: &[&str]| space.tool("umount", &[how, &[mount.to_str().unwrap()]].concat());
    let bare = || assert_eq!(names(&place), [] as [String; 0], "the bare mount point was filled");

    space.run(site, &["store", "init", "away"]).exits(1).says(&["same file system", "mount the disk"]);
    bare();
    disk.mount(space, &mount);
    space.run(site, &["store", "init", "away"]).exits(0);
    space.run(site, &["backup"]).exits(0).prints(&["Database sent! away"]);
    let first = site.ids().pop().unwrap();
    unmount(&[]);

    // Not mounted: every verb says so, and nothing is put there.
    let failed = space.run(site, &["backup"]).exits(3);
    assert!(failed.err.contains("is not a store") && failed.err.contains("mount the disk"), "{}", failed.err);
    let second = site.ids().pop().unwrap();
    for verb in
        [&["copy"][..], &["list", "--store", "away"], &["check", "--store", "away"], &["prune", "--store", "away"]]
    {
        let failed = space.run(site, verb);
        assert!(
            matches!(failed.code, Some(1 | 3)) && failed.err.contains("mount the disk"),
            "{verb:?}: {}",
            failed.err
        );
    }
    space.run(site, &["store", "test", "away"]).exits(1).prints(&["FAILED  open"]);
    bare();
    let told = space.run(site, &["status", "--json"]).exits(0).json();
    assert_eq!((&told["stores"][0]["waiting"], &told["newest_copied"]), (&1.into(), &first.as_str().into()), "{told}");

    // Another disk in its place was not set up.
    other.mount(space, &mount);
    space.run(site, &["copy"]).exits(3);
    assert!(!space.names(&mount).contains("tillstick"), "{}", space.names(&mount));
    unmount(&[]);

    // The agent goes on once the disk is there.
    let start = || Agent::of(site, space.inside(&agent(site)));
    let waits = || space.run(site, &["status", "--json"]).exits(0).json()["stores"][0].clone();
    let running = start();
    assert!(comes(|| waits()["problem"].as_str().is_some_and(|why| why.contains("mount the disk"))), "{}", waits());
    running.signal(Signal::SIGTERM);
    assert_eq!(running.ends(), Some(0));
    bare();
    disk.mount(space, &mount);
    let running = start();
    assert!(comes(|| waits()["newest"] == second.as_str()), "{}\n{}", waits(), running.log(site));
    assert_eq!(waits()["waiting"], 0);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.ends(), Some(0));
    let listed = space.run(site, &["list", "--store", "away"]).exits(0).out;
    assert!(listed.contains(&first) && listed.contains(&second), "{listed}");
    space.run(site, &["check", "--store", "away", "--read"]).exits(0);
    unmount(&[]);
    bare();
}

/// The disk is taken away while a copy is under way.
fn taken_away(space: &Space, site: &Box, disk: &Disk) {
    let mount = site.path("mnt");
    let place = mount.join("tillstick");
    fs::create_dir_all(&place).unwrap();
    let table = format!("[stores.away]\ntype = \"directory\"\npath = {place:?}\n");
    site.configure("", &table);
    disk.mount(space, &mount);
    space.run(site, &["store", "init", "away"]).exits(0);
    space.run(site, &["backup", "--no-copy"]).exits(0);
    site.configure("", &format!("{table}bandwidth = \"200kB\"\n"));
    let copying = space.inside(&site.command(&["copy"])).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let is_under_way =
        || space.is_done("sh", &["-c", &format!("find {} -name '*.part' -size +1k | grep -q .", mount.display())]);
    assert!(comes(is_under_way));
    // As somebody does who is in a hurry: what is open stays open, the names are gone.
    space.tool("umount", &["-l", mount.to_str().unwrap()]);
    let ended = Ran::from(copying.wait_with_output().unwrap()).exits(3);
    assert!(ended.err.contains("not sent"), "{}", ended.err);
    assert_eq!(names(&place), [] as [String; 0]);
    disk.mount(space, &mount);
    site.configure("", &table);
    space.run(site, &["copy"]).exits(0);
    space.run(site, &["check", "--store", "away", "--read"]).exits(0);
    space.tool("umount", &[mount.to_str().unwrap()]);
}

#[allow(clippy::print_stderr, reason = "whoever runs the tests is to know")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// A namespace; where there is none, that is told.
pub(crate) fn space() -> Option<Space> {
    let space = Space::new();
    if space.is_none() {
        skipped(if is_root() { "root gets no mount namespace here" } else { "users get no mount namespace here" });
    }
    space
}

#[test]
fn an_unmounted_disk_in_memory_is_not_filled_and_the_queue_waits_for_it() {
    let Some(space) = space() else { return };
    let (site, large) = (Box::new(), Box::large());
    let disk = Disk::in_memory(&space, site.path("disk"));
    let other = Disk::in_memory(&space, site.path("other"));
    comes_and_goes(&space, &site, &disk, &other);
    taken_away(&space, &large, &other);
}

#[test]
fn an_unmounted_disk_with_ext4_is_not_filled_and_the_queue_waits_for_it() {
    let Some(space) = space() else { return };
    let (site, large) = (Box::new(), Box::large());
    let (disk, other) = (Disk::ext4(site.path("disk.img")), Disk::ext4(site.path("other.img")));
    fs::create_dir(site.path("mnt")).unwrap();
    if !disk.can_be_mounted(&space, &site.path("mnt")) {
        skipped("an image with ext4 can be mounted by root alone, and where the kernel has loop devices");
        return;
    }
    space.tool("umount", &[site.path("mnt").to_str().unwrap()]);
    comes_and_goes(&space, &site, &disk, &other);
    taken_away(&space, &large, &other);
    // What lies there is what a kernel that knows nothing of us finds, too.
    tool("fsck.ext4", &["-f", "-n", site.path("disk.img").to_str().unwrap()]);
}
