//! Drills on a server that is started for them: the source's own may be away, and is not asked.

use std::fs;

use crate::kit::{MARIADB, POSTGRESQL, Shop};

/// Folders of private servers that are there.
fn folders() -> usize {
    let entries = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("tillstick-server-")).count()
}

/// Drills while the source's server is out of reach: only its socket is named wrongly.
fn drills_alone(source: &str, socket: &std::path::Path) {
    let shop = Shop::new(&format!("{source}drill = \"private\"\n"));
    let id = shop.backup();
    let path = shop.dir.path().join("tillstick.toml");
    fs::write(&path, shop.config().replace(socket.to_str().unwrap(), "/nowhere/at/all")).unwrap();
    shop.run(&["backup"]).exits(1).says(&["does not answer"]);
    let ran = shop.run(&["check", "--drill"]).exits(0);
    assert!(!ran.err.contains("tells the definitions"), "{}", ran.err);
    // Rows that are not what the manifest says.
    let manifest = shop.dir.path().join("backups").join(&id).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let at = text.find("\"content\": \"").unwrap() + 12;
    fs::write(&manifest, format!("{}{}{}", &text[..at], "0".repeat(32), &text[at + 32..])).unwrap();
    fs::remove_file(shop.dir.path().join("backups").join(&id).join("SHA256SUMS")).unwrap();
    shop.run(&["check", "--drill"]).exits(1).prints(&["the rows are others"]);
}

#[test]
fn a_drill_on_a_private_server_needs_no_other_and_leaves_nothing() {
    let before = folders();
    let server = &*MARIADB;
    crate::mariadb::make(server, "alone");
    drills_alone(&server.source("alone"), &server.dir.join("s"));
    let server = &*POSTGRESQL;
    crate::postgresql::make(server, "alone");
    server.sql("postgres", "CREATE ROLE \"Owner of it\"; CREATE ROLE reader");
    server.sql("alone", "ALTER TABLE kunde OWNER TO \"Owner of it\"; GRANT SELECT ON lager.bon TO reader");
    drills_alone(&server.source("alone"), &server.dir);
    assert_eq!(folders(), before);
}
