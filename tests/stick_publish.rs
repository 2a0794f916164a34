//! What lies on a stick after publishing, seen with other people's tools: mtools, fsck.fat and sha256sum.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod stick_kit;

use std::fs;

use stick_kit::*;
use tillstick::error::Kind;
use tillstick::model::ArtifactName;
use tillstick::stick::generations::{open_artifact, stored, verify};
use tillstick::stick::publish::PublishRules;

const KASSE: &str = "104711_kasse.sql.gz";
const PAPERS: &str = "104711_dokumente.tar.gz";

#[test]
fn the_first_backup_lies_where_a_person_looks_for_it() {
    for stick in [Stick::superfloppy(), Stick::partitioned(), Stick::folder()] {
        let backup = Backup::new("kasse-1", 1, &[(KASSE, 300_000), (PAPERS, 70_001)]);
        let published = stick.publish(&backup, &PublishRules::default()).unwrap();
        assert_eq!(published.files, [KASSE, PAPERS]);
        assert_eq!(published.bytes, 370_001);
        assert!(published.freed.is_empty() && published.repaired.is_empty(), "{published:?}");
        assert_eq!(
            stick.in_sight(),
            [
                PAPERS,
                KASSE,
                "SHA256SUMS",
                "TILLSTICK/README.txt",
                "TILLSTICK/kasse-1/manifest-20261101T200000Z.json",
                "TILLSTICK/kasse-1/manifest-20261101T200000Z.json.sig",
                "TILLSTICK/kasse-1/manifest-20261101T200000Z.sha256",
                "TILLSTICK/stick.json",
            ]
        );
        assert_eq!(stick.hidden(), [] as [String; 0]);
        stick.holds(KASSE, &backup.content(KASSE));
        stick.holds(PAPERS, &backup.content(PAPERS));
        stick.holds("TILLSTICK/kasse-1/manifest-20261101T200000Z.json", &backup.manifest_bytes);
        stick.sums_are_right(2);
        stick.is_clean();
    }
}

#[test]
fn a_root_folder_that_grows_over_old_data_shows_no_name_that_is_not_there() {
    for others in 0..8 {
        let stick = Stick::used();
        let names: Vec<String> = (0..others).map(|n| format!("A photo with a long name, number {n}.jpg")).collect();
        for name in &names {
            stick.put(name, b"a picture");
        }
        for day in 1..=3 {
            let backup = Backup::new("kasse-1", day, &[(KASSE, 5_000), (PAPERS, 7_000)]);
            stick.publish(&backup, &PublishRules::default()).unwrap();
            stick.holds(KASSE, &backup.content(KASSE));
            stick.is_clean();
        }
        let in_root: Vec<String> = stick.in_sight().into_iter().filter(|name| !name.contains('/')).collect();
        assert_eq!(in_root.len(), 3 + names.len(), "{in_root:?}");
    }
}

#[test]
fn the_newest_is_on_top_and_as_many_are_kept_as_was_asked_for() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let rules = PublishRules { keep: 3, ..PublishRules::default() };
        let backups: Vec<Backup> = (1..=5).map(|day| Backup::new("kasse-1", day, &[(KASSE, 200_000)])).collect();
        for (i, backup) in backups.iter().enumerate() {
            let published = stick.publish(backup, &rules).unwrap();
            let freed: Vec<_> = published.freed.iter().map(|(id, _)| id.clone()).collect();
            assert_eq!(freed, if i < 3 { vec![] } else { vec![backups[i - 3].manifest.id.clone()] });
            assert!(published.repaired.is_empty(), "{published:?}");
            stick.holds(KASSE, &backup.content(KASSE));
            stick.sums_are_right((i + 1).min(3));
            stick.is_clean();
        }
        let mut fs = stick.open();
        let all = stored(&mut *fs).unwrap();
        assert_eq!(
            all.iter().map(|held| held.manifest.clone()).collect::<Vec<_>>(),
            [backups[4].manifest.clone(), backups[3].manifest.clone(), backups[2].manifest.clone()]
        );
        for held in &all {
            assert!(held.complete);
            verify(&mut *fs, held, &quiet()).unwrap();
        }
        assert_eq!(all[1].files, [["TILLSTICK/kasse-1/backups/20261104T200000Z/104711_kasse.sql.gz"]]);
    }
}

/// A stick on which the folder of the earlier backups was just made, as the kernel leaves it when it is pulled before the table is
/// written: the folder's cluster is free. With its sector, which holds the folder still or, like the table, what was there before.
struct Torn {
    stick: Stick,
    sector: usize,
}

