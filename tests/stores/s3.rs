//! Buckets of services that speak S3. The servers come from `tests/stores/prepare.sh`: `make test-stores`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tillstick::error::Kind;
use tillstick::store::Content;

use crate::contract::{Subject, get, holds, names, noise, opened, put, quietly};
use crate::proof;
use crate::proxy::Proxy;
use crate::running::comes;
use crate::verbs::life;

/// Where `prepare.sh` put the servers.
fn cache() -> PathBuf {
    let dir = std::env::var_os("TILLSTICK_STORES").expect("run `make test-stores`, which brings the servers");
    PathBuf::from(dir)
}

/// moto: it takes any key and any signature, so it shows what is stored, and nothing of trust.
struct Moto {
    process: Child,
    at: SocketAddr,
    dir: TempDir,
}

impl Moto {
    fn start() -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(cache().join("moto/bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &at.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dir = crate::kit::scratch();
        let server = Self { process, at, dir };
        assert!(comes(|| TcpStream::connect(at).is_ok()));
        crate::kit::tool("curl", &["-sf", "-X", "PUT", &format!("http://{at}/till-backups")]);
        let secret = server.secret();
        fs::write(&secret, "secret\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        server
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("s3.secret")
    }

    fn at_port(&self, port: u16, prefix: &str) -> Bucket<'_> {
        Bucket { server: self, port, prefix: prefix.to_owned() }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Bucket<'m> {
    server: &'m Moto,
    port: u16,
    prefix: String,
}

impl Subject for Bucket<'_> {
    fn table(&self) -> String {
        format!(
            "type = \"s3\"\nendpoint = \"http://127.0.0.1:{}\"\nbucket = \"till-backups\"\nprefix = {:?}\naccess_key = \"AKTEST\"\n\
             secret_key_file = {:?}",
            self.port,
            self.prefix,
            self.server.secret()
        )
    }

    fn sent_again(&self) -> Option<u64> {
        Some(8 << 20)
    }

    fn files(&self) -> Option<Vec<String>> {
        None
    }
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_bucket_of_moto() {
    let moto = Moto::start();
    holds(&moto.at_port(moto.at.port(), ""));
    holds(&moto.at_port(moto.at.port(), "shops/north ä"));
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_a_bucket_of_moto() {
    let moto = Moto::start();
    life(&moto.at_port(moto.at.port(), "p"));
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_is_cut_anywhere_leaves_nothing_wrong_in_a_bucket() {
    let moto = Moto::start();
    let proxy = Proxy::to(moto.at);
    let bucket = moto.at_port(proxy.port, "");
    for (size, cases) in [(200_000_usize, proof::cases(20, 700)), (17_000_000, proof::cases(4, 300))] {
        let bytes = noise(size, 5);
        let mut lot = 88_172_645_463_325_252_u64;
        for case in 0..cases {
            let path = format!("4711/b/{size}-{case}");
            lot ^= lot << 13;
            lot ^= lot >> 7;
            lot ^= lot << 17;
            let cut = i64::try_from(lot % (size as u64 + 4000)).unwrap();
            proxy.cut_after(cut);
            let first = quietly(|run| opened(&bucket).put(&path, &Content::bytes(bytes.clone()), run));
            proxy.mend();
            let mut store = opened(&bucket);
            let there = names(store.as_mut(), "4711/b").contains(&format!("{size}-{case}"));
            match first {
                Ok(_) => assert!(there, "cut after {cut} of {size}"),
                Err(error) => assert!(matches!(error.kind(), Kind::Io), "cut after {cut}: {}", error.report()),
            }
            // Whatever is in sight is whole; and what is put again is there.
            if there {
                assert!(get(store.as_mut(), &path) == bytes, "cut after {cut} of {size}");
            }
            put_again(store.as_mut(), &path, &bytes, cut);
            store.delete(&path).unwrap();
        }
    }
}

fn put_again(store: &mut dyn tillstick::store::Store, path: &str, bytes: &[u8], cut: i64) {
    let sent = put(store, path, bytes);
    let again = (8 << 20) + 500_000;
    assert!(sent.bytes <= bytes.len() as u64, "cut after {cut}: {sent:?}");
    if bytes.len() > 8 << 20 && cut > again {
        let least = (cut as u64 - again as u64) / (8 << 20) * (8 << 20);
        assert!(sent.resumed >= least, "cut after {cut}: {sent:?}");
    }
    assert!(get(store, path) == bytes, "cut after {cut}");
}

#[test]
#[ignore = "make test-stores"]
fn a_secret_that_others_may_read_is_refused_before_anything_is_sent() {
    let moto = Moto::start();
    fs::set_permissions(moto.secret(), fs::Permissions::from_mode(0o644)).unwrap();
    let config = crate::contract::config_of(&moto.at_port(1, "").table());
    let error = tillstick::store::open(&config).map(|_| ()).unwrap_err();
    assert!(error.kind() == Kind::Refused && !error.report().contains("secret\n"), "{}", error.report());
}
