//! A restore of files in place, struck and killed at every system call: each file is the old one or the new one, the old
//! ones are never lost, and the next restore brings it to its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kit::Ran;
use crate::shop::{Shop, errors, kill, speaks_well};

const CHANGED: [&str; 3] = ["index.php", "img/logo", "conf"];

/// A shop with files that were backed up and have changed since.
fn shop() -> (Shop, String) {
    let mut shop = Shop::new();
    let www = shop.path("www");
    shop.change(&|shop| {
        fs::create_dir_all(www.join("img")).unwrap();
        fs::create_dir_all(www.join("gone/deep")).unwrap();
        for name in CHANGED.iter().chain(&["same", "gone/deep/file"]) {
            fs::write(www.join(name), format!("old {name}")).unwrap();
        }
        let config = shop.path("tillstick.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, format!("{text}\n[sources.web]\ntype = \"files\"\npaths = [{www:?}]\n")).unwrap();
    });
    let ran = shop.run(&["backup", "--json"]).exits(0);
    let id = ran.json()["id"].as_str().unwrap().to_owned();
    shop.change(&|_| {
        for name in CHANGED {
            fs::write(www.join(name), format!("new {name}")).unwrap();
        }
        fs::remove_dir_all(www.join("gone")).unwrap();
        fs::remove_file(www.join("conf")).unwrap();
        fs::create_dir(www.join("conf")).unwrap();
        fs::write(www.join("conf/inner"), "new inner").unwrap();
    });
    shop.ids.push(id.clone());
    (shop, id)
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                all.insert(path.clone(), fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    all
}

fn command(id: &str) -> [&str; 6] {
    ["restore", id, "--source", "web", "--in-place", "--yes"]
}

#[track_caller]
fn judge(shop: &Shop, id: &str, what: &str, ran: &Ran) {
    if ran.code.is_some() {
        speaks_well(what, ran);
    }
    shop.earlier_are_whole(what);
    let www = shop.path("www");
    let now = contents(&www);
    for (path, is) in &now {
        let name = path.strip_prefix(&www).unwrap().to_str().unwrap();
        let fine =
            *is == format!("old {name}") || *is == format!("new {name}") || name == "conf/inner" && is == "new inner";
        assert!(fine, "{what}: {name} is {is:?}");
    }
    for name in ["index.php", "img/logo", "same"] {
        assert!(now.contains_key(&www.join(name)), "{what}: {name} is gone");
    }
    if ran.code == Some(0) {
        assert!(now.values().all(|is| is.starts_with("old")), "{what}: {now:?}");
    }
    let again = shop.run(&command(id));
    assert_eq!(again.code, Some(0), "{what}: the next restore says {}", again.err);
    let now = contents(&www);
    assert!(now.len() == 5 && now.values().all(|is| is.starts_with("old")), "{what}: {now:?}");
    let everything = contents(&shop.path(""));
    for new in ["new index.php", "new img/logo", "new inner"] {
        assert!(everything.values().any(|is| is == new), "{what}: {new:?} is lost");
    }
    let rest: Vec<_> = everything.keys().filter(|path| path.to_string_lossy().contains(".tillstick-")).collect();
    assert!(rest.is_empty(), "{what}: {rest:?}");
}

#[test]
fn killed_anywhere_a_restore_of_files_is_finished_by_the_next_one() {
    let (shop, id) = shop();
    let restore = || shop.command(&command(&id));
    shop.strike_all(&restore, &kill, &|what, ran| judge(&shop, &id, what, &ran));
}

#[test]
fn whatever_fails_during_a_restore_of_files_nothing_is_lost() {
    let (shop, id) = shop();
    let restore = || shop.command(&command(&id));
    shop.strike_all(&restore, &errors, &|what, ran| judge(&shop, &id, what, &ran));
}
