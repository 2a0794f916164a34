//! Servers that are the tests' own, and the program beside them.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[path = "../ran/mod.rs"]
mod ran;

pub(crate) use ran::Ran;

/// What `prepare.sh` has unpacked.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let named = std::env::var_os("SERVER_CACHE").map(PathBuf::from);
    let cache = named.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("server-cache"));
    assert!(cache.join("system-tables.sql").is_file(), "run `make test-servers`: there are no servers in {cache:?}");
    cache
});

/// The folder of this process's servers; those of processes that are gone are removed.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent).unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix("tillservers-")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let home = parent.join(format!("tillservers-{}", std::process::id()));
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    home
});

pub(crate) static MARIADB: LazyLock<Mariadb> = LazyLock::new(|| Mariadb::start("m"));
pub(crate) static POSTGRESQL: LazyLock<Postgresql> = LazyLock::new(|| Postgresql::start("p"));

/// The programs where the servers' account reaches them: a clone in root's own folder is out of its reach.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = CACHE.join("root");
    let mut look = unprivileged(Path::new("/usr/bin/test"));
    if look.arg("-x").arg(here.join("usr/sbin/mariadbd")).status().unwrap().success() {
        return here;
    }
    let copy = HOME.join("root");
    assert!(Command::new("cp").arg("-a").arg(&here).arg(&copy).status().unwrap().success());
    copy
});

/// Where folders may be made that the servers' account is to reach.
pub(crate) fn home() -> &'static Path {
    &HOME
}

fn root(path: &str) -> PathBuf {
    PROGRAMS.join(path)
}

/// The folder of a new server, which belongs to the account that it runs as.
fn folder(name: &str) -> PathBuf {
    let dir = HOME.join(name);
    fs::create_dir(&dir).unwrap();
    if nix::unistd::geteuid().is_root() {
        let done = Command::new("chown").arg("nobody:nogroup").arg(&dir).status().unwrap();
        assert!(done.success());
    }
    dir
}

/// A command as an unprivileged account, which ends when this process does.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir("/");
    command
}

/// Starts a server from a thread that does not end: the kernel kills it with its parent's thread.
fn keep(mut command: Command) -> Child {
    let (give, take) = channel();
    std::thread::spawn(move || {
        give.send(command.spawn().unwrap()).unwrap();
        loop {
            std::thread::park();
        }
    });
    take.recv().unwrap()
}

pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a program with `input` to its end.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let ran = Ran::lossy(&child.wait_with_output().unwrap());
    writer.join().unwrap();
    ran
}

/// The program under test.
pub(crate) fn tillstick<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_tillstick")).args(args).output().unwrap().into()
}

/// The text of a .gz.
pub(crate) fn gunzip(path: &Path) -> Vec<u8> {
    let output = Command::new("gunzip").arg("-c").arg(path).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Dumps the database `every`, loads it as `every_back`, and dumps that: nothing is lost, and the text tells of the database alone.
/// Gives the text, which is packed in `1.sql.gz` of `dir`.
#[track_caller]
pub(crate) fn comes_back(dir: &Path, url: impl Fn(&str) -> String, content: impl Fn(&str) -> String) -> Vec<u8> {
    let dump = |database: &str, name: &str| {
        let path = dir.join(name);
        tillstick([OsStr::new("dump"), url(database).as_ref(), OsStr::new("-o"), path.as_os_str()]).exits(0);
        gunzip(&path)
    };
    let text = dump("every", "1.sql.gz");
    assert_eq!(text, dump("every", "2.sql.gz"), "unchanged is the same text");
    tillstick([OsStr::new("load"), dir.join("1.sql.gz").as_os_str(), url("every_back").as_ref()]).exits(0);
    assert_eq!(content("every_back"), content("every"));
    assert_eq!(String::from_utf8_lossy(&dump("every_back", "3.sql.gz")), String::from_utf8_lossy(&text));
    text
}

/// A folder with MariaDB's programs, of which the client is a script of its own: `script` gets the folder of the real ones.
pub(crate) fn programs_with(dir: &Path, name: &str, script: impl Fn(&Path) -> String) -> PathBuf {
    let (folder, real) = (dir.join(name), Mariadb::programs());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mariadb"), script(&real)).unwrap();
    fs::set_permissions(folder.join("mariadb"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(real.join("mariadb-dump"), folder.join("mariadb-dump")).unwrap();
    folder
}

/// A configured box with one source, `shop`.
pub(crate) struct Shop {
    pub(crate) dir: tempfile::TempDir,
}

impl Shop {
    pub(crate) fn new(source: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let config = format!(
            "customer = \"004711\"\nbox = \"kasse-1\"\ntime_zone = \"Europe/Berlin\"\nstate = \"{path}/state\"\n\
             [agent]\nsocket = \"{path}/socket\"\n[primary]\ndir = \"{path}/backups\"\nmin_free = \"1MB\"\n\
             [sources.shop]\n{source}"
        );
        fs::write(dir.path().join("tillstick.toml"), config).unwrap();
        Self { dir }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let config = self.dir.path().join("tillstick.toml");
        tillstick([OsStr::new("--config"), config.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)))
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.dir.path().join("tillstick.toml")).unwrap()
    }

    /// The id of the newest backup.
    pub(crate) fn newest(&self) -> String {
        let entries = fs::read_dir(self.dir.path().join("backups")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with('Z')).max().unwrap()
    }

    /// Makes a backup; gives its id.
    pub(crate) fn backup(&self) -> String {
        let ran = self.run(&["--json", "backup"]).exits(0);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        report["id"].as_str().unwrap().to_owned()
    }
}

/// A MariaDB server.
pub(crate) struct Mariadb {
    pub(crate) dir: PathBuf,
    pub(crate) child: Child,
}

impl Mariadb {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_in(name, &folder(&format!("{name}-data")))
    }

    /// With its data in `home`, where the server's account may write.
    pub(crate) fn start_in(name: &str, home: &Path) -> Self {
        let dir = folder(name);
        let server = |data: &Path| {
            let mut command = unprivileged(&root("usr/sbin/mariadbd"));
            let share = root("usr/share/mysql");
            command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
            command.arg(format!("--lc-messages-dir={}", share.display()));
            command.arg(format!("--character-sets-dir={}/charsets", share.display()));
            command.arg(format!("--tmpdir={}", data.display()));
            command.args(["--innodb-log-file-size=64M", "--innodb-buffer-pool-size=128M"]);
            command.args(["--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve", "--log-warnings=0"]);
            command
        };
        let data = home.join("data");
        assert!(unprivileged(Path::new("/bin/mkdir")).arg(&data).status().unwrap().success());
        let tables = fs::read(CACHE.join("system-tables.sql")).unwrap();
        feed(server(&data).arg("--bootstrap"), &tables).exits(0);
        let mut command = server(&data);
        command.arg(format!("--socket={}/s", dir.display())).arg(format!("--log-error={}/log", dir.display()));
        command.arg("--skip-networking").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let this = Self { child: keep(command), dir };
        eventually("MariaDB's start", || this.try_sql("SELECT 1").code == Some(0));
        this
    }

    pub(crate) fn programs() -> PathBuf {
        root("usr/bin")
    }

    pub(crate) fn try_sql(&self, sql: &str) -> Ran {
        let mut command = Command::new(root("usr/bin/mariadb"));
        command.args(["--no-defaults", "-uroot", "-BN", "--default-character-set=utf8mb4"]);
        feed(command.arg(format!("--socket={}/s", self.dir.display())), sql.as_bytes())
    }

    /// What the server answers to statements that must succeed.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).exits(0).out
    }

    /// A database's URL for root.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as("root", database)
    }

    pub(crate) fn url_as(&self, user: &str, database: &str) -> String {
        let programs = Self::programs();
        format!("mariadb://{user}@localhost/{database}?socket={}/s&programs={}", self.dir.display(), programs.display())
    }

    /// A source of a configuration, for root.
    pub(crate) fn source(&self, database: &str) -> String {
        format!(
            "type = \"mariadb\"\ndatabase = \"{database}\"\nuser = \"root\"\nsocket = \"{}/s\"\nprograms = \"{}\"\n",
            self.dir.display(),
            Self::programs().display()
        )
    }
}

