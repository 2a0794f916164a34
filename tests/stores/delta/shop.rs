//! The layout as a shop uses it: the real program, a folder, and the tools of an auditor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tillstick::store::shelf::Parts;

use super::Packs;
use crate::contract::Subject as _;
use crate::directory::Folder;
use crate::kit::{Box, names, pair, ran, receipts, sql, tillstick, tool, with_key};
use crate::queue::copy_killed_half_way;
use crate::till;

const ARTIFACT: &str = "004711_kasse.sql.gz";

fn configure(site: &Box, folder: &Folder, more: &str) {
    site.configure("", &format!("[stores.away]\n{}\n{more}\n", Packs(folder).table()));
}

/// Makes a backup; gives its id and how many bytes its copy was.
#[track_caller]
fn backup(site: &Box) -> (String, u64) {
    let told = site.run(&["backup", "--json"]).exits(0).json();
    (told["id"].as_str().unwrap().to_owned(), told["copies"][0]["bytes"].as_u64().unwrap())
}

/// The folder of the box in the store.
fn shelf(folder: &Folder) -> PathBuf {
    folder.0.path().join("nas/004711/kasse-1")
}

fn packs(folder: &Folder) -> Vec<String> {
    names(&shelf(folder).join("packs"))
}

#[test]
fn the_verbs_work_over_packs_in_a_folder() {
    let folder = Folder::new();
    crate::verbs::life(&Packs(&folder));
    assert_eq!(folder.files().unwrap(), ["tillstick-store.json"], "nothing of the customer is left");
}

#[test]
fn what_is_sent_is_little_when_little_has_changed() {
    let folder = Folder::new();
    let site = Box::large();
    if crate::proof::is_full() {
        // A database of 100 MB.
        fs::remove_file(site.database()).unwrap();
        till::make(&site.database(), till::Till { lines: 790_000, wal: true }).unwrap();
    }
    configure(&site, &folder, "");
    let (first, all) = backup(&site);
    let size = fs::metadata(site.artifact(&first)).unwrap().len();
    assert!((size..size + 5000).contains(&all), "{all} of {size}");

    let (second, unchanged) = backup(&site);
    assert!(unchanged <= 2000, "{unchanged} bytes for a run that changed nothing");
    let of_it: u64 = names(&shelf(&folder).join(&second))
        .iter()
        .map(|name| fs::metadata(shelf(&folder).join(&second).join(name)).unwrap().len())
        .sum();
    assert_eq!(of_it, unchanged, "all that was put was counted");
    assert_eq!(packs(&folder).len(), 1);

    till::a_day_passes(&site.database(), 10, 0).unwrap();
    // 1 Mbit/s.
    configure(&site, &folder, "bandwidth = \"125kB\"");
    let database = fs::metadata(site.database()).unwrap().len();
    site.run(&["backup", "--no-copy"]).exits(0);
    let begun = Instant::now();
    let copied = site.run(&["copy", "--json"]).exits(0).json();
    let took = begun.elapsed();
    configure(&site, &folder, "");
    let third = site.ids().pop().unwrap();
    let appended = copied["copies"][0]["bytes"].as_u64().unwrap();
    println!(
        "of a database of {database} bytes: {all} sent first, {unchanged} when nothing changed, {appended} when 1 % was \
         appended, those in {took:?} at 1 Mbit/s"
    );
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(appended <= size * 3 / 100, "{appended} of {size} for 1 % appended rows");
    site.run(&["check", "--store", "away", "--read"]).exits(0);

    // Many days later the lists are still short, and so is a run that changes nothing. No more backups than all stay.
    for _ in 0..16 {
        till::a_day_passes(&site.database(), 1, 3).unwrap();
        backup(&site);
    }
    let (last, unchanged) = backup(&site);
    assert!(unchanged <= 2000, "{unchanged} bytes for a run that changed nothing after many that did");
    for id in [&first, &second, &third, &last] {
        by_the_document(&folder, id, site.artifact(id), None);
    }
}

/// What docs/STORES.md tells an auditor to type.
fn documented() -> String {
    let text = include_str!("../../../docs/STORES.md");
    let section = text.split("## Only what is new").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    block.to_owned()
}

