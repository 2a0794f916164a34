//! Drills on a server that is started for them: the source's own may be away, and is not asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::kit::{MARIADB, Mariadb, POSTGRESQL, Postgresql, Shop};

/// Folders of private servers that are there.
fn folders() -> usize {
    let entries = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("tillstick-server-")).count()
}

/// A server, and a client of it that changes a value on the way.
struct Lying<'a> {
    programs: &'a Path,
    needed: &'a [&'a str],
    client: &'a str,
    change: &'a str,
}

impl Lying<'_> {
    fn folder(&self, dir: &Path) -> String {
        let folder = dir.join("lying");
        fs::create_dir(&folder).unwrap();
        for name in self.needed {
            symlink(self.programs.join(name), folder.join(Path::new(name).file_name().unwrap())).unwrap();
        }
        let client = folder.join(self.client);
        let real = self.programs.join(self.client);
        fs::write(&client, format!("#!/bin/bash\nsed {:?} | {} \"$@\"\n", self.change, real.display())).unwrap();
        fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
        folder.display().to_string()
    }
}

/// Drills while the source's server is out of reach: only its socket is named wrongly.
fn drills_alone(source: &str, socket: &Path, lying: &Lying) {
    let shop = Shop::new(&format!("{source}drill = \"private\"\n"));
    shop.backup();
    let set = |from: &str, to: &str| {
        fs::write(shop.dir.path().join("tillstick.toml"), shop.config().replace(from, to)).unwrap();
    };
    set(socket.to_str().unwrap(), "/nowhere/at/all");
    shop.run(&["backup"]).exits(1).says(&["does not answer"]);
    let ran = shop.run(&["check", "--drill"]).exits(0);
    assert!(!ran.err.contains("tells the definitions"), "{}", ran.err);
    set(lying.programs.to_str().unwrap(), &lying.folder(shop.dir.path()));
    shop.run(&["check", "--drill"]).exits(1).prints(&["the rows are others"]);
}

#[test]
fn a_drill_on_a_private_server_needs_no_other_and_leaves_nothing() {
    let before = folders();
    let server = &*MARIADB;
    crate::mariadb::make(server, "alone");
    let programs = Mariadb::programs();
    let lying = Lying {
        programs: &programs,
        needed: &["mariadb-dump", "../sbin/mariadbd"],
        client: "mariadb",
        change: "s/^(2,2);$/(2,1);/",
    };
    drills_alone(&server.source("alone"), &server.dir.join("s"), &lying);
    let server = &*POSTGRESQL;
    crate::postgresql::make(server, "alone");
    server.sql("postgres", "CREATE ROLE \"Owner of it\"; CREATE ROLE reader");
    server.sql("alone", "ALTER TABLE kunde OWNER TO \"Owner of it\"; GRANT SELECT ON lager.bon TO reader");
    let programs = Postgresql::programs();
    let needed = ["pg_dump", "initdb", "postgres"];
    let lying = Lying { programs: &programs, needed: &needed, client: "psql", change: "s/^2\\t2$/2\\t1/" };
    drills_alone(&server.source("alone"), &server.dir, &lying);
    assert_eq!(folders(), before);
}
