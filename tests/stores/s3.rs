//! Buckets on Ceph's gateway, a real engine. The servers come from `make test-stores`.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tillstick::error::{Error, Kind};
use tillstick::model::{Cancel, Event, Monitor, Run, Stage};
use tillstick::store::{Content, Sent, Store};

use crate::contract::{Subject, config_of, get, holds, names, noise, open, opened, put, quietly};
use crate::delta::Packs;
use crate::kit::{Box, ran, scratch};
use crate::line::{Proxy, anywhere};
use crate::proof;
use crate::servers::{CEPH, Service, make_bucket, secret_file, tls};
use crate::stopped::ends_at_once;
use crate::verbs::life;

/// What is sent at once.
const PART: u64 = 8 << 20;

/// A bucket of its own for each test.
pub(crate) struct Bucket {
    endpoint: String,
    bucket: String,
    prefix: &'static str,
    access_key: &'static str,
    more: String,
    dir: TempDir,
}

static BUCKETS: AtomicU32 = AtomicU32::new(0);

impl Bucket {
    fn of(at: SocketAddr, endpoint: String) -> Self {
        let bucket = format!("till-backups-{}", BUCKETS.fetch_add(1, Ordering::SeqCst));
        make_bucket(at, &bucket);
        Self::there(endpoint, bucket, "AKTEST", "SKTEST")
    }

    fn there(endpoint: String, bucket: String, access_key: &'static str, secret_key: &str) -> Self {
        let made = Self { endpoint, bucket, prefix: "", access_key, more: "timeout = \"30s\"".into(), dir: scratch() };
        secret_file(&made.secret(), secret_key);
        made
    }

    /// One of Ceph that somebody made, by the key of somebody.
    pub(crate) fn of_ceph(bucket: &str, access_key: &'static str, secret_key: &str) -> Self {
        Self::there(format!("http://{}", CEPH.at), bucket.to_owned(), access_key, secret_key)
    }

    /// On another service.
    pub(crate) fn on(service: &Service) -> Self {
        Self::of(service.at, format!("http://{}", service.at))
    }

    /// On Ceph, in plain text.
    pub(crate) fn ceph() -> Self {
        Self::of(CEPH.at, format!("http://{}", CEPH.at))
    }

    /// On Ceph, with TLS.
    fn ceph_with_tls() -> Self {
        let bucket = Self::of(CEPH.at, format!("https://localhost:{}", CEPH.with_tls.port()));
        bucket.with(&format!("ca_file = {:?}", tls("ca.pem")))
    }

    fn with(mut self, line: &str) -> Self {
        self.more.push_str(&format!("\n{line}"));
        self
    }

    /// The same bucket by another way.
    pub(crate) fn through(mut self, proxy: &Proxy) -> Self {
        let host = self.endpoint.rsplit_once(':').unwrap().0.to_owned();
        self.endpoint = format!("{host}:{}", proxy.port);
        self
    }

    /// The same by another server.
    pub(crate) fn at(mut self, server: SocketAddr) -> Self {
        self.endpoint = format!("http://{server}");
        self
    }

    /// The same, and a line that is silent for two seconds is dead.
    pub(crate) fn impatient(mut self) -> Self {
        self.more = self.more.replace("\"30s\"", "\"2s\"");
        self
    }

    /// The same, and a line may be silent for ten minutes.
    pub(crate) fn patient(mut self) -> Self {
        self.more = self.more.replace("\"30s\"", "\"10m\"");
        self
    }

    /// No more than so many bytes may lie there from now on.
    pub(crate) fn bound(&self, bytes: u64) {
        CEPH.bound(&self.bucket, bytes);
    }

    /// From now on its secret key is this.
    pub(crate) fn is_told(&self, secret_key: &str) {
        secret_file(&self.secret(), secret_key);
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("s3.secret")
    }

    fn fails_to_put(&self) -> Error {
        let mut store = open(&config_of(&self.table())).unwrap_or_else(|error| panic!("{}", error.report()));
        put_here(store.as_mut(), "4711/b/x", &noise(200_000, 1)).unwrap_err()
    }
}

impl Subject for Bucket {
    fn table(&self) -> String {
        format!(
            "type = \"s3\"\nendpoint = {:?}\nbucket = {:?}\nprefix = {:?}\naccess_key = {:?}\nsecret_key_file = {:?}\n{}",
            self.endpoint,
            self.bucket,
            self.prefix,
            self.access_key,
            self.secret(),
            self.more
        )
    }

    fn sent_again(&self) -> Option<u64> {
        Some(PART)
    }

    fn files(&self) -> Option<Vec<String>> {
        None
    }
}