/// Puts a backup together as the document says, and compares it with what was made.
fn by_the_document(folder: &Folder, id: &str, artifact: PathBuf, key: Option<&Path>) {
    let copy = crate::kit::scratch();
    tool("cp", &["-r", shelf(folder).to_str().unwrap(), copy.path().to_str().unwrap()]);
    let dir = copy.path().join("kasse-1").join(id);
    if let Some(key) = key {
        for pack in names(&dir.join("../packs")) {
            let sealed = dir.join("../packs").join(&pack);
            let plain = sealed.with_extension("");
            tool("age", &["-d", "-i", key.to_str().unwrap(), "-o", plain.to_str().unwrap(), sealed.to_str().unwrap()]);
        }
    }
    let output = Command::new("sh").args(["-e", "-c", &documented()]).current_dir(&dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&format!("{ARTIFACT}: OK")), "{said}");
    assert!(said.contains("manifest.json: OK"), "{said}");
    assert!(fs::read(dir.join(ARTIFACT)).unwrap() == fs::read(artifact).unwrap(), "{id} is another file");
}

#[test]
fn the_documents_loop_has_three_lines() {
    assert_eq!(documented().trim().lines().filter(|line| !line.contains("sha256sum")).count(), 3, "{}", documented());
}

#[test]
fn a_clean_up_leaves_what_the_rest_needs_and_no_more() {
    let folder = Folder::new();
    let site = Box::new();
    let keep = |last: u32| {
        format!("retention = {{ within = \"0s\", daily = 0, weekly = 0, monthly = 0, keep_last = {last} }}")
    };
    configure(&site, &folder, &keep(100));
    backup(&site);
    let changes = [
        "UPDATE settings SET value = 'Bar' WHERE key = 'shop'",
        "INSERT INTO vouchers(code, cents) VALUES('X', 5)",
        "DELETE FROM vouchers",
    ];
    for change in changes {
        sql(&site.database(), change);
        backup(&site);
    }
    let before = packs(&folder);
    assert_eq!(before.len(), 4);
    configure(&site, &folder, &keep(1));
    site.run(&["prune", "--store", "away", "--dry-run"]).exits(0);
    assert_eq!(packs(&folder), before);
    site.run(&["prune", "--store", "away"]).exits(0).prints(&["kept 1, deleted 3"]);
    site.run(&["check", "--store", "away", "--drill"]).exits(0).prints(&["restored and equal"]);
    let last = site.ids().pop().unwrap();
    let parts = Parts::parse(&fs::read(shelf(&folder).join(&last).join("parts.gz")).unwrap()).unwrap();
    let needed: Vec<String> = parts.packs().keys().map(ToString::to_string).collect();
    assert_eq!(packs(&folder), needed);
    assert!(needed.len() > 1, "the oldest pack is needed still");
}

#[test]
fn a_store_may_change_its_layout_and_back() {
    let folder = Folder::new();
    let site = Box::new();
    let mut ids = Vec::new();
    for layout in ["plain", "delta", "delta", "plain", "delta"] {
        site.configure("", &format!("[stores.away]\n{}\nlayout = {layout:?}\n", folder.table()));
        sql(&site.database(), "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts LIMIT 1)");
        ids.push((backup(&site).0, layout));
        // What is there in the other layout is there.
        let again = site.run(&["copy", &ids[0].0, "--to", "away", "--json"]).exits(0).json();
        assert_eq!(again["copies"][0]["bytes"], 0, "{again}");
        site.run(&["check", "--store", "away", "--read"]).exits(0);
    }
    let listed = site.run(&["list", "--store", "away", "--json"]).exits(0).json();
    assert_eq!(listed.as_array().unwrap().len(), ids.len());
    for (at, (id, layout)) in ids.iter().enumerate() {
        let back = site.path("back.db");
        let _ = fs::remove_file(&back);
        site.run(&["restore", id, "--store", "away", "--into", back.to_str().unwrap()]).exits(0);
        assert_eq!(receipts(&back), receipts(&site.database()) + (ids.len() - 1 - at) as u64);
        assert_eq!(shelf(&folder).join(id).join(ARTIFACT).exists(), *layout == "plain");
    }
    assert_eq!(packs(&folder).len(), 3);
}

/// Another list of parts in the place of the backup's own.
fn forge(folder: &Folder, id: &str, change: impl Fn(&str) -> String) {
    let path = shelf(folder).join(id).join("parts.gz");
    let text = tool("gunzip", &["-c", path.to_str().unwrap()]);
    let plain = path.with_extension("");
    fs::write(&plain, change(&text)).unwrap();
    tool("gzip", &["-9nf", plain.to_str().unwrap()]);
}

