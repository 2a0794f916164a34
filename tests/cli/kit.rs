//! A configured box in a folder of its own, images of sticks, and the binary with what came out of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::till::{Till, make};
use fsck::HARMLESS;

#[path = "../fsck/mod.rs"]
mod fsck;
#[path = "../ran/mod.rs"]
mod ran;

pub(crate) use ran::Ran;

pub(crate) const MIB: u64 = 1 << 20;
/// Enough for 65,525 clusters of 512 bytes and their tables, which FAT32 must have, and for a few backups.
pub(crate) const STICK: u64 = 48 * MIB;

/// A small till and one whose backup takes long enough to be interrupted; made once and copied.
static SMALL: LazyLock<Template> = LazyLock::new(|| Template::new(300));
static LARGE: LazyLock<Template> = LazyLock::new(|| Template::new(100_000));

struct Template(Vec<u8>);

impl Template {
    fn new(lines: i64) -> Self {
        let dir = scratch();
        let path = dir.path().join("till.db");
        make(&path, Till { lines, wal: true }).unwrap();
        Self(fs::read(&path).unwrap())
    }
}

/// A folder in memory where there is one: what is measured here is not the disk.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The binary, with the tools of the system in reach, no terminal and the language of the tests.
pub(crate) fn tillstick(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillstick"));
    command.args(args).env("LC_ALL", "C").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

pub(crate) fn ran(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

/// Runs a tool of the system that must succeed.
#[track_caller]
pub(crate) fn tool(name: &str, args: &[&str]) -> String {
    let output = tool_command(name, args).output();
    let output = output.unwrap_or_else(|error| panic!("{name} is needed for this test: {error}"));
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A pair of keys as `age-keygen` makes them: the file with the secret one, and the recipient.
pub(crate) fn pair(site: &Box, name: &str) -> (PathBuf, String) {
    let path = site.path(name);
    tool("age-keygen", &["-o", path.to_str().unwrap()]);
    let public = tool("age-keygen", &["-y", path.to_str().unwrap()]);
    (path, public.trim().to_owned())
}

/// These arguments and a key.
pub(crate) fn with_key<'a>(args: &[&'a str], key: &'a Path) -> Vec<&'a str> {
    [args, &["--identity", key.to_str().unwrap()]].concat()
}

pub(crate) fn tool_command(name: &str, args: &[&str]) -> Command {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(name);
    command.args(args).env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").stdin(Stdio::null());
    command
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A configured box with one source `kasse`.
pub(crate) struct Box {
    dir: TempDir,
}

impl Box {
    pub(crate) fn new() -> Self {
        Self::with(&SMALL.0)
    }

    /// A till that has sold so much that its backup can be interrupted.
    pub(crate) fn large() -> Self {
        Self::with(&LARGE.0)
    }

    fn with(database: &[u8]) -> Self {
        let site = Self { dir: scratch() };
        fs::write(site.database(), database).unwrap();
        site.configure("", "");
        site
    }

    /// Writes the configuration; `primary` are more lines for [primary], `rest` whole tables.
    pub(crate) fn configure(&self, primary: &str, rest: &str) {
        self.configure_as("004711", "kasse-1", primary, rest);
    }

    pub(crate) fn configure_as(&self, customer: &str, name: &str, primary: &str, rest: &str) {
        let min_free = if primary.contains("min_free") { "" } else { "min_free = \"1MB\"" };
        let text = format!(
            "customer = {customer:?}\nbox = {name:?}\nlang = \"en\"\ntime_zone = \"Europe/Berlin\"\nstate = {state:?}\n\
             [primary]\ndir = {dir:?}\n{min_free}\n{primary}\n\
             [sources.kasse]\ntype = \"sqlite\"\npath = {database:?}\n{rest}\n",
            state = self.path("state"),
            dir = self.primary(),
            database = self.database(),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("tillstick.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("kasse.db")
    }

    pub(crate) fn primary(&self) -> PathBuf {
        self.path("backups")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tillstick(args);
        command.arg("--config").arg(self.config());
        command
    }

    /// Runs a verb with this box's configuration.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args))
    }

    /// Runs a verb at another time: the child's clock begins at `time` (RFC 3339) and goes on from there.
    pub(crate) fn run_at(&self, time: &str, args: &[&str]) -> Ran {
        let mut command = tool_command("faketime", &["-m", "--exclude-monotonic", time]);
        // Files keep their real times: what is changed is the program's clock, not the file system.
        command.env("NO_FAKE_STAT", "1").env("LC_ALL", "C").env_remove("RUST_LOG");
        command.arg(env!("CARGO_BIN_EXE_tillstick")).args(args).arg("--config").arg(self.config());
        ran(command)
    }

    /// Makes a backup at another time; gives its report.
    #[track_caller]
    pub(crate) fn backup_at(&self, time: &str) -> Value {
        self.run_at(time, &["backup", "--json"]).exits(0).json()
    }

    /// The manifest of the backup `id`.
    pub(crate) fn manifest(&self, id: &str) -> Value {
        serde_json::from_slice(&fs::read(self.primary().join(id).join("manifest.json")).unwrap()).unwrap()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Makes a backup that must succeed; gives its id.
    #[track_caller]
    pub(crate) fn backup(&self) -> String {
        let ran = self.run(&["backup", "--json"]).exits(0);
        ran.json()["id"].as_str().unwrap().to_owned()
    }

    /// The ids of the backups in the primary, oldest first. Fails when anything unfinished lies there.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<String> {
        let names = names(&self.primary());
        let rests: Vec<_> = names
            .iter()
            .filter(|name| name.contains(".part") || name.contains("drill") || name.contains("tmp"))
            .collect();
        assert!(rests.is_empty(), "left behind: {rests:?}");
        names.into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    /// Makes the sums of the backup `id` those of its files as they are now; its signature, which no longer fits, goes.
    pub(crate) fn seal(&self, id: &str) {
        let script = "rm -f manifest.json.sig; sha256sum -- 004711_kasse.sql.gz manifest.json > SHA256SUMS";
        let dir = self.primary().join(id);
        assert!(Command::new("sh").args(["-c", script]).current_dir(dir).status().unwrap().success());
    }

    /// The artifact of the backup `id`.
    pub(crate) fn artifact(&self, id: &str) -> PathBuf {
        self.primary().join(id).join("004711_kasse.sql.gz")
    }
}

/// The names in a folder, sorted; none when it is not there.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The image of a stick.
pub(crate) struct Stick {
    _dir: TempDir,
    pub(crate) path: PathBuf,
    /// Where its file system begins, in bytes.
    offset: u64,
}

impl Stick {
    pub(crate) fn empty(size: u64) -> Self {
        let dir = scratch();
        let path = dir.path().join("stick.img");
        File::create(&path).unwrap().set_len(size).unwrap();
        Self { _dir: dir, path, offset: 0 }
    }

    /// FAT32 from the first byte on.
    pub(crate) fn fat32(size: u64) -> Self {
        Self::made(size, "mkfs.vfat", &["-F", "32", "-s", "1"])
    }

    pub(crate) fn made(size: u64, mkfs: &str, args: &[&str]) -> Self {
        let stick = Self::empty(size);
        tool(mkfs, &[args, &[stick.text()]].concat());
        stick
    }

    /// One FAT32 partition at 1 MiB, as sticks are sold.
    pub(crate) fn partitioned(size: u64) -> Self {
        let mut stick = Self::empty(size + MIB);
        let script = stick.path.with_extension("sfdisk");
        fs::write(&script, "start=2048, type=c\n").unwrap();
        let done = tool_command("sfdisk", &["-q", stick.text()]).stdin(File::open(&script).unwrap()).status();
        assert!(done.unwrap().success());
        let blocks = (size / 1024).to_string();
        tool("mkfs.vfat", &["-F", "32", "-s", "1", "--offset", "2048", stick.text(), &blocks]);
        stick.offset = MIB;
        stick
    }

    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn at(&self) -> String {
        format!("{}@@{}", self.text(), self.offset)
    }

    /// Every file on it with its path, as mtools sees them.
    pub(crate) fn files(&self) -> Vec<String> {
        let list = tool("mdir", &["-/", "-b", "-i", &self.at(), "::/"]);
        list.lines().filter(|line| !line.ends_with('/')).map(|line| line.trim_start_matches("::/").to_owned()).collect()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let copy = self.path.with_extension("read");
        let _ = fs::remove_file(&copy);
        tool("mcopy", &["-n", "-i", &self.at(), &format!("::/{name}"), copy.to_str().unwrap()]);
        fs::read(copy).unwrap()
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let copy = self.path.with_extension("put");
        fs::write(&copy, content).unwrap();
        tool("mcopy", &["-o", "-i", &self.at(), copy.to_str().unwrap(), &format!("::/{name}")]);
    }

    /// What fsck.fat has to complain about. No complaint is what a stick shows that was pulled: its mark, and a count of
    /// free sectors that nobody relies on.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let volume = self.path.with_extension("volume");
        fs::write(&volume, &fs::read(&self.path).unwrap()[self.offset as usize..]).unwrap();
        let output = tool_command("fsck.fat", &["-n", volume.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let free = |line: &str| line.contains(" files, ") || line.trim().is_empty();
        text.lines()
            .filter(|line| !free(line) && !HARMLESS.iter().any(|known| line.starts_with(known)))
            .map(str::to_owned)
            .collect()
    }
}

/// The number of receipts in a database, as the sqlite3 of the system counts them after a full check.
#[track_caller]
pub(crate) fn receipts(database: &Path) -> u64 {
    let answer =
        tool("sqlite3", &[database.to_str().unwrap(), "PRAGMA integrity_check; SELECT count(*) FROM receipts"]);
    answer.strip_prefix("ok\n").unwrap_or_else(|| panic!("{answer}")).trim().parse().unwrap()
}

/// Runs SQL in a database with the sqlite3 of the system.
#[track_caller]
pub(crate) fn sql(database: &Path, sql: &str) -> String {
    tool("sqlite3", &[database.to_str().unwrap(), sql])
}

/// Something mounted, unmounted at the end.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts as `mount` understands `args`, which end in the folder `at`.
    pub(crate) fn at(args: &[&str], at: PathBuf) -> Self {
        tool("mount", args);
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tool_command("umount", &["-l", self.0.to_str().unwrap()]).status();
    }
}