impl Torn {
    fn new(still_holds_it: bool) -> Self {
        let stick = Stick::superfloppy();
        stick.publish(&Backup::new("kasse-1", 1, &[(KASSE, 5_000)]), &PublishRules::default()).unwrap();
        let before = stick.bytes();
        let mut fs = stick.open();
        fs.make_dir("TILLSTICK/kasse-1/backups").unwrap();
        fs.sync().unwrap();
        drop(fs);
        let number = |at: usize| u16::from_le_bytes(before[at..at + 2].try_into().unwrap()) as usize;
        let (table, data) = (number(14), number(14) + number(36) * 2);
        let mut torn = stick.bytes();
        let changed = |sector: &usize| before[sector * 512..][..512] != torn[sector * 512..][..512];
        let of_table: Vec<usize> = (table..data).filter(changed).collect();
        let is_folder = |bytes: &[u8], sector: usize| bytes[sector * 512..].starts_with(b".          ");
        let folder: Vec<usize> = (data..before.len() / 512)
            .filter(|sector| is_folder(&torn, *sector) && !is_folder(&before, *sector))
            .collect();
        assert_eq!((of_table.len(), folder.len()), (2, 1), "both tables, and the folder");
        for sector in of_table {
            torn[sector * 512..][..512].copy_from_slice(&before[sector * 512..][..512]);
        }
        if !still_holds_it {
            torn[folder[0] * 512..][..512].fill(0);
        }
        fs::write(&stick.volume().unwrap().path, torn).unwrap();
        Self { stick, sector: folder[0] }
    }

    /// The next backup comes right, and two backups are whole.
    fn takes_the_next(self) {
        let next = Backup::new("kasse-1", 2, &[(KASSE, 6_000)]);
        let published = self.stick.publish(&next, &PublishRules::default()).unwrap();
        assert!(published.repaired.iter().any(|line| line.contains("backups")), "{published:?}");
        self.stick.holds(KASSE, &next.content(KASSE));
        self.stick.is_clean();
        let mut fs = self.stick.open();
        let all = stored(&mut *fs).unwrap();
        assert_eq!(all.len(), 2);
        all.iter().for_each(|held| verify(&mut *fs, held, &quiet()).unwrap());
    }
}

#[test]
fn a_folder_whose_cluster_a_pull_left_free_is_made_anew_and_shares_it_with_nothing() {
    Torn::new(false).takes_the_next();
}

#[test]
fn a_folder_that_a_pull_left_in_a_free_cluster_takes_it_again() {
    let torn = Torn::new(true);
    // With a file in it, which its cluster alone leads to.
    let image = torn.stick.volume().unwrap().path.clone();
    let mut bytes = fs::read(&image).unwrap();
    let empty = bytes[torn.sector * 512..][..64].to_vec();
    assert_eq!(&empty[32..43], b"..         ");
    bytes[torn.sector * 512 + 64..][..11].copy_from_slice(b"PICTURE TXT");
    fs::write(&image, bytes).unwrap();
    let volume = torn.stick.volume().unwrap().clone();
    assert_eq!(tillstick::stick::torn::on(&volume).unwrap(), ["TILLSTICK/kasse-1/backups"]);
    let stick = torn.stick;
    let mut fs = stick.open();
    assert_eq!(fs.mend_folders().unwrap().len(), 1);
    fs.sync().unwrap();
    drop(fs);
    stick.holds("TILLSTICK/kasse-1/backups/picture.txt", b"");
    assert!(tillstick::stick::torn::on(&volume).unwrap().is_empty());
    stick.publish(&Backup::new("kasse-1", 2, &[(KASSE, 6_000)]), &PublishRules::default()).unwrap();
    stick.is_clean();
}

#[test]
fn a_folder_whose_cluster_somebodys_file_took_is_taken_away_and_the_file_stays() {
    let torn = Torn::new(false);
    // A PC sees a free cluster and gives it to its own file; that is the first one that is free.
    let picture = vec![0x55; 512 * 40];
    torn.stick.put("picture.jpg", &picture);
    assert_eq!(torn.stick.bytes()[torn.sector * 512..][..512], picture[..512], "it took that very cluster");
    assert_eq!(tillstick::stick::torn::on(torn.stick.volume().unwrap()).unwrap(), ["TILLSTICK/kasse-1/backups"]);
    let next = Backup::new("kasse-1", 2, &[(KASSE, 6_000)]);
    torn.stick.publish(&next, &PublishRules::default()).unwrap();
    torn.stick.holds("picture.jpg", &picture);
    torn.stick.holds(KASSE, &next.content(KASSE));
    torn.stick.is_clean();
}

