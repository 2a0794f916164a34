//! Real inputs, made with the system's own tools and with ours.

use std::path::Path;
use std::process::Command;

use tillstick::config::example;
use tillstick::model::TableRows;

use crate::kit::{FAT32_SIZE, Image, MIB};
use crate::sqlite_kit::Desk;
use crate::stick_kit::{Backup, Stick, noise};
use crate::targets;

/// Sectors of an image that are kept, from its beginning on: what lies behind them is content.
const SECTORS_MAX: usize = 60;

/// What of an image file matters: the content of the picture that is on every test stick does not.
fn shrunk(path: &Path) -> Vec<u8> {
    let picture = noise("picture", 40_000);
    let wanted = |sector: &[u8]| !picture.chunks(targets::SECTOR).any(|chunk| sector.starts_with(chunk));
    let mut image = targets::Image::of_file(path, wanted).unwrap();
    while image.sectors.len() > SECTORS_MAX {
        image.sectors.pop_last();
    }
    image.encode()
}

/// FAT32 sticks with backups on them, over the whole medium and in a partition.
pub(crate) fn volumes() -> Vec<Vec<u8>> {
    let sticks = [Stick::superfloppy(), Stick::partitioned()].map(|stick| {
        for day in 1..=2 {
            let backup = Backup::new("kasse-1", day, &[("104711_kasse.sql.gz", 700), ("104711_dokumente.tar.gz", 300)]);
            stick.publish(&backup, &tillstick::stick::publish::PublishRules::default()).unwrap();
        }
        shrunk(&stick.volume().unwrap().path)
    });
    let plain = Image::fat32();
    plain.mkdir(0, "Fotos und Filme");
    plain.put(0, "Fotos und Filme/Urlaub.jpg", b"picture");
    plain.put(0, "TSE_INFO.TXT", b"?");
    let mut all = vec![shrunk(&plain.path), shrunk(&Image::fat32().path)];
    all.extend(sticks);
    all
}

/// Those, and every other kind of medium.
pub(crate) fn media() -> Vec<Vec<u8>> {
    let logical = "label: dos\n4MiB,44MiB,c\n50MiB,,5\n52MiB,44MiB,c\n";
    let images = [
        Image::divided(100 * MIB, "label: gpt\n4MiB,44MiB\n50MiB,44MiB\n", &[4]),
        Image::divided(100 * MIB, logical, &[4, 52]),
        Image::made(16 * MIB, "mkfs.vfat", &["-F", "16", "-n", "KASSE"]),
        Image::made(2 * MIB, "mkfs.vfat", &["-F", "12", "-n", "KASSE"]),
        Image::made(FAT32_SIZE * 8, "mkfs.vfat", &["-F", "32", "-S", "4096"]),
        Image::made(16 * MIB, "mkfs.exfat", &[]),
        Image::made(16 * MIB, "mkntfs", &["-F", "-q", "-f"]),
        Image::made(16 * MIB, "mkfs.ext4", &["-q"]),
    ];
    // The second copy of a GPT lies at the end.
    let mut all: Vec<Vec<u8>> = images.iter().map(|image| shrunk(&image.path)).collect();
    let mut gpt = targets::Image::of_file(&images[0].path, |_| true).unwrap();
    gpt.sectors.retain(|number, _| *number < 8 || *number + 40 > gpt.size / 512);
    all.push(gpt.encode());
    all.extend(volumes());
    all
}

pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let mut full = Backup::new("kasse-1", 1, &[("104711_kasse.sql.gz", 700), ("104711_dokumente.tar.gz", 300)]);
    full.change(|manifest| {
        manifest.config = Some("customer = \"104711\"\n".into());
        let facts = &mut manifest.artifacts[0].facts;
        facts.tables = vec![TableRows { name: "bon".into(), rows: 7 }, TableRows { name: "a \"b\"".into(), rows: 0 }];
        facts.properties.insert("journal_mode".into(), "wal".into());
        facts.warnings.push("a warning".into());
    });
    vec![Backup::new("kasse-1", 2, &[("104711_kasse.sql.gz", 700)]).manifest_bytes, full.manifest_bytes]
}

pub(crate) fn configs() -> Vec<Vec<u8>> {
    let least = "customer = \"004711\"\nbox = \"kasse-1\"\ntime_zone = \"Europe/Berlin\"\n\
                 [sources.kasse]\ntype = \"sqlite\"\npath = \"/db/kasse.db\"\n";
    let more = "[stores.nas]\ntype = \"directory\"\npath = \"/mnt/nas\"\n[schedule]\n";
    let uncommented: String = example().lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let all = [example().to_owned(), least.to_owned(), format!("{least}{}{more}", targets::CONFIG_JOINT), uncommented];
    all.map(String::into_bytes).to_vec()
}

/// A schema with one of everything.
const SCHEMA: &str = "PRAGMA user_version=7; PRAGMA application_id=9;
    CREATE TABLE bon(nr INTEGER PRIMARY KEY AUTOINCREMENT, zeit TEXT NOT NULL DEFAULT(''), summe REAL, rest BLOB, x,
        doppelt AS (summe*2) VIRTUAL, CHECK(nr>0));
    CREATE TABLE artikel(nummer TEXT PRIMARY KEY COLLATE NOCASE, preis INT REFERENCES bon(nr)) WITHOUT ROWID;
    CREATE TABLE streng(a ANY, b BLOB) STRICT;
    CREATE UNIQUE INDEX i ON bon(zeit DESC, summe) WHERE nr > 1;
    CREATE VIEW v AS SELECT nr, ';' FROM bon;
    CREATE TRIGGER t AFTER DELETE ON bon BEGIN DELETE FROM artikel; SELECT 1; END;
    CREATE VIRTUAL TABLE suche USING fts5(wort);
    INSERT INTO bon(zeit,summe,rest,x) VALUES('2026-11-22',1.5,x'00ff',NULL),('a''b',-0.0,zeroblob(3),9223372036854775807),
        ('zwei'||char(10)||'Zeilen',9e999,'kein BLOB',1e-300),('',NULL,x'',cast(x'610062' as text));
    INSERT INTO artikel VALUES('4711',3),('0815',NULL);
    INSERT INTO streng VALUES(1,x'01'),('eins',NULL);
    INSERT INTO suche VALUES('Kaffee'),('Tee');
    ANALYZE;";

/// Dumps of ours and of the sqlite3 shell.
pub(crate) fn dumps() -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for schema in [SCHEMA, "PRAGMA encoding='UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES(1),('\u{e4}');"] {
        let desk = Desk::with(schema);
        texts.push(desk.dump().0.into_bytes());
        let shell = Command::new("sqlite3").arg(desk.db()).arg(".dump").output().unwrap();
        assert!(shell.status.success() && !shell.stdout.is_empty());
        texts.push(shell.stdout);
    }
    texts
}

/// The same, with the byte before them that says how they are cut.
pub(crate) fn statements() -> Vec<Vec<u8>> {
    let cut = |text: Vec<u8>| [vec![7], text].concat();
    dumps().into_iter().map(cut).collect()
}
