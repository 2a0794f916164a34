//! A bucket that keeps what it was given, and a key that can only add: as docs/STORES.md tells to set them up.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;
use tillstick::error::{Error, Kind};

use crate::contract::{Subject, noise, open_it};
use crate::kit::{Box, scratch, sql};
use crate::line::Proxy;
use crate::s3::{Bucket, put_here};
use crate::servers::{CEPH, secret_file};

/// The block of a kind in the document's section.
fn documented(kind: &str) -> &'static str {
    let text = include_str!("../../docs/STORES.md");
    let section = text.split("### A key that can only add").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.split(&format!("```{kind}\n")).nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

/// A bucket that was set up by the document, and who has keys for it.
struct Locked {
    name: &'static str,
    dir: TempDir,
    by_box: Bucket,
    by_owner: Bucket,
}

impl Locked {
    fn new(name: &'static str, policy: &str) -> Self {
        let by_box = Bucket::of_ceph(name, name, "SKBOX");
        let made = Self { name, dir: scratch(), by_box, by_owner: Bucket::of_ceph(name, "AKTEST", "SKTEST") };
        secret_file(&made.path("owner.curl"), "user = \"AKTEST:SKTEST\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n");
        secret_file(
            &made.path("box.curl"),
            &format!("user = \"{name}:SKBOX\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n"),
        );
        fs::write(made.path("lock.xml"), documented("xml")).unwrap();
        fs::write(made.path("nothing"), "").unwrap();
        // A service that hangs is a failure.
        fs::write(made.path(".curlrc"), "max-time = 60\n").unwrap();
        CEPH.user(name, name, "SKBOX");
        made.set(policy, documented("sh"));
        made
    }