#[test]
fn a_list_that_somebody_forged_leads_nowhere_and_restores_nothing() {
    let folder = Folder::new();
    let site = Box::new();
    configure(&site, &folder, "");
    let (id, _) = backup(&site);
    let good = fs::read(shelf(&folder).join(&id).join("parts.gz")).unwrap();
    let pack = packs(&folder).remove(0);
    let target = site.path("back.db");
    type Forgery<'a> = &'a dyn Fn(&str) -> String;
    let forgeries: [Forgery<'_>; 9] = [
        &|text| text.replace(&format!("{pack} 0"), &format!("{pack} 1")),
        &|text| text.replace(&pack, "../../../../../etc/passwd"),
        &|text| text.replace(ARTIFACT, "004711_other.sql.gz"),
        &|text| format!("{text}{text}"),
        &|text| format!("{text}{pack} 0 9223372036854775000 {ARTIFACT}\n"),
        &|text| format!("{text}{pack} 9223372036854775000 1 {ARTIFACT}\n"),
        &|_| "\0".repeat(3_000_000),
        // These say that the pack is not needed.
        &|text| text.replace(&pack, "20990101T000000Z-0123456789ab.pack"),
        &|_| String::new(),
    ];
    for (number, forgery) in forgeries.iter().enumerate() {
        fs::write(shelf(&folder).join(&id).join("parts.gz"), &good).unwrap();
        forge(&folder, &id, forgery);
        let checked = site.run(&["check", "--store", "away", "--read"]);
        assert_eq!(checked.code, Some(1), "forgery {number}: {} {}", checked.out, checked.err);
        let restored = site.run(&["restore", &id, "--store", "away", "--into", target.to_str().unwrap()]);
        assert_eq!(restored.code, Some(1), "forgery {number}: {} {}", restored.out, restored.err);
        assert!(!target.exists(), "forgery {number}");
        // It fails no backup, and no pack goes because of a list that is none.
        backup(&site);
        site.run(&["list", "--store", "away"]).exits(0);
        assert!(number >= 7 || packs(&folder).contains(&pack), "forgery {number}");
    }
}

#[test]
fn a_pack_that_was_damaged_is_found_and_nothing_more_is_built_on_it() {
    let folder = Folder::new();
    let site = Box::new();
    configure(&site, &folder, "");
    let (first, _) = backup(&site);
    sql(&site.database(), "UPDATE settings SET value = 'Bar' WHERE key = 'shop'");
    let (second, _) = backup(&site);
    let pack = shelf(&folder).join("packs").join(packs(&folder).remove(0));
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    site.run(&["check", "--store", "away"]).exits(0);
    // One check of one backup is enough: the others need the same pack.
    site.run(&["check", &first, "--store", "away", "--read"]).exits(1);
    let (third, sent) = backup(&site);
    assert!(sent > fs::metadata(site.artifact(&third)).unwrap().len(), "all of it: {sent}");
    site.run(&["check", &third, "--store", "away", "--read"]).exits(0);
    // Sent again, the others are put right, once they are known to be damaged, too.
    site.run(&["check", "--store", "away", "--read"]).exits(1);
    for id in [&first, &second] {
        site.run(&["copy", id, "--to", "away"]).exits(0);
    }
    site.run(&["check", "--store", "away", "--read"]).exits(0);
    assert!(!pack.exists(), "nobody needs it any more");
    let pack = shelf(&folder).join("packs").join(packs(&folder).remove(0));
    let bytes = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    site.run(&["check", "--store", "away"]).exits(1).prints(&["missing"]);
    fs::write(&pack, &bytes[..bytes.len() / 2]).unwrap();
    site.run(&["check", "--store", "away"]).exits(1).prints(&["missing"]);
}

#[test]
fn a_pack_that_was_cut_off_is_gone_on_with() {
    let folder = Folder::new();
    let site = Box::large();
    configure(&site, &folder, "bandwidth = \"500kB\"");
    site.run(&["backup", "--no-copy"]).exits(0);
    let id = site.ids().pop().unwrap();
    let size = fs::metadata(site.artifact(&id)).unwrap().len();
    let sent = copy_killed_half_way(&site, &shelf(&folder).join("packs"));
    configure(&site, &folder, "");
    let listed = site.run(&["list", "--store", "away"]).exits(0).out;
    assert!(listed.contains("not finished"), "{listed}");
    let rest = site.run(&["copy", "--json"]).exits(0).json()["copies"][0]["bytes"].as_u64().unwrap();
    assert!(rest < size - sent + 400_000, "{rest} of {size} were sent again, and {sent} were there");
    site.run(&["check", "--store", "away", "--read"]).exits(0);
}

