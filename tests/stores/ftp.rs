//! Folders of FTP servers: proftpd and vsftpd, which both demand that data connections resume the TLS session. And proftpd's SFTP.
//! The servers come from `make test-stores`.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tillstick::error::{Error, Kind};

use crate::contract::{Subject, holds, noise, open_it, opened, put};
use crate::delta::Packs;
use crate::ftpd::{Ftpd, Proftpd};
use crate::kit::{is_root, scratch};
use crate::line::{Proxy, anywhere};
use crate::proof;
use crate::s3::put_here;
use crate::servers::{secret_file, tls};
use crate::verbs::life;

/// What may be under way when a line is cut, and what is sent again for safety.
const AGAIN: u64 = (1 << 20) + (256 << 10);

/// The folder of a server of its own.
struct Folder {
    ftpd: Ftpd,
    kind: String,
    host: &'static str,
    ca: &'static str,
    timeout: &'static str,
    dir: TempDir,
}

impl Folder {
    fn of(ftpd: Ftpd, kind: &str) -> Self {
        let dir = scratch();
        secret_file(&dir.path().join("pw"), "testpw\n");
        Self { ftpd, kind: kind.to_owned(), host: "127.0.0.1", ca: "ca.pem", timeout: "30s", dir }
    }

    fn proftpd(how: Proftpd) -> Self {
        let word = match how {
            Proftpd::Explicit => "explicit",
            Proftpd::Implicit => "implicit",
            Proftpd::Plain => "none",
            Proftpd::Sftp => {
                let ftpd = Ftpd::proftpd(how);
                let key = fs::read_to_string(ftpd.path("host.pub")).unwrap();
                return Self::of(ftpd, &format!("type = \"sftp\"\nhost_key = {:?}", key.trim()));
            }
        };
        Self::of(Ftpd::proftpd(how), &format!("type = \"ftp\"\ntls = {word:?}"))
    }

    fn fails_to_open(&self) -> Error {
        open_it(self).map(|_| ()).unwrap_err()
    }
}

impl Subject for Folder {
    fn table(&self) -> String {
        let Self { ftpd, kind, host, ca, timeout, dir } = self;
        let ca = if kind.contains("sftp") { String::new() } else { format!("ca_file = {:?}\n", tls(ca)) };
        format!(
            "{kind}\nhost = {host:?}\nport = {}\nuser = \"t\"\npassword_file = {:?}\n{ca}timeout = {timeout:?}",
            ftpd.port,
            dir.path().join("pw")
        )
    }

    fn sent_again(&self) -> Option<u64> {
        // SFTP has more under way, see there.
        Some(if self.kind.contains("sftp") { 2 * AGAIN } else { AGAIN })
    }

    fn files(&self) -> Option<Vec<String>> {
        let listed = crate::kit::tool("find", &[self.ftpd.path("files").to_str().unwrap(), "-type", "f"]);
        Some(listed.lines().map(str::to_owned).collect())
    }
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_folder_of_proftpd() {
    for how in [Proftpd::Explicit, Proftpd::Implicit, Proftpd::Plain] {
        holds(&Folder::proftpd(how));
    }
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_folder_of_proftpds_sftp() {
    holds(&Folder::proftpd(Proftpd::Sftp));
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_folder_of_vsftpd() {
    if is_root() {
        holds(&Folder::of(Ftpd::vsftpd(), "type = \"ftp\""));
    }
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_a_folder_of_proftpd() {
    let folder = Folder::proftpd(Proftpd::Explicit);
    life(&folder);
    assert!(folder.files().unwrap().is_empty(), "nothing of the customer is left");
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_packs_in_a_folder_of_proftpd() {
    life(&Packs(&Folder::proftpd(Proftpd::Explicit)));
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_is_cut_anywhere_leaves_nothing_wrong_in_a_folder_of_proftpd() {
    let folder = Folder::proftpd(Proftpd::Explicit);
    let proxy = Proxy::twin(folder.ftpd.ports());
    let folder = Folder { host: "127.0.0.2", ..folder };
    let sizes = [(200_000, proof::cases(30, 700)), (9_000_000, proof::cases(6, 300))];
    anywhere(&folder, &proxy, sizes, |cut, size| cut.saturating_sub(AGAIN + 20_000).min(size));
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_stalls_is_given_up() {
    let folder = Folder::proftpd(Proftpd::Explicit);
    let proxy = Proxy::twin(folder.ftpd.ports());
    let mut folder = Folder { host: "127.0.0.2", ..folder };
    let bytes = noise(3_000_000, 3);
    for stall in [0, 1_000, 300_000] {
        folder.timeout = "1s";
        proxy.stall_after(stall);
        let begun = Instant::now();
        let failed = open_it(&folder).and_then(|mut store| put_here(store.as_mut(), "4711/b/x", &bytes));
        let error = failed.unwrap_err();
        assert!(error.kind() == Kind::Io && error.report().contains("for too long"), "{}", error.report());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        proxy.mend();
        // The machine may have much to do.
        folder.timeout = "30s";
        assert!(opened(&folder).list("4711/b").unwrap().is_empty());
    }
    put(opened(&folder).as_mut(), "4711/b/x", &bytes);
}

#[test]
#[ignore = "make test-stores"]
fn nothing_is_sent_to_a_server_whose_certificate_nobody_trusts() {
    for how in [Proftpd::Explicit, Proftpd::Implicit] {
        let folder = Folder::proftpd(how);
        let proxy = Proxy::twin(folder.ftpd.ports());
        let folder = Folder { host: "127.0.0.2", ca: "other.pem", ..folder };
        let error = folder.fails_to_open();
        assert!(error.kind() == Kind::Io && error.report().contains("ca_file"), "{}", error.report());
        assert!(proxy.sent() > 0 && proxy.sent() < 1000, "a handshake that is broken off: {} bytes", proxy.sent());
    }
}

#[test]
#[ignore = "make test-stores"]
fn what_is_wrong_is_told_with_what_helps() {
    let plain = Folder::proftpd(Proftpd::Plain);
    let folder = Folder { kind: "type = \"ftp\"".into(), ..plain };
    let error = folder.fails_to_open();
    assert!(error.report().contains("offers no TLS"), "no password goes to a server without TLS: {}", error.report());
    let mut folder = Folder { kind: "type = \"ftp\"\ntls = \"none\"\npath = \"not/there\"".into(), ..folder };
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Missing && error.report().contains("make it there"), "{}", error.report());
    folder.kind = "type = \"ftp\"\ntls = \"none\"".into();
    secret_file(&folder.dir.path().join("pw"), "wrong");
    let error = folder.fails_to_open();
    assert!(error.kind() == Kind::Refused && error.report().contains("password_file"), "{}", error.report());
    assert!(!error.report().contains("wrong"), "{}", error.report());
}