/// A mounted stick on which Linux moved the backup of day 1 from the root to the earlier ones, pulled when one of the two
/// sectors with its old name was written: the long name is gone, the short one still leads to the content.
fn with_half_a_name(short: &[u8; 11]) -> (Stick, Backup, Vec<u8>) {
    let (stick, first) = (Stick::superfloppy(), Backup::new("kasse-1", 1, &[(KASSE, 50_000)]));
    let rules = PublishRules::default();
    stick.publish(&first, &rules).unwrap();
    stick.publish(&Backup::new("kasse-1", 2, &[(KASSE, 60_000)]), &rules).unwrap();
    let mut bytes = stick.bytes();
    let number = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let (data, root) = (number(14) + 2 * number(36), number(44));
    let content = first.content(KASSE);
    let sector = bytes.chunks(512).position(|sector| sector == &content[..512]).unwrap();
    let cluster = (sector - data + 2) as u32;
    let folder = (data + root - 2) * 512;
    let slots = (folder..folder + 512).step_by(32);
    let free = slots.into_iter().find(|slot| [0, 0xe5].contains(&bytes[*slot])).unwrap();
    let slot = &mut bytes[free..free + 32];
    slot.fill(0);
    slot[..11].copy_from_slice(short);
    slot[11] = 0x22;
    slot[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    slot[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    slot[28..32].copy_from_slice(&(content.len() as u32).to_le_bytes());
    fs::write(&stick.volume().unwrap().path, &bytes).unwrap();
    (stick, first, content)
}

#[test]
fn half_a_name_that_a_pull_left_beside_a_backup_goes_before_anything_takes_the_content_with_it() {
    let (stick, first, content) = with_half_a_name(b"104711~1PAR");
    let moved = format!("TILLSTICK/kasse-1/backups/{}/{KASSE}", first.manifest.id);
    let torn = tillstick::stick::torn::on(stick.volume().unwrap()).unwrap();
    assert_eq!(torn.len(), 1, "Linux would not mend it: {torn:?}");
    stick.publish(&Backup::new("kasse-1", 3, &[(KASSE, 60_000)]), &PublishRules::default()).unwrap();
    stick.holds(&moved, &content);
    assert_eq!(stick.hidden(), [] as [String; 0]);
    stick.is_clean();
}

#[test]
fn a_folder_that_grew_into_a_cluster_of_which_the_table_knows_nothing_ends_before_it() {
    let (stick, first) = (Stick::superfloppy(), Backup::new("kasse-1", 1, &[(KASSE, 50_000)]));
    stick.publish(&first, &PublishRules::default()).unwrap();
    let mut bytes = stick.bytes();
    let number = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let (table, len, data, root) = (number(14) * 512, number(36) * 512, number(14) + 2 * number(36), number(44));
    // The last cluster of the root leads to a free one, with old data that looks like a file.
    let entry = |bytes: &[u8], cluster: usize| {
        u32::from_le_bytes(bytes[table + 4 * cluster..][..4].try_into().unwrap()) & 0x0fff_ffff
    };
    let mut last = root;
    while entry(&bytes, last) < 0x0fff_fff8 {
        last = entry(&bytes, last) as usize;
    }
    let free = (3..).find(|cluster| entry(&bytes, *cluster) == 0).unwrap();
    bytes[table + 4 * last..][..4].copy_from_slice(&(free as u32).to_le_bytes());
    bytes[table + len + 4 * last..][..4].copy_from_slice(&(free as u32).to_le_bytes());
    bytes[(data + free - 2) * 512..][..11].copy_from_slice(b"OLD     TXT");
    // Used to its last slot, or nobody would look further.
    let end = (data + last - 2) * 512;
    for slot in (end..end + 512).step_by(32).filter(|slot| bytes[*slot] == 0).collect::<Vec<_>>() {
        bytes[slot] = 0xe5;
    }
    let volume = stick.volume().unwrap().clone();
    fs::write(&volume.path, &bytes).unwrap();
    assert_eq!(tillstick::stick::torn::on(&volume).unwrap(), ["/"]);
    // It can be read as it is.
    let mut fs = stick.open();
    let all = stored(&mut *fs).unwrap();
    assert!(all.len() == 1 && all[0].complete, "{all:?}");
    drop(fs);
    let published = stick.publish(&Backup::new("kasse-1", 2, &[(KASSE, 60_000)]), &PublishRules::default()).unwrap();
    assert!(published.repaired.iter().any(|line| line.contains("while it grew")), "{published:?}");
    stick.holds(&format!("TILLSTICK/kasse-1/backups/{}/{KASSE}", first.manifest.id), &first.content(KASSE));
    assert!(!stick.in_sight().iter().any(|name| name.to_lowercase().contains("old.txt")), "{:?}", stick.in_sight());
    stick.is_clean();
}

#[test]
fn publishing_the_same_backup_again_changes_nothing() {
    let stick = Stick::superfloppy();
    let backup = Backup::new("kasse-1", 1, &[(KASSE, 100_000)]);
    let first = stick.publish(&backup, &PublishRules::default()).unwrap();
    let before = stick.bytes();
    assert_eq!(stick.publish(&backup, &PublishRules::default()).unwrap().files, first.files);
    assert!(before == stick.bytes(), "the stick was written to");
}

#[test]
fn two_boxes_share_a_stick_and_neither_takes_the_others_name() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let rules = PublishRules { keep: 2, ..PublishRules::default() };
        for day in 1..=4 {
            // Same names and same sizes: only the content tells them apart.
            let one = Backup::new("kasse-1", day, &[(KASSE, 50_000)]);
            let two = Backup::new("kasse-2", day, &[(KASSE, 50_000)]);
            stick.publish(&one, &rules).unwrap();
            let published = stick.publish(&two, &rules).unwrap();
            assert_eq!(published.files, ["104711_kasse_kasse-2.sql.gz"]);
            stick.holds(KASSE, &one.content(KASSE));
            stick.holds("104711_kasse_kasse-2.sql.gz", &two.content(KASSE));
            stick.sums_are_right(2 * (day as usize).min(2));
            stick.is_clean();
        }
        assert_eq!(stored(&mut *stick.open()).unwrap().len(), 4);
    }
}