#[test]
fn packs_are_encrypted_whole_and_opened_by_the_key_alone() {
    let folder = Folder::new();
    let site = Box::new();
    let (key, to) = pair(&site, "key.txt");
    let (_, other) = pair(&site, "other.txt");
    configure(&site, &folder, &format!("encrypt_to = [{to:?}]"));
    let (first, _) = backup(&site);
    let (_, unchanged) = backup(&site);
    assert!(unchanged <= 2000, "{unchanged}");
    sql(&site.database(), "UPDATE settings SET value = 'Bar' WHERE key = 'shop'");
    let (third, changed) = backup(&site);
    assert!(changed < fs::metadata(site.artifact(&third)).unwrap().len() / 2, "{changed}");
    for file in folder.files().unwrap() {
        let bytes = fs::read(folder.0.path().join("nas").join(&file)).unwrap();
        assert!(!file.contains("packs/") || bytes.starts_with(b"age-encryption.org/"), "{file}");
        assert!(!file.ends_with(".sql.gz"), "{file}");
    }
    let back = site.path("back.db");
    let restore = ["restore", &third, "--store", "away", "--into", back.to_str().unwrap()];
    site.run(&restore).exits(1).says(&["encrypted", "--identity FILE"]);
    site.run(&with_key(&restore, &site.path("other.txt"))).exits(1).says(&["other keys"]);
    site.run(&with_key(&restore, &key)).exits(0);
    assert_eq!(receipts(&back), receipts(&site.database()));
    for id in [&first, &third] {
        by_the_document(&folder, id, site.artifact(id), Some(&key));
    }

    let fresh = site.path("fresh");
    let access = site.path("access.toml");
    fs::write(&access, format!("[stores.x]\n{}\n", Packs(&folder).table())).unwrap();
    let recover = ["recover", "--stores", access.to_str().unwrap(), "--into", fresh.to_str().unwrap(), "--yes"];
    ran(tillstick(&recover)).exits(1).says(&["encrypted", "--identity FILE"]);
    ran(tillstick(&with_key(&recover, &key))).exits(0);
    assert_eq!(receipts(&fresh.join("kasse.db")), receipts(&site.database()));

    // Without the key every byte of the packs can be checked, too.
    let hashed = "of the SHA-256 that their names say; its content is not proven";
    let drill = ["check", "--store", "away", "--drill"];
    site.run(&["check", "--store", "away", "--read"]).exits(0).prints(&[hashed]);
    site.run(&drill).exits(3).prints(&[hashed, "it is encrypted", "--identity FILE"]);
    site.run(&with_key(&drill, &site.path("other.txt"))).exits(3).prints(&[hashed, "other keys"]);
    assert_eq!(site.run(&["status", "--json"]).exits(0).json()["newest_copied"], third.as_str());
    site.run(&with_key(&drill, &key)).exits(0);
    let pack = shelf(&folder).join("packs").join(packs(&folder).remove(0));
    let good = fs::read(&pack).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    site.run(&["check", "--store", "away", "--read"]).exits(1).prints(&["is not what was put there"]);
    site.run(&drill).exits(1).prints(&["is not what was put there"]);
    site.run(&["check", "--store", "away", "--read", "--identity", key.to_str().unwrap()]).exits(1);
    fs::write(&pack, &good).unwrap();
    site.run(&["check", "--store", "away", "--read"]).exits(0);

    // For others all is sent anew, and nothing of it can be read with the first key.
    configure(&site, &folder, &format!("encrypt_to = [{other:?}]"));
    let (last, sent) = backup(&site);
    assert!(sent > fs::metadata(site.artifact(&last)).unwrap().len(), "{sent}");
    let restore = ["restore", &last, "--store", "away", "--into", fresh.to_str().unwrap()];
    site.run(&with_key(&restore, &key)).exits(1).says(&["other keys"]);
    let sealed = site.primary().join(".sealed");
    assert_eq!(tool("find", &[sealed.to_str().unwrap(), "-type", "f", "!", "-name", ".lock"]), "");
}
