//! Servers that are the tests' own; `tests/stores/prepare.sh` brought them: `make test-stores`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::kit::{scratch, tool};
use crate::running::comes;

/// Where `prepare.sh` put them.
pub(crate) static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let named = std::env::var_os("STORE_CACHE").map(PathBuf::from);
    let cache = named.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("store-cache"));
    assert!(cache.join("unpacked").is_file(), "run `make test-stores`: there are no servers in {cache:?}");
    cache
});

pub(crate) fn tls(name: &str) -> PathBuf {
    CACHE.join("tls").join(name)
}

/// Where the next server may have its ports: below those that connections are made from.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(10_000 + (std::process::id() % 200) as u16 * 100));

/// A port that nobody has, and `beside` more behind it.
pub(crate) fn free_ports(beside: u16) -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = NEXT.fetch_add(50, Ordering::SeqCst);
        assert!(port < 32_000, "no ports are free");
        if (port..=port + beside).all(free) {
            return port;
        }
    }
}

/// A file that holds a secret.
pub(crate) fn secret_file(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Ceph with its gateway, one for all tests; it ends when this process does, however that ends.
pub(crate) struct Ceph {
    /// Its input is what keeps it going.
    _process: Child,
    dir: TempDir,
    pub(crate) at: SocketAddr,
    pub(crate) with_tls: SocketAddr,
}

pub(crate) static CEPH: LazyLock<Ceph> = LazyLock::new(|| {
    let (dir, port) = (scratch(), free_ports(45));
    let mut process = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/ceph.sh"))
        .arg(&*CACHE)
        .arg(dir.path())
        .arg(port.to_string())
        .arg(CACHE.join("tls"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "Ceph did not start");
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    Ceph { _process: process, dir, at: at(port), with_tls: at(port + 2) }
});

impl Ceph {
    /// No more than so many bytes may lie in the bucket from now on.
    pub(crate) fn bound(&self, bucket: &str, bytes: u64) {
        let size = format!("--max-size={bytes}");
        for what in [&["quota", "set", &size][..], &["quota", "enable"]] {
            self.admin(&[what, &["--quota-scope=bucket", "--bucket", bucket]].concat());
        }
    }

    /// Somebody else who has keys.
    pub(crate) fn user(&self, name: &str, access_key: &str, secret_key: &str) {
        let named = [format!("--uid={name}"), format!("--display-name={name}")];
        let keys = [format!("--access-key={access_key}"), format!("--secret-key={secret_key}")];
        self.admin(&["user", "create", &named[0], &named[1], &keys[0], &keys[1]]);
    }

    fn admin(&self, args: &[&str]) {
        let root = CACHE.join("root");
        let lib = root.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new("timeout");
        command
            .arg("60")
            .arg(root.join("usr/bin/radosgw-admin"))
            .args(args)
            .env("CEPH_CONF", self.dir.path().join("ceph.conf"));
        command.env("LD_LIBRARY_PATH", format!("{}:{}", lib.display(), lib.join("ceph").display()));
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "{args:?}");
    }
}

/// Another service that speaks S3, with nothing in it.
pub(crate) struct Service {
    process: Child,
    _dir: TempDir,
    pub(crate) at: SocketAddr,
}

impl Service {
    /// moto, which takes any key and any signature: it shows what is stored, and nothing of trust.
    pub(crate) fn moto() -> Self {
        Self::start(|at, _| {
            let mut command = Command::new(CACHE.join("python/bin/moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &at.port().to_string()]);
            command
        })
    }

    /// rclone over a folder. It knows one key, and checks each signature.
    pub(crate) fn rclone() -> Self {
        Self::start(|at, dir| {
            let mut command = Command::new(CACHE.join("python/bin/rclone"));
            command.args(["serve", "s3", "--addr", &at.to_string(), dir.to_str().unwrap()]);
            command.env("RCLONE_AUTH_KEY", "\"AKTEST,SKTEST\"").env("RCLONE_CONFIG", "/dev/null");
            command
        })
    }

    fn start(command: impl FnOnce(SocketAddr, &Path) -> Command) -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = scratch();
        let process = command(at, dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, _dir: dir, at };
        assert!(comes(|| TcpStream::connect(at).is_ok()));
        server
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a bucket.
pub(crate) fn make_bucket(at: SocketAddr, bucket: &str) {
    let url = format!("http://{at}/{bucket}");
    // Ceph wants the header, and curl does not make it: of no content.
    let sha256 = format!("x-amz-content-sha256: {:x}", Sha256::digest(b""));
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "AKTEST:SKTEST", "-H", &sha256];
    tool("curl", &[&["-sSf", "-m", "60", "-X", "PUT"][..], &signed, &[&url]].concat());
}

/// OpenSSH, as an account that is nobody's. It lets in who has the key.
pub(crate) struct Sshd {
    process: Child,
    dir: TempDir,
    pub(crate) at: SocketAddr,
}

impl Sshd {
    pub(crate) fn start() -> Self {
        let (dir, port) = (scratch(), free_ports(0));
        let home = dir.path();
        fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(home.join("files")).unwrap();
        // A clone in root's own folder is out of its reach.
        for program in ["usr/sbin/sshd", "usr/lib/x86_64-linux-gnu/libwrap.so.0"] {
            fs::copy(CACHE.join("root").join(program), home.join(program.rsplit_once('/').unwrap().1)).unwrap();
        }
        for (name, kind) in [("host", "ed25519"), ("host2", "ecdsa"), ("client", "ed25519")] {
            tool("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", home.join(name).to_str().unwrap()]);
        }
        let text = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {home}/host\nHostKey {home}/host2\nAuthorizedKeysFile {home}/client.pub\n\
             PidFile none\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             MaxStartups 100\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\nForceCommand internal-sftp -d {home}/files\n",
            home = home.display()
        );
        fs::write(home.join("sshd_config"), text).unwrap();
        let mut command = nobodys(&home.join("sshd"), home);
        command.arg("-D").arg("-e").arg("-f").arg(home.join("sshd_config")).env("LD_LIBRARY_PATH", home);
        let log = fs::File::create(home.join("log")).unwrap();
        let process = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self { process, dir, at: SocketAddr::from(([127, 0, 0, 1], port)) };
        assert!(comes(|| TcpStream::connect(server.at).is_ok()), "{}", server.log());
        server
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The account that servers run as: OpenSSH lets `nobody` in on no account.
pub(crate) fn account() -> String {
    match nix::unistd::geteuid().is_root() {
        true => "daemon".to_owned(),
        false => tool("id", &["-un"]).trim().to_owned(),
    }
}

/// A server that is nobody's, like all that is in its folder, and ends when the thread does that starts it.
fn nobodys(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        tool("chown", &["-R", "daemon:daemon", home.to_str().unwrap()]);
        command.args(["--reuid=daemon", "--regid=daemon", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir("/");
    command
}