pub(crate) fn put_here(store: &mut dyn Store, path: &str, bytes: &[u8]) -> Result<Sent, Error> {
    quietly(|run| store.put(path, &Content::bytes(bytes.to_vec()), run))
}

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_in_a_bucket_of_ceph() {
    holds(&Bucket::ceph());
    holds(&Bucket { prefix: "shops/north ä", ..Bucket::ceph_with_tls() });
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_a_bucket() {
    life(&Bucket::ceph_with_tls());
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_over_packs_in_a_bucket() {
    life(&Packs(&Bucket::ceph()));
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_copies_in_a_bucket_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Bucket::ceph_with_tls(), ".sql.gz.age");
}

#[test]
#[cfg(feature = "encryption")]
#[ignore = "make test-stores"]
fn encrypted_packs_in_a_bucket_are_read_by_whoever_has_the_key() {
    crate::sealed::life(&Packs(&Bucket::ceph()), ".pack.age");
}

#[test]
#[ignore = "make test-stores"]
fn a_list_of_more_than_a_page_is_whole() {
    let bucket = Bucket::ceph();
    let mut store = opened(&bucket);
    let count = 1050;
    for n in 0..count {
        put(store.as_mut(), &format!("4711/b/{n}/x"), b"");
    }
    assert_eq!(store.list("4711/b").unwrap().len(), count);
    store.delete_dir("4711").unwrap();
    assert!(store.list("").unwrap().is_empty());
}

/// Somebody who puts something there as soon as a put has looked and found nothing.
struct Intruder<'a> {
    bucket: &'a Bucket,
    bytes: &'a [u8],
}

impl Monitor for Intruder<'_> {
    fn event(&self, event: Event) {
        if let Event::Begin { stage: Stage::Copy, .. } = event {
            put(opened(self.bucket).as_mut(), "4711/b/box.json", self.bytes);
        }
    }
}

/// Of two that put something where nothing is one is told that it was too late.
pub(crate) fn the_first_one_wins(bucket: &Bucket) {
    let (ours, theirs) = (noise(200, 1), noise(200, 2));
    let cancel = Cancel::default();
    for (bytes, fails) in [(&theirs, true), (&ours, false)] {
        let mut store = opened(bucket);
        let run = Run { monitor: &Intruder { bucket, bytes }, cancel: &cancel };
        let put = store.put("4711/b/box.json", &Content::bytes(ours.clone()), &run);
        match put {
            Err(error) if fails => assert_eq!(error.kind(), Kind::Busy, "{}", error.report()),
            put => assert!(!fails && put.is_ok(), "{put:?}"),
        }
        assert_eq!(get(store.as_mut(), "4711/b/box.json"), *bytes);
        store.delete("4711/b/box.json").unwrap();
    }
}

#[test]
#[ignore = "make test-stores"]
fn who_is_too_late_overwrites_nothing() {
    the_first_one_wins(&Bucket::ceph());
}

#[test]
#[ignore = "make test-stores"]
fn a_service_without_conditions_gets_copies_too() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    proxy.knows_no_conditions();
    let bytes = noise(70_000, 3);
    put(opened(&bucket).as_mut(), "4711/b/x", &bytes);
    assert!(get(opened(&bucket).as_mut(), "4711/b/x") == bytes && proxy.conditions() == 1);
}

/// At most one part is sent again.
#[test]
#[ignore = "make test-stores"]
fn a_line_that_is_cut_anywhere_leaves_nothing_wrong_in_a_bucket() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    // So slow that the parts wait for each other.
    proxy.is_slow(3_000_000);
    let sizes = [(200_000, proof::cases(30, 940)), (18_000_000, proof::cases(6, 60))];
    // Beside the content some thousand bytes are requests. Which part waits for the line the longest need not be the next on it.
    anywhere(&bucket, &proxy, sizes, |cut, size| cut.min(size).saturating_sub(PART + 12_000));
}

#[test]
#[ignore = "make test-stores"]
fn parts_of_other_content_are_not_gone_on_with() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    let mut store = opened(&bucket);
    for differs in [100, PART as usize + 100] {
        let mut bytes = noise(26_000_000, 3);
        proxy.cut_after(22_000_000);
        put_here(opened(&bucket).as_mut(), "4711/b/x", &bytes).unwrap_err();
        proxy.mend();
        bytes[differs] ^= 1;
        assert_eq!(put(store.as_mut(), "4711/b/x", &bytes).bytes, 26_000_000, "{differs}");
        assert!(get(store.as_mut(), "4711/b/x") == bytes, "{differs}");
        store.delete("4711/b/x").unwrap();
    }
}

#[test]
#[ignore = "make test-stores"]
fn a_service_that_has_no_time_is_asked_again() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    let (mut store, bytes) = (opened(&bucket), noise(9_000_000, 3));
    proxy.busy_for(2);
    put(store.as_mut(), "4711/b/x", &bytes);
    proxy.busy_for(1000);
    let error = put_here(opened(&bucket).as_mut(), "4711/b/y", &bytes).unwrap_err();
    assert!(error.kind() == Kind::Busy && error.report().contains("503"), "{}", error.report());
    proxy.mend();
    assert_eq!(names(store.as_mut(), "4711/b"), ["x"]);
}

#[test]
#[ignore = "make test-stores"]
fn a_line_that_stalls_is_given_up() {
    let proxy = Proxy::to(CEPH.at);
    let quick = Bucket::ceph().impatient().through(&proxy);
    let bytes = noise(9_000_000, 3);
    for stall in [0, 1_000, 300_000] {
        proxy.stall_after(stall);
        let begun = Instant::now();
        let error = put_here(opened(&quick).as_mut(), "4711/b/x", &bytes).unwrap_err();
        assert!(error.kind() == Kind::Io && error.report().contains("for too long"), "{}", error.report());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        proxy.mend();
        assert!(opened(&quick).list("4711/b").unwrap().is_empty());
    }
}

