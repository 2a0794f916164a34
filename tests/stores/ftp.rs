//! Folders of FTP servers: proftpd and vsftpd, which both demand that data connections resume the TLS session. And proftpd's SFTP.
//! The servers come from `make test-stores`.

use std::fs;
use std::io::Read as _;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tillstick::error::{Context as _, Error, Kind};

use crate::contract::{Subject, get, holds, noise, open_it, opened, put};
use crate::delta::Packs;
use crate::ftpd::{Ftpd, Proftpd};
use crate::kit::{is_root, scratch};
use crate::line::{Proxy, anywhere};
use crate::proof;
use crate::s3::put_here;
use crate::servers::{secret_file, tls};
use crate::stopped::ends_at_once;
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
            Proftpd::Plain | Proftpd::NoRestart => "none",
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
        holds(&Folder::of(Ftpd::vsftpd(""), "type = \"ftp\""));
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
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_copies_in_a_folder_of_proftpd_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Folder::proftpd(Proftpd::Explicit), ".sql.gz.age");
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_packs_in_a_folder_of_proftpd_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Packs(&Folder::proftpd(Proftpd::Implicit)), ".pack.age");
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn an_encrypted_copy_that_was_cut_off_goes_on_in_a_folder_of_proftpd() {
    let folder = Folder::proftpd(Proftpd::Explicit);
    let proxy = Proxy::twin(folder.ftpd.ports());
    crate::sealed::goes_on(&Folder { host: "127.0.0.2", ..folder }, &proxy, AGAIN + 100_000);
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

/// Servers that begin no file in its middle: one says so after `REST`, the other to it.
fn without_restart() -> Vec<Folder> {
    let vsftpd = || Folder::of(Ftpd::vsftpd("cmds_denied=REST\n"), "type = \"ftp\"");
    let mut folders = vec![Folder::proftpd(Proftpd::NoRestart)];
    folders.extend(is_root().then(vsftpd));
    folders
}

#[test]
#[ignore = "make test-stores"]
fn a_server_that_begins_no_file_in_its_middle_gets_it_anew() {
    for folder in without_restart() {
        let (bytes, path) = (noise(4_000_000, 5), "4711/b/x.sql.gz");
        let proxy = Proxy::twin(folder.ftpd.ports());
        let folder = Folder { host: "127.0.0.2", ..folder };
        for cut in [3_000_000, 1_000_000] {
            proxy.cut_after(cut);
            let error = put_here(opened(&folder).as_mut(), path, &bytes).unwrap_err();
            assert_eq!(error.kind(), Kind::Io, "{}", error.report());
            proxy.mend();
            let left = folder.files().unwrap();
            assert!(left.iter().any(|file| file.ends_with(".part")), "a rest to go on with: {left:?}");
            let mut store = opened(&folder);
            let sent = put(store.as_mut(), path, &bytes);
            assert_eq!((sent.bytes, sent.resumed), (4_000_000, 0));
            assert!(get(store.as_mut(), path) == bytes);
            assert_eq!(folder.files().unwrap().len(), 1, "{:?}", folder.files());
            store.delete(path).unwrap();
        }
        // On the way back, too.
        let mut store = opened(&folder);
        put(store.as_mut(), path, &bytes);
        let mut ranges = store.ranges();
        for (from, length) in [(0, 100), (1, 700_000), (3_999_999, 1)] {
            let mut read = Vec::new();
            ranges.open_range(path, from, length).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == bytes[from as usize..(from + length) as usize], "{from} {length}");
        }
        proxy.cut_after(2_000_000);
        let mut read = Vec::new();
        let broken = store.open(path).and_then(|mut file| file.read_to_end(&mut read).context(|| "read".into()));
        assert!(broken.is_err() && read.len() < bytes.len(), "{}", read.len());
        proxy.mend();
        assert!(get(opened(&folder).as_mut(), path) == bytes);
    }
}

#[test]
#[ignore = "make test-stores"]
fn packs_are_read_from_a_server_that_begins_no_file_in_its_middle() {
    life(&Packs(&Folder::proftpd(Proftpd::NoRestart)));
}

#[test]
#[ignore = "make test-stores"]
fn who_presses_ctrl_c_waits_for_no_silent_server() {
    let folder = Folder::proftpd(Proftpd::Explicit);
    let proxy = Proxy::twin(folder.ftpd.ports());
    ends_at_once(&Folder { host: "127.0.0.2", timeout: "10m", ..folder }, &proxy, &[0, 1_000, 5_000, 20_000]);
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
