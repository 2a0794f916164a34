//! Whose backups are believed: what was changed, made by a stranger or stripped of its signature on a medium that others
//! can write to is not taken for this box's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kit::{Box, STICK, Stick, names, ran, receipts, tillstick, tool};

/// A box whose backups go to the folder `away`, too, and its one backup there.
fn with_copy(site: &Box) -> (String, PathBuf) {
    let away = site.path("away");
    site.configure("", &format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\n"));
    fs::create_dir_all(&away).unwrap();
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    let id = site.backup();
    let dir = away.join("004711/kasse-1").join(&id);
    assert!(names(&dir).contains(&"manifest.json.sig".to_owned()), "{:?}", names(&dir));
    (id, dir)
}

/// Makes the list of sums fit what is there, as whoever changes something would.
fn seal(dir: &Path) {
    let sums: String = ["004711_kasse.sql.gz", "manifest.json"]
        .map(|name| tool("sha256sum", &[dir.join(name).to_str().unwrap()])[..64].to_owned() + "  " + name + "\n")
        .concat();
    fs::write(dir.join("SHA256SUMS"), sums).unwrap();
}

fn restore(site: &Box, id: &str, more: &[&str]) -> crate::kit::Ran {
    let target = site.path("restored.db");
    let _ = fs::remove_file(&target);
    site.run(&[&["restore", id, "--store", "away", "--into", target.to_str().unwrap()], more].concat())
}

#[test]
fn openssl_says_that_a_backup_is_this_boxs() {
    let site = Box::new();
    let dir = site.primary().join(site.backup());
    let pem = site.path("box.pem");
    fs::write(&pem, site.run(&["key", "export"]).exits(0).out).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (manifest, signature) = (path("manifest.json"), path("manifest.json.sig"));
    let args = ["pkeyutl", "-verify", "-pubin", "-inkey", pem.to_str().unwrap(), "-rawin", "-in", &manifest];
    tool("openssl", &[&args[..], &["-sigfile", &signature]].concat());
    assert_eq!(
        site.manifest(&names(&site.primary())[1])["signed_by"],
        site.run(&["key", "show", "--json"]).json()["key"]
    );
}

#[test]
fn a_manifest_that_was_changed_in_a_store_is_never_used() {
    let site = Box::new();
    let (id, dir) = with_copy(&site);
    site.run(&["check", "--store", "away", "--read"]).exits(0);
    let manifest = fs::read_to_string(dir.join("manifest.json")).unwrap();
    fs::write(dir.join("manifest.json"), manifest.replace("\"customer\": \"004711\"", "\"customer\": \"004712\""))
        .unwrap();
    seal(&dir);
    for more in [&[][..], &["--trust-unknown"]] {
        let checked = site.run(&[&["check", "--store", "away"], more].concat()).exits(1);
        checked.prints(&["not what was signed"]);
        restore(&site, &id, more).exits(1).says(&["not what was signed"]);
    }
    let access = site.path("access.toml");
    fs::write(&access, format!("[stores.x]\ntype = \"directory\"\npath = {:?}\n", site.path("away"))).unwrap();
    let fresh = site.path("fresh");
    let args = ["recover", "--stores", access.to_str().unwrap(), "--into", fresh.to_str().unwrap(), "--yes"];
    ran(tillstick(&args)).exits(1).says(&["no complete backup"]);
}

#[test]
fn a_backup_without_its_signature_is_used_when_a_person_says_so() {
    let site = Box::new();
    let (id, dir) = with_copy(&site);
    fs::remove_file(dir.join("manifest.json.sig")).unwrap();
    site.run(&["check", "--store", "away"]).exits(1).prints(&["not signed", "--trust-unknown"]);
    restore(&site, &id, &[]).exits(1).says(&["not signed", "--trust-unknown"]);
    restore(&site, &id, &["--trust-unknown"]).exits(0).says(&["not signed"]);
    // Here, whoever could take it away could do anything.
    fs::remove_file(site.primary().join(&id).join("manifest.json.sig")).unwrap();
    site.run(&["check"]).exits(0).says(&["not signed"]);
}

#[test]
fn a_backup_that_a_stranger_put_there_is_believed_when_its_key_is_trusted() {
    let (site, stranger) = (Box::new(), Box::new());
    let (id, dir) = with_copy(&site);
    let (theirs, there) = with_copy(&stranger);
    // Under the name of ours, signed with a good key of somebody else's.
    let forged = dir.with_file_name(&theirs);
    fs::remove_dir_all(&dir).unwrap();
    tool("cp", &["-r", there.to_str().unwrap(), forged.to_str().unwrap()]);
    let shown = stranger.run(&["key", "show", "--json"]).exits(0).json();
    let (key, fingerprint) = (shown["key"].as_str().unwrap(), shown["fingerprint"].as_str().unwrap());
    restore(&site, &theirs, &[]).exits(1).says(&["not known here", fingerprint, "key trust", key]);
    site.run(&["check", "--store", "away"]).exits(1).prints(&["not known here", fingerprint]);
    let pem = site.path("stranger.pem");
    fs::write(&pem, stranger.run(&["key", "export"]).exits(0).out).unwrap();
    site.run(&["key", "trust", pem.to_str().unwrap(), "--name", "kasse-9"]).exits(0).prints(&[fingerprint]);
    site.run(&["key", "list"]).exits(0).prints(&["kasse-9", "this box"]);
    restore(&site, &theirs, &[]).exits(0);
    site.run(&["key", "distrust", "kasse-9"]).exits(0);
    site.run(&["key", "distrust", "kasse-9"]).exits(1).says(&["key list"]);
    restore(&site, &theirs, &[]).exits(1);
    site.run(&["check", &id]).exits(0);
}

#[test]
fn what_an_earlier_key_signed_still_counts() {
    let site = Box::new();
    let (id, _) = with_copy(&site);
    let old = site.run(&["key", "show"]).exits(0).out;
    site.run(&["key", "rotate"]).exits(0);
    assert_ne!(site.run(&["key", "show"]).exits(0).out, old);
    let new = site.backup();
    for id in [id, new] {
        restore(&site, &id, &[]).exits(0);
    }
    site.run(&["check", "--store", "away", "--read"]).exits(0);
    site.run(&["key", "trust", "nonsense", "--name", "x"]).exits(2).says(&["64 hex digits"]);
}

#[test]
fn a_box_without_a_usable_key_backs_up_and_says_so() {
    let site = Box::new();
    site.backup();
    fs::write(site.path("state/box-key"), "nonsense").unwrap();
    site.run(&["backup"]).exits(0).says(&["not signed", "key rotate"]);
    site.run(&["key", "rotate"]).exits(0);
    let id = site.backup();
    assert!(names(&site.primary().join(id)).contains(&"manifest.json.sig".to_owned()));
}

#[test]
fn who_recovers_a_box_trusts_the_key_that_signed_its_backups() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let count = receipts(&site.database());
    let fingerprint = site.run(&["key", "show", "--json"]).exits(0).json()["fingerprint"].as_str().unwrap().to_owned();
    for gone in ["state", "backups"] {
        fs::remove_dir_all(site.path(gone)).unwrap();
    }
    for gone in ["kasse.db", "kasse.db-wal", "kasse.db-shm", "tillstick.toml"] {
        let _ = fs::remove_file(site.path(gone));
    }
    site.run(&["recover", stick.text(), "--yes"]).exits(0).says(&["signed by", &fingerprint]);
    assert_eq!(receipts(&site.database()), count);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    site.run(&["key", "list"]).exits(0).prints(&[&fingerprint, "kasse-1"]);
    site.backup();
}

#[test]
fn the_keys_of_a_box_are_in_none_of_its_backups() {
    let site = Box::new();
    site.configure("", &format!("[sources.all]\ntype = \"files\"\npaths = [{:?}]\n", site.path("state")));
    site.backup();
    let id = site.backup();
    let archive = site.primary().join(&id).join("004711_all.tar.gz");
    let listed = tool("tar", &["tzf", archive.to_str().unwrap()]);
    assert!(listed.contains("state/box-id"), "{listed}");
    assert!(!listed.contains("box-key") && !listed.contains("stick-key"), "{listed}");
}