#[test]
#[ignore = "make test-stores"]
fn who_presses_ctrl_c_waits_for_no_silent_service() {
    let proxy = Proxy::to(CEPH.at);
    ends_at_once(&Bucket::ceph().patient().through(&proxy), &proxy, &[0, 20_000]);
    let proxy = Proxy::to(CEPH.with_tls);
    ends_at_once(&Bucket::ceph_with_tls().patient().through(&proxy), &proxy, &[0, 1_000, 20_000]);
}

/// What is changed on its way is refused by the service; what is changed on its way back is found by who reads it.
#[test]
#[ignore = "make test-stores"]
fn a_bit_that_is_changed_on_the_way_gets_nowhere() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    let (mut store, bytes) = (opened(&bucket), noise(200_000, 3));
    proxy.flip_after(100_000);
    let error = put_here(store.as_mut(), "4711/b/x", &bytes).unwrap_err();
    assert!(error.kind() == Kind::Io && error.report().contains("changed on its way"), "{}", error.report());
    proxy.mend();
    assert!(store.list("4711/b").unwrap().is_empty());
    put(store.as_mut(), "4711/b/x", &bytes);
}

#[test]
#[ignore = "make test-stores"]
fn nothing_is_sent_to_a_service_whose_certificate_nobody_trusts() {
    let proxy = Proxy::to(CEPH.with_tls);
    for ca in [Some("other.pem"), None] {
        let mut bucket = Bucket::ceph_with_tls().through(&proxy);
        bucket.more = ca.map_or(String::new(), |ca| format!("ca_file = {:?}", tls(ca)));
        let before = proxy.sent();
        let error = bucket.fails_to_put();
        assert!(error.report().contains("ca_file"), "{}", error.report());
        let sent = proxy.sent() - before;
        assert!(sent > 0 && sent < 1000, "a handshake that is broken off, and no more: {sent} bytes");
    }
    let elsewhere = Proxy::at("127.0.0.3", CEPH.with_tls);
    let mut other = Bucket::ceph_with_tls().through(&elsewhere);
    other.endpoint = other.endpoint.replace("localhost", "127.0.0.3");
    let error = other.fails_to_put();
    assert!(error.report().contains("of another host"), "{}", error.report());
}

#[test]
#[ignore = "make test-stores"]
fn what_is_wrong_is_told_with_what_helps() {
    let bucket = Bucket::ceph();
    secret_file(&bucket.secret(), "wrong");
    let error = bucket.fails_to_put();
    assert!(error.kind() == Kind::Refused && error.report().contains("secret_key_file"), "{}", error.report());
    let nowhere = Bucket { bucket: "no-such-bucket".into(), ..Bucket::ceph() };
    let error = opened(&nowhere).list("").unwrap_err();
    assert!(error.kind() == Kind::Config && error.report().contains("make the bucket"), "{}", error.report());
    let dead = Bucket { endpoint: "http://127.0.0.1:1".into(), ..Bucket::ceph() };
    let error = dead.fails_to_put();
    assert!(error.kind() == Kind::Io && error.report().contains("refused"), "{}", error.report());
}

#[test]
#[ignore = "make test-stores"]
fn a_clock_that_is_wrong_is_named_as_the_cause() {
    let (plain, tls) = (Bucket::ceph(), Bucket::ceph_with_tls());
    let site = Box::new();
    for (bucket, time) in
        [(&plain, "2031-01-01 12:00:00"), (&plain, "2024-01-01 12:00:00"), (&tls, "2019-01-01 12:00:00")]
    {
        site.configure("", &format!("[stores.away]\n{}", bucket.table()));
        let told = site.run_at(time, &["store", "test", "away"]).exits(1);
        assert!(told.out.contains("clock"), "{time}: {}", told.out);
    }
}

#[test]
#[ignore = "make test-stores"]
fn secrets_come_from_files_that_nobody_else_reads_or_from_systemd() {
    let bucket = Bucket::ceph();
    let site = Box::new();
    let by_systemd = bucket.table().replace(&format!("{:?}", bucket.secret()), "\"credential:s3.secret\"");
    site.configure("", &format!("[stores.away]\n{by_systemd}"));
    let none = site.run(&["store", "test", "away"]).exits(1);
    assert!(none.out.contains("LoadCredential"), "{}", none.out);
    let mut handed = site.command(&["store", "test", "away"]);
    handed.env("CREDENTIALS_DIRECTORY", bucket.dir.path());
    ran(handed).exits(0).prints(&["good    delete"]);
    fs::set_permissions(bucket.secret(), fs::Permissions::from_mode(0o644)).unwrap();
    let error = open(&config_of(&bucket.table())).map(|_| ()).unwrap_err();
    assert!(error.kind() == Kind::Refused && error.report().contains("chmod 600"), "{}", error.report());
    assert!(!error.report().contains("SKTEST"));
}