    /// Runs lines of the document, with this policy.
    fn set(&self, policy: &str, script: &str) {
        let ours = |text: &str| {
            text.replace("till-backups", self.name).replace("user/till-box", &format!("user/{}", self.name))
        };
        fs::write(self.path("policy.json"), ours(policy)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &ours(script)]).env("S3", format!("http://{}", CEPH.at)).current_dir(self.dir.path());
        command.env("CURL_HOME", self.dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Goes to it over a line that fails.
    fn through(&self, proxy: &Proxy) -> Bucket {
        Bucket::of_ceph(self.name, self.name, "SKBOX").through(proxy)
    }

    /// What the service answers to whom: the status, and the text.
    fn ask(&self, whose: &str, method: &str, at: &str) -> (String, Vec<u8>) {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let url = format!("http://{}/{}{at}", CEPH.at, self.name);
        let mut command = Command::new("curl");
        command.args(["-sS", "-K", whose, "-X", method, "-o", "answer", "-w", "%{http_code}", &url]);
        command.args(["-H", &format!("x-amz-content-sha256: {empty}")]).current_dir(self.dir.path());
        command.env("CURL_HOME", self.dir.path());
        if method == "PUT" {
            command.args(["--data-binary", ""]);
        }
        let output = command.output().unwrap();
        (text(&output), fs::read(self.path("answer")).unwrap_or_default())
    }

    /// The versions of what lies at `key`, the newest first.
    fn versions(&self, key: &str) -> Vec<String> {
        let (status, answer) = self.ask("owner.curl", "GET", &format!("?prefix={}&versions=", key.replace('/', "%2F")));
        assert_eq!(status, "200");
        let answer = String::from_utf8(answer).unwrap();
        let of = |one: &str| one.split("<VersionId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        answer.split("<Version>").skip(1).map(of).collect()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `more` of a store that the box sends to.
fn configure(site: &Box, bucket: &Bucket, more: &str) {
    site.configure("", &format!("[stores.away]\n{}\n{more}", bucket.table()));
}

const KEEP_ONE: &str = "retention = { within = \"0s\", daily = 0, weekly = 0, monthly = 0, keep_last = 1 }";

/// Backups, copies that were cut off, and checks.
fn works(site: &Box, locked: &Locked, layout: &str) -> String {
    let more = format!("append_only = true\nlayout = {layout:?}\n{KEEP_ONE}");
    configure(site, &locked.by_box, &more);
    site.run(&["store", "test", "away"]).exits(0).prints(&["good    read", "not tried: append_only"]);
    let mut last = String::new();
    for _ in 0..2 {
        let ran = site.run(&["backup", "--json"]).exits(0);
        assert!(!ran.err.contains("warning"), "{layout}: {}", ran.err);
        last = ran.json()["id"].as_str().unwrap().to_owned();
        sql(&site.database(), "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts LIMIT 1)");
    }
    let proxy = Proxy::to(CEPH.at);
    let through = locked.through(&proxy);
    configure(site, &through, &more);
    proxy.cut_after(20_000);
    site.run(&["backup"]).exits(3);
    proxy.mend();
    site.run(&["copy"]).exits(0);
    configure(site, &locked.by_box, &more);
    site.run(&["check", "--store", "away", "--drill"]).exits(0).prints(&["restored and equal"]);
    last
}

#[test]
#[ignore = "make test-stores"]
fn a_key_that_can_only_add_is_enough_and_takes_nothing_away() {
    let locked = Locked::new("locked", documented("json"));
    let site = Box::new();
    let id = works(&site, &locked, "plain");
    works(&site, &locked, "delta");
    let status = locked.versions("status/004711/kasse-1.json");
    assert!(status.len() > 6, "with each copy it was told how the box stands: {status:?}");

    // Whoever has stolen the key of the box can neither remove anything nor change what is there for good.
    let key = format!("004711/kasse-1/{id}/004711_kasse.sql.gz");
    let (was, good) = (locked.versions(&key), fs::read(site.artifact(&id)).unwrap());
    assert_eq!(was.len(), 1);
    let this = format!("/{key}?versionId={}", was[0]);
    for at in [&format!("/{key}"), &this] {
        assert_eq!(locked.ask("box.curl", "DELETE", at).0, "403", "{at}");
    }
    assert_eq!(locked.ask("box.curl", "PUT", &format!("/{key}")).0, "200");
    let now = locked.versions(&key);
    assert!(now.len() == 2 && now[1] == was[0], "{was:?} {now:?}");
    let told = site.run(&["check", "--store", "away"]).exits(1);
    assert!(told.out.contains("missing"), "{} {}", told.out, told.err);
    assert!(locked.ask("owner.curl", "GET", &this) == ("200".into(), good), "what was put first is still there");
    assert_eq!(locked.ask("owner.curl", "DELETE", &this).0, "403", "nor does the lock let its owner remove it");
    for at in ["?policy=", "?object-lock="] {
        assert_eq!(locked.ask("box.curl", "PUT", at).0, "403", "{at}");
    }
    assert_eq!(locked.ask("box.curl", "DELETE", "?policy=").0, "403");

    // A box that would clean up there is told that it may not; the owner's key may, and what goes stays as an older version.
    let before = locked.versions("004711/");
    configure(&site, &locked.by_box, KEEP_ONE);
    let warned = site.run(&["backup"]).exits(0);
    assert!(warned.err.contains("clean-up of `away` failed") && warned.err.contains("403"), "{}", warned.err);
    site.run(&["prune", "--store", "away"]).exits(1).says(&["403", "what this key may do"]);
    configure(&site, &locked.by_owner, KEEP_ONE);
    site.run(&["prune", "--store", "away"]).exits(0).prints(&["kept 1"]);
    let after = locked.versions("004711/");
    assert!(before.iter().all(|version| after.contains(version)), "nothing is gone for good");
}

/// When any one of the rights is denied something is refused, and it is told.
#[test]
#[ignore = "make test-stores"]
fn the_documents_policy_names_no_right_too_many() {
    let policy = documented("json");
    let locked = Locked::new("rights", policy);
    let rights: Vec<&str> = policy.split('"').filter(|word| word.starts_with("s3:") && *word != "s3:*").collect();
    assert_eq!(rights.len(), 6, "{rights:?}");
    let put_policy = documented("sh").lines().filter(|line| !line.contains("lock")).collect::<Vec<_>>().join("\n");
    goes_on(&locked, 0).unwrap_or_else(|error| panic!("{}", error.report()));
    for (number, right) in rights.iter().enumerate() {
        // Denied, for Ceph lets whoever put an object read it without a right to that.
        let denied = format!(
            "\"Statement\": [{{\"Effect\": \"Deny\", \"Principal\": {{\"AWS\": \"arn:aws:iam:::user/till-box\"}}, \"Action\": {right:?}, \
             \"Resource\": [\"arn:aws:s3:::till-backups\", \"arn:aws:s3:::till-backups/*\"]}},"
        );
        locked.set(&policy.replace("\"Statement\": [", &denied), &put_policy);
        let error = goes_on(&locked, number + 1).map(|()| panic!("{right} is not needed")).unwrap_err();
        assert!(error.kind() == Kind::Refused && error.report().contains("403"), "{right}: {}", error.report());
    }
}

/// A large file that was cut off, other content in its place, and a look at it.
fn goes_on(locked: &Locked, number: usize) -> Result<(), Error> {
    let path = format!("004711/kasse-1/{number}/x");
    let proxy = Proxy::to(CEPH.at);
    let through = locked.through(&proxy);
    let bytes = noise(18_000_000, 3);
    proxy.cut_after(12_000_000);
    // So slow that the first part was put away before.
    proxy.pace(5_000_000);
    let cut_off = put_here(open_it(&through)?.as_mut(), &path, &bytes).unwrap_err();
    if cut_off.kind() == Kind::Refused {
        return Err(cut_off);
    }
    proxy.mend();
    let sent = put_here(open_it(&through)?.as_mut(), &path, &bytes)?;
    assert!(sent.resumed > 0, "{sent:?}");
    proxy.cut_after(12_000_000);
    put_here(open_it(&through)?.as_mut(), &path, &noise(18_000_000, 5)).unwrap_err();
    proxy.mend();
    put_here(open_it(&through)?.as_mut(), &path, &noise(18_000_000, 7))?;
    open_it(&through)?.list("004711/kasse-1").map(|_| ())
}
