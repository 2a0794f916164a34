//! What a box tells those who look after many.

use std::fs;

use crate::kit::{Box, tool};

#[test]
fn a_store_has_a_signed_file_that_says_how_the_box_stood() {
    let site = Box::new();
    let away = site.path("away");
    site.configure("", &format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\n"));
    fs::create_dir_all(&away).unwrap();
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    let id = site.backup();
    let path = away.join("status/004711/kasse-1.json");
    let told: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (&told["green"], &told["newest"], &told["newest_copied"]),
        (&true.into(), &id.as_str().into(), &id.as_str().into()),
        "{told}"
    );
    assert_eq!(told["stores"][0]["waiting"], 0);
    let pem = site.path("box.pem");
    fs::write(&pem, site.run(&["key", "export"]).exits(0).out).unwrap();
    let (file, signature) = (path.to_str().unwrap(), format!("{}.sig", path.display()));
    let verify = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        pem.to_str().unwrap(),
        "-rawin",
        "-in",
        file,
        "-sigfile",
        &signature,
    ];
    tool("openssl", &verify);
    // It is nobody's backup, and nobody's box.
    site.run(&["list", "--store", "away"]).exits(0);
    site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(0);
    assert!(!path.exists() && !path.with_extension("json.sig").exists());
}

#[test]
fn a_file_for_prometheus_says_how_the_box_stands_after_each_run() {
    let site = Box::new();
    let path = site.path("tillstick.prom");
    site.configure(
        "",
        &format!("[log]\ntextfile = {path:?}\n[stores.gone]\ntype = \"directory\"\npath = \"/nowhere/at/all\"\n"),
    );
    site.run(&["backup"]).exits(3);
    let text = fs::read_to_string(&path).unwrap();
    for line in [
        "tillstick_green{customer=\"004711\",box=\"kasse-1\"} 0",
        "tillstick_backups{customer=\"004711\",box=\"kasse-1\"} 1",
        "tillstick_store_waiting{customer=\"004711\",box=\"kasse-1\",store=\"gone\"} 1",
        "# TYPE tillstick_store_overdue gauge",
    ] {
        assert!(text.lines().any(|has| has == line), "{line} in: {text}");
    }
    site.run(&["backup"]).exits(3);
    assert!(fs::read_to_string(&path).unwrap().contains("tillstick_backups{customer=\"004711\",box=\"kasse-1\"} 2"));
    // A place that cannot be written fails nothing.
    site.configure("", "[log]\ntextfile = \"/nowhere/at/all.prom\"\n");
    site.run(&["backup"]).exits(0).says(&["the metrics were not written"]);
}
