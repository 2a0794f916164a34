//! Folders of SSH servers: OpenSSH. The server comes from `make test-stores`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tillstick::error::{Error, Kind};

use crate::contract::{Subject, holds, noise, open_it, opened, put};
use crate::delta::Packs;
use crate::kit::scratch;
use crate::line::{Proxy, anywhere};
use crate::proof;
use crate::servers::{Sshd, account, secret_file};
use crate::stopped::ends_at_once;
use crate::verbs::life;

/// What may be under way when a line is cut, and what is sent again for safety.
const AGAIN: u64 = (2 << 20) + (512 << 10);

/// The folder of a server of its own.
struct Folder {
    sshd: Sshd,
    port: u16,
    host_key: String,
    key: PathBuf,
    path: &'static str,
    timeout: &'static str,
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let (sshd, dir) = (Sshd::start(), scratch());
        let (key, port) = (dir.path().join("key"), sshd.at.port());
        secret_file(&key, &fs::read_to_string(sshd.path("client")).unwrap());
        let host_key = fs::read_to_string(sshd.path("host.pub")).unwrap().trim().to_owned();
        Self { sshd, port, host_key, key, path: ".", timeout: "30s", dir }
    }

    fn fails_to_open(&self) -> Error {
        open_it(self).map(|_| ()).unwrap_err()
    }
}

impl Subject for Folder {
    fn table(&self) -> String {
        let Self { port, host_key, key, path, timeout, .. } = self;
        let user = account();
        format!(
            "type = \"sftp\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = {user:?}\npath = {path:?}\nhost_key = {host_key:?}\n\
             key_file = {key:?}\ntimeout = {timeout:?}"
        )
    }

    fn sent_again(&self) -> Option<u64> {
        Some(AGAIN)
    }

    fn files(&self) -> Option<Vec<String>> {
        let mut all = Vec::new();
        walk(&self.sshd.path("files"), &mut all);
        Some(all)
    }
}

fn walk(dir: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, all),
            false => all.push(path.to_str().unwrap().to_owned()),
        }
    }
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_folder_of_openssh() {
    holds(&Folder::new());
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_a_folder_of_openssh() {
    let folder = Folder::new();
    life(&folder);
    assert!(folder.files().unwrap().is_empty(), "nothing of the customer is left");
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_packs_in_a_folder_of_openssh() {
    life(&Packs(&Folder::new()));
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_copies_in_a_folder_of_openssh_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Folder::new(), ".sql.gz.age");
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_packs_in_a_folder_of_openssh_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Packs(&Folder::new()), ".pack.age");
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_is_cut_anywhere_leaves_nothing_wrong_in_a_folder_of_openssh() {
    let folder = Folder::new();
    let proxy = Proxy::to(folder.sshd.at);
    let folder = Folder { port: proxy.port, ..folder };
    let sizes = [(200_000, proof::cases(30, 700)), (9_000_000, proof::cases(6, 300))];
    anywhere(&folder, &proxy, sizes, |cut, size| cut.saturating_sub(AGAIN + 20_000).min(size));
}

#[test]
#[ignore = "make test-stores"]
fn who_presses_ctrl_c_waits_for_no_silent_server() {
    let folder = Folder::new();
    let proxy = Proxy::to(folder.sshd.at);
    ends_at_once(&Folder { port: proxy.port, timeout: "10m", ..folder }, &proxy, &[0, 1_000, 3_000, 20_000]);
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_stalls_is_given_up_and_a_changed_bit_is_noticed() {
    let folder = Folder::new();
    let proxy = Proxy::to(folder.sshd.at);
    let mut folder = Folder { port: proxy.port, ..folder };
    let bytes = noise(3_000_000, 3);
    for stall in [0, 1_000, 3_000, 300_000] {
        folder.timeout = "1s";
        proxy.stall_after(stall);
        let begun = Instant::now();
        let failed = open_it(&folder).and_then(|mut store| crate::s3::put_here(store.as_mut(), "4711/b/x", &bytes));
        let error = failed.unwrap_err();
        assert!(error.kind() == Kind::Io && error.report().contains("for too long"), "{}", error.report());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        proxy.mend();
        // The machine may have much to do.
        folder.timeout = "30s";
        assert!(opened(&folder).list("4711/b").unwrap().is_empty());
    }
    proxy.flip_after(1_000_000);
    let failed = open_it(&folder).and_then(|mut store| crate::s3::put_here(store.as_mut(), "4711/b/x", &bytes));
    assert_eq!(failed.unwrap_err().kind(), Kind::Io);
    proxy.mend();
    assert!(opened(&folder).list("4711/b").unwrap().is_empty());
    put(opened(&folder).as_mut(), "4711/b/x", &bytes);
}

#[test]
#[ignore = "make test-stores"]
fn only_a_server_with_the_pinned_key_sees_more_than_a_greeting() {
    let folder = Folder::new();
    let fingerprint = |name: &str| {
        let told = crate::kit::tool("ssh-keygen", &["-lf", folder.sshd.path(name).to_str().unwrap()]);
        told.split_whitespace().nth(1).unwrap().to_owned()
    };
    let ecdsa = fs::read_to_string(folder.sshd.path("host2.pub")).unwrap().trim().to_owned();
    let (ours, clients) = (fingerprint("host.pub"), fs::read_to_string(folder.sshd.path("client.pub")).unwrap());
    let wrong = fingerprint("client.pub");
    let mut folder = Folder { host_key: ours.clone(), ..folder };
    for good in [ours.clone(), format!("127.0.0.1 {ecdsa}")] {
        folder.host_key = good;
        opened(&folder);
    }
    let proxy = Proxy::to(folder.sshd.at);
    folder.port = proxy.port;
    let logins = folder.sshd.log().matches("Accepted").count();
    for bad in [wrong, clients.trim().to_owned()] {
        folder.host_key = bad;
        let before = proxy.sent();
        let error = folder.fails_to_open();
        assert!(error.kind() == Kind::Refused && error.report().contains(&ours), "{}", error.report());
        assert!(proxy.sent() - before < 4_000, "a greeting and the exchange of keys: {}", proxy.sent() - before);
    }
    let log = folder.sshd.log();
    assert_eq!(log.matches("Accepted").count(), logins, "{log}");
    assert!(!log.contains("Failed"), "no login was tried: {log}");
}

#[test]
#[ignore = "make test-stores"]
fn what_is_wrong_is_told_with_what_helps() {
    let folder = Folder::new();
    let other = folder.dir.path().join("other");
    crate::kit::tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", other.to_str().unwrap()]);
    let mut folder = Folder { key: other, ..folder };
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Refused && error.report().contains("authorized_keys"), "{}", error.report());
    let locked = folder.dir.path().join("locked");
    crate::kit::tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "secret", "-f", locked.to_str().unwrap()]);
    folder.key = locked;
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Config && error.report().contains("without a passphrase"), "{}", error.report());
    folder.key = folder.dir.path().join("key");
    folder.path = "not/there";
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Missing && error.report().contains("make it there"), "{}", error.report());
    assert!(folder.files().unwrap().is_empty());
    folder.port = 1;
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Io && error.report().contains("refused"), "{}", error.report());
}