#[test]
fn a_foreign_file_of_the_same_name_stays_as_it_is() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        stick.put("104711_KASSE.sql.gz", b"holiday pictures");
        stick.put("SHA256SUMS", b"0123  my own list\n");
        stick.put("film.part", b"half a film");
        for day in 1..=3 {
            let backup = Backup::new("kasse-1", day, &[(KASSE, 50_000)]);
            let published = stick.publish(&backup, &PublishRules::default()).unwrap();
            assert_eq!(published.files, ["104711_kasse_kasse-1.sql.gz"]);
            stick.holds("104711_kasse_kasse-1.sql.gz", &backup.content(KASSE));
        }
        stick.put("104711_kasse_KASSE-2.sql.gz", b"more pictures");
        let error =
            stick.publish(&Backup::new("kasse-2", 4, &[(KASSE, 50_000)]), &PublishRules::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.report().contains("104711_kasse_kasse-2.sql.gz"), "{}", error.report());
        stick.holds("104711_KASSE.sql.gz", b"holiday pictures");
        stick.holds("104711_kasse_KASSE-2.sql.gz", b"more pictures");
        stick.holds("SHA256SUMS", b"0123  my own list\n");
        stick.holds("film.part", b"half a film");
        stick.is_clean();
    }
}

#[test]
fn what_is_too_large_for_one_file_is_split_and_cat_joins_it() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let split = PublishRules { keep: 3, part_max: 65_536, ..PublishRules::default() };
        let one = Backup::new("kasse-1", 1, &[(KASSE, 200_000)]);
        let names = [1, 2, 3, 4].map(|n| format!("{KASSE}.00{n}"));
        assert_eq!(stick.publish(&one, &split).unwrap().files, names);
        let joined: Vec<u8> = names.iter().flat_map(|name| stick.get(name)).collect();
        assert!(joined == one.content(KASSE));
        stick.sums_are_right(4);

        // From pieces to a whole file and back.
        let two = Backup::new("kasse-1", 2, &[(KASSE, 200_000)]);
        assert_eq!(stick.publish(&two, &PublishRules { keep: 3, ..PublishRules::default() }).unwrap().files, [KASSE]);
        stick.sums_are_right(5);
        let three = Backup::new("kasse-1", 3, &[(KASSE, 131_072)]);
        assert_eq!(stick.publish(&three, &split).unwrap().files, names[..2]);
        stick.sums_are_right(2 + 1 + 4);
        let mut fs = stick.open();
        let all = stored(&mut *fs).unwrap();
        assert_eq!(all.len(), 3);
        for (held, backup) in all.iter().zip([&three, &two, &one]) {
            verify(&mut *fs, held, &quiet()).unwrap();
            let mut content = Vec::new();
            let name: ArtifactName = KASSE.to_owned().try_into().unwrap();
            std::io::Read::read_to_end(&mut open_artifact(&mut *fs, held, &name).unwrap(), &mut content).unwrap();
            assert!(content == backup.content(KASSE));
        }
        stick.is_clean();
    }
}

