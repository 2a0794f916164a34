//! Servers that are the tests' own; `tests/stores/prepare.sh` brought them: `make test-stores`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

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

/// A port that nobody has at the moment, and `beside` more behind it.
pub(crate) fn free_ports(beside: u16) -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Below the ports that connections are made from.
    let begin = 10_000 + (std::process::id() % 200) as u16 * 100;
    (begin..32_000).step_by(50).find(|port| (*port..=port + beside).all(free)).expect("a free port")
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
        let (root, size) = (CACHE.join("root"), format!("--max-size={bytes}"));
        let lib = root.join("usr/lib/x86_64-linux-gnu");
        for what in [&["quota", "set", &size][..], &["quota", "enable"]] {
            let mut command = Command::new(root.join("usr/bin/radosgw-admin"));
            command.args(what).args(["--quota-scope=bucket", "--bucket", bucket]);
            command.env("CEPH_CONF", self.dir.path().join("ceph.conf"));
            command.env("LD_LIBRARY_PATH", format!("{}:{}", lib.display(), lib.join("ceph").display()));
            assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        }
    }
}

/// moto, which takes any key and any signature: it shows what is stored, and nothing of trust.
pub(crate) struct Moto {
    process: Child,
    pub(crate) at: SocketAddr,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(CACHE.join("moto/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &at.port().to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { process: command.spawn().unwrap(), at };
        assert!(comes(|| TcpStream::connect(at).is_ok()));
        server
    }
}

impl Drop for Moto {
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
    tool("curl", &[&["-sSf", "-X", "PUT"][..], &signed, &[&url]].concat());
}