/// A PostgreSQL server.
pub(crate) struct Postgresql {
    pub(crate) dir: PathBuf,
    pub(crate) child: Child,
    data: PathBuf,
    name: String,
    more: Vec<String>,
}

impl Postgresql {
    pub(crate) fn programs() -> PathBuf {
        root("usr/lib/postgresql/15/bin")
    }

    pub(crate) fn start(name: &str) -> Self {
        Self::start_in(name, &HOME.join(name).join("data"), &[])
    }

    /// With its data in the new folder `data`, and `more` of what it is started with.
    pub(crate) fn start_in(name: &str, data: &Path, more: &[&str]) -> Self {
        let (dir, data) = (folder(name), data.to_owned());
        let mut init = unprivileged(&Self::programs().join("initdb"));
        init.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
        ]);
        Ran::from(init.output().unwrap()).exits(0);
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let child = keep(Self::command(name, &dir, &data, &more));
        let this = Self { child, dir, data, name: name.to_owned(), more };
        this.wait();
        this
    }

    fn command(name: &str, dir: &Path, data: &Path, more: &[String]) -> Command {
        let mut command = unprivileged(&Self::programs().join("postgres"));
        command.arg("-D").arg(data).arg("-k").arg(dir).args(more);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=128MB"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(HOME.join(format!("{name}.log"))).unwrap());
        command
    }

    fn wait(&self) {
        eventually("PostgreSQL's start", || self.try_sql("postgres", "SELECT 1").code == Some(0));
    }

    /// Starts it again after it died.
    pub(crate) fn again(&mut self) {
        self.child = keep(Self::command(&self.name, &self.dir, &self.data, &self.more));
        self.wait();
    }

    pub(crate) fn try_sql(&self, database: &str, sql: &str) -> Ran {
        let mut command = Command::new(Self::programs().join("psql"));
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(&self.dir).args(["-d", database]);
        feed(&mut command, sql.as_bytes())
    }

    #[track_caller]
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).exits(0).out
    }

    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    pub(crate) fn url_as(&self, user: &str, database: &str) -> String {
        let programs = Self::programs();
        format!("postgresql://{user}@localhost/{database}?host={}&programs={}", self.dir.display(), programs.display())
    }

    pub(crate) fn source(&self, database: &str) -> String {
        format!(
            "type = \"postgresql\"\ndatabase = \"{database}\"\nuser = \"postgres\"\nsocket = \"{}\"\nprograms = \"{}\"\n",
            self.dir.display(),
            Self::programs().display()
        )
    }
}

/// Hands connections on to a socket and cuts each when the server has sent so many bytes; gives its port.
pub(crate) fn cut_after(socket: PathBuf, bytes: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = UnixStream::connect(&socket).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&server).take(bytes), &mut &client);
                let _ = server.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    port
}