#[test]
fn a_full_stick_says_how_much_is_missing_and_loses_nothing() {
    let stick = Stick::superfloppy();
    let rules = PublishRules { keep: 9, ..PublishRules::default() };
    let one = Backup::new("kasse-1", 1, &[(KASSE, 2_000_000)]);
    stick.publish(&one, &rules).unwrap();
    stick.fill_up_to(1_000_000);
    let before = stick.bytes();
    let error = stick.publish(&Backup::new("kasse-1", 2, &[(KASSE, 2_000_000)]), &rules).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace);
    assert!(
        error.report().contains("needs 2.1 MB") && error.report().contains("room for 1.0 MB"),
        "{}",
        error.report()
    );
    assert!(before == stick.bytes(), "the stick was written to");
    stick.holds(KASSE, &one.content(KASSE));
}

#[test]
fn older_backups_make_room_but_no_more_than_needed() {
    let stick = Stick::superfloppy();
    let rules = PublishRules { keep: 9, ..PublishRules::default() };
    let backups: Vec<Backup> = (1..=6).map(|day| Backup::new("kasse-1", day, &[(KASSE, 2_000_000)])).collect();
    for backup in &backups[..4] {
        stick.publish(backup, &rules).unwrap();
    }
    stick.fill_up_to(1_000_000);
    for i in 4..6 {
        let published = stick.publish(&backups[i], &rules).unwrap();
        assert_eq!(published.freed.len(), 1, "{published:?}");
        assert_eq!(published.freed[0].0, backups[i - 4].manifest.id);
        stick.holds(KASSE, &backups[i].content(KASSE));
        stick.sums_are_right(4);
        stick.is_clean();
    }
}

#[test]
fn another_box_of_the_same_name_is_refused_until_it_is_adopted() {
    let stick = Stick::superfloppy();
    stick.publish(&Backup::new("kasse-1", 1, &[(KASSE, 9_000)]), &PublishRules::default()).unwrap();
    let mut replaced = Backup::new("kasse-1", 2, &[(KASSE, 8_000)]);
    replaced.change(|manifest| manifest.box_id = "f".repeat(32));
    let error = stick.publish(&replaced, &PublishRules::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    let adopt = PublishRules { adopt: true, ..PublishRules::default() };
    stick.publish(&replaced, &adopt).unwrap();
    assert_eq!(stored(&mut *stick.open()).unwrap().len(), 2);
}

#[test]
fn names_of_any_language_come_through() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let name = "Bäckerei Łoś_Касса.sql.gz";
        for day in 1..=2 {
            let backup = Backup::new("Theke Süd", day, &[(name, 30_000)]);
            stick.publish(&backup, &PublishRules::default()).unwrap();
            let mut fs = stick.open();
            for held in stored(&mut *fs).unwrap() {
                assert!(held.complete);
                verify(&mut *fs, &held, &quiet()).unwrap();
            }
        }
        assert_eq!(stored(&mut *stick.open()).unwrap().len(), 2);
        stick.is_clean();
    }
}

#[test]
fn an_artifact_that_is_not_what_its_manifest_says_never_comes_into_sight() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let good = Backup::new("kasse-1", 1, &[(KASSE, 50_000)]);
        stick.publish(&good, &PublishRules::default()).unwrap();
        let seen = stick.in_sight();
        for spoil in [49_999, 50_001] {
            let mut bad = Backup::new("kasse-1", 2, &[(KASSE, spoil)]);
            bad.change(|manifest| manifest.artifacts[0].size = 50_000);
            assert_eq!(stick.publish(&bad, &PublishRules::default()).unwrap_err().kind(), Kind::Damaged);
            assert_eq!(stick.in_sight(), seen);
            assert_eq!(stick.hidden(), [] as [String; 0]);
        }
        stick.holds(KASSE, &good.content(KASSE));
        stick.is_clean();
    }
}
