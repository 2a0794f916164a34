//! The end of a contract, cut short: whatever goes stands in a record, and every record is what its box has signed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::kit::names;
use crate::shop::{Shop, Tree, kill, tree};
use crate::strace::Call;

const PURGE: [&str; 5] = ["store", "purge", "--customer", "004711", "--yes"];

/// Has the backups in a store, too.
fn with_a_store(shop: &Shop) {
    let away = shop.path("away");
    fs::create_dir(&away).unwrap();
    let mut config = OpenOptions::new().append(true).open(shop.path("tillstick.toml")).unwrap();
    writeln!(config, "[stores.away]\ntype = \"directory\"\npath = {away:?}").unwrap();
    assert_eq!(shop.run(&["store", "init", "away", "--same-disk"]).code, Some(0));
    assert_eq!(shop.run(&["copy"]).code, Some(0));
    fs::write(shop.path("box.pem"), shop.run(&["key", "export"]).out).unwrap();
}

fn records(shop: &Shop) -> Tree {
    let mut all = if shop.path("state/purges").exists() { tree(&shop.path("state/purges")) } else { Tree::new() };
    all.retain(|path, _| path.extension().is_some_and(|ending| ending == "json"));
    all
}

/// Each record is signed. The names of those that say that all is gone, and of the others.
#[track_caller]
fn judged(shop: &Shop, what: &str) -> [Vec<PathBuf>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for (name, bytes) in records(shop) {
        let record = shop.path("state/purges").join(&name);
        let mut verify = Command::new("openssl");
        verify.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(shop.path("box.pem"));
        verify.arg("-in").arg(&record).arg("-sigfile").arg(record.with_extension("json.sig"));
        let status = verify.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{what}: {name:?} is not what was signed");
        let text: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let is_unfinished = name.to_str().unwrap().ends_with(".unfinished.json");
        assert_eq!(text["done"], !is_unfinished, "{what}: {name:?} says {text}");
        assert_eq!(text["removed"][0]["box"], "kasse-1", "{what}: {text}");
        found[usize::from(is_unfinished)].push(name);
    }
    found
}

#[test]
fn a_purge_that_is_killed_anywhere_leaves_no_record_that_its_signature_does_not_fit() {
    let shop = Shop::with_a_folder();
    shop.change(&with_a_store);
    let there = || tree(&shop.path("away")).into_keys().collect::<Vec<_>>();
    let before = there();
    let faults = |call: &Call| {
        let removes = call.path.contains("/away/") && call.name.starts_with("unlink");
        if removes || call.path.contains("/purges") { kill(call) } else { Vec::new() }
    };
    shop.strike_all(&|| shop.command(&PURGE), &faults, &|what, _| {
        let [finished, unfinished] = judged(&shop, what);
        let is_whole = there() == before;
        assert!(is_whole || finished.len() + unfinished.len() > 0, "{what}: something went, and no record says so");
        assert!(finished.is_empty() || !shop.path("away/004711").exists(), "{what}: a record says that all is gone");
        let earlier = records(&shop);
        let again = shop.run(&PURGE);
        assert_eq!(again.code, Some(0), "{what}: {}{}", again.out, again.err);
        judged(&shop, what);
        assert!(!names(&shop.path("away")).iter().any(|name| name == "004711"), "{what}");
        let now = records(&shop);
        assert!(earlier.iter().all(|(name, bytes)| now.get(name) == Some(bytes)), "{what}: {earlier:?} {now:?}");
        assert!(!is_whole || now.len() > earlier.len(), "{what}: {now:?}");
    });
}
