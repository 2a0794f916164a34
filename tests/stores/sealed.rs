//! Encrypted copies on servers: nobody there reads them, and whoever has the key needs nothing but the store.

use std::fs;

use crate::contract::{Subject, get, opened};
use crate::kit::{Box, pair, ran, receipts, sql, tillstick, tool, with_key};
use crate::line::Proxy;

/// What the store has of the box, each file with its path below the box's folder.
fn all_of(subject: &dyn Subject) -> Vec<(String, Vec<u8>)> {
    let mut store = opened(subject);
    let (mut all, mut dirs) = (Vec::new(), vec!["004711/kasse-1".to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in store.list(&dir).unwrap() {
            let path = format!("{dir}/{}", entry.name);
            match entry.is_dir {
                true => dirs.push(path),
                false => all.push((path.clone(), get(store.as_mut(), &path))),
            }
        }
    }
    all
}

/// The whole life of encrypted copies in a store; `ending` is that of the files that hold the content there.
pub(crate) fn life(subject: &dyn Subject, ending: &str) {
    let site = Box::new();
    let (key, to) = pair(&site, "key.txt");
    let (other, _) = pair(&site, "other.txt");
    site.configure("", &format!("[stores.away]\n{}\nencrypt_to = [{to:?}]\n", subject.table()));
    let first = site.backup();
    let rows = receipts(&site.database());
    sql(&site.database(), "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts LIMIT 3)");
    let second = site.backup();

    let listed = site.run(&["list", "--store", "away", "--json"]).exits(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    let all = all_of(subject);
    let content: Vec<_> = all.iter().filter(|(path, _)| path.ends_with(ending)).collect();
    assert_eq!(content.len(), 2, "one for each backup: {:?}", all.iter().map(|(path, _)| path).collect::<Vec<_>>());
    assert!(content.iter().all(|(_, bytes)| bytes.starts_with(b"age-encryption.org/v1\n")));
    // What is told in plain is the manifest, never a row.
    for (path, bytes) in &all {
        assert!(!path.ends_with(".sql.gz") && !path.ends_with(".pack"), "{path}");
        assert!(!String::from_utf8_lossy(bytes).contains("INSERT INTO"), "{path}");
    }
    if ending == ".sql.gz.age" {
        // An auditor's tool opens what lies there.
        let (path, bytes) = content.iter().find(|(path, _)| path.contains(&first)).unwrap();
        let (sealed, plain) = (site.path("sealed"), site.path("plain"));
        fs::write(&sealed, bytes).unwrap();
        tool("age", &["-d", "-i", key.to_str().unwrap(), "-o", plain.to_str().unwrap(), sealed.to_str().unwrap()]);
        assert!(fs::read(&plain).unwrap() == fs::read(site.artifact(&first)).unwrap(), "{path}");
    }

    // Without the key the bytes are compared; with it the content.
    site.run(&["check", "--store", "away"]).exits(0);
    site.run(&["check", "--store", "away", "--read"]).exits(0).prints(&["its content is not proven"]);
    let drill = ["check", "--store", "away", "--drill"];
    site.run(&drill).exits(3).prints(&["its content is not proven", "--identity FILE"]);
    site.run(&with_key(&drill, &other)).exits(3).prints(&["other keys"]);
    let told = site.run(&["status", "--json"]).exits(0).json();
    assert_eq!(told["newest_copied"], second.as_str(), "no damage was found: {told}");
    site.run(&with_key(&drill, &key)).exits(0).prints(&["restored and equal"]);
    let again = site.run(&["copy", "--to", "away", "--json"]).exits(0).json();
    assert_eq!(again["copies"][0]["bytes"], 0, "{again}");

    // Straight from the store.
    let back = site.path("back.db");
    let restore = ["restore", &first, "--store", "away", "--into", back.to_str().unwrap()];
    site.run(&restore).exits(1).says(&["encrypted", "--identity FILE"]);
    site.run(&with_key(&restore, &other)).exits(1).says(&["other keys"]);
    assert!(!back.exists());
    site.run(&with_key(&restore, &key)).exits(0);
    assert_eq!(receipts(&back), rows);

    // A box that knows the store and has the key.
    let fresh = site.path("fresh");
    let access = site.path("access.toml");
    fs::write(&access, format!("[stores.x]\n{}\n", subject.table())).unwrap();
    let recover = ["recover", "--stores", access.to_str().unwrap(), "--into", fresh.to_str().unwrap(), "--yes"];
    ran(tillstick(&recover)).exits(1).says(&["encrypted", "--identity FILE"]);
    ran(tillstick(&with_key(&recover, &key))).exits(0);
    assert_eq!(receipts(&fresh.join("kasse.db")), rows - 3);
}

/// An encrypted copy whose line is cut goes on with the very same bytes, of which at most `again` are sent twice.
pub(crate) fn goes_on(subject: &dyn Subject, proxy: &Proxy, again: u64) {
    let site = Box::large();
    let (key, to) = pair(&site, "key.txt");
    site.configure("", &format!("[stores.away]\n{}\nencrypt_to = [{to:?}]\n", subject.table()));
    let id = {
        site.run(&["backup", "--no-copy"]).exits(0);
        site.ids().pop().unwrap()
    };
    let size = fs::metadata(site.artifact(&id)).unwrap().len();
    let cut = size * 3 / 4;
    assert!(cut > again, "an artifact of {size} bytes shows nothing");
    proxy.cut_after(i64::try_from(cut).unwrap());
    site.run(&["copy"]).exits(3).says(&["not sent"]);
    proxy.mend();
    let rest = site.run(&["copy", "--json"]).exits(0).json()["copies"][0]["bytes"].as_u64().unwrap();
    assert!(rest <= size - cut + again, "{rest} of {size} were sent again after a cut at {cut}");
    site.run(&with_key(&["check", "--store", "away", "--drill"], &key)).exits(0).prints(&["restored and equal"]);
}
