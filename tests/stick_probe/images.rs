//! Sound images of every kind.

use tillstick::policy::stick::{FsKind, Look, PartitionTable, Problem, Reason, StickRules, VerdictKind, judge};
use tillstick::policy::tse::{Maker, Mark};

use crate::kit::{FAT32_SIZE, Image, MIB, geometry};

#[test]
fn a_fat32_stick_without_a_table_is_usable_and_its_facts_are_true() {
    let image = Image::fat32();
    image.put(0, "Rechnungen 2026.txt", b"hello");
    let volume = image.volume();
    assert_eq!((volume.offset, volume.size, volume.declared_size), (0, FAT32_SIZE, FAT32_SIZE));
    assert_eq!((volume.label.as_deref(), volume.boot_label.as_deref()), (Some("KASSE"), Some("KASSE")));
    assert_eq!((volume.uuid.as_deref(), volume.cluster_size), (Some("ABCD-1234"), 512));
    assert_eq!(volume.root.len(), 1);
    assert_eq!((volume.root[0].name.as_str(), volume.root[0].size), ("Rechnungen 2026.txt", 5));
    assert!(volume.free.is_some_and(|free| free > 39 * MIB && free < FAT32_SIZE), "{:?}", volume.free);
    assert_eq!((volume.problem, volume.flaws.len(), volume.dirty), (None, 0, false));
}

#[test]
fn the_volume_is_found_in_an_mbr_a_gpt_and_behind_other_partitions() {
    let linux = "label: dos\nstart=2048, size=2048, type=83\nstart=4096, size=81920, type=c\n";
    let logical = "label: dos\nstart=2048, size=90000, type=f\nstart=4096, size=81920, type=c\n";
    let cases = [
        ("label: dos\nstart=2048, size=81920, type=c\n", 1, PartitionTable::Mbr),
        // The type byte lies: it says Linux.
        ("label: dos\nstart=2048, size=81920, type=83\n", 1, PartitionTable::Mbr),
        (linux, 2, PartitionTable::Mbr),
        (logical, 2, PartitionTable::Mbr),
        ("label: gpt\nstart=2048, size=81920\n", 1, PartitionTable::Gpt { backup: false }),
        ("label: gpt\nstart=2048, size=2048\nstart=4096, size=81920\n", 2, PartitionTable::Gpt { backup: false }),
    ];
    for (script, at, table) in cases {
        let image = Image::divided(48 * MIB, script, &[at]);
        assert_eq!(image.facts().table, table, "{script}");
        let volume = image.volume();
        assert_eq!((volume.offset, volume.size), (at * MIB, FAT32_SIZE), "{script}");
        assert_eq!(volume.label.as_deref(), Some("KASSE"), "{script}");
    }
}

#[test]
fn a_gpt_with_a_damaged_first_copy_is_read_from_its_second_and_without_any_it_is_refused() {
    let image = Image::divided(48 * MIB, "label: gpt\nstart=2048, size=81920\n", &[1]);
    image.patch(512 + 40, &[0xff]);
    assert_eq!(image.facts().table, PartitionTable::Gpt { backup: true });
    assert_eq!(image.volume().offset, MIB);
    image.patch(48 * MIB - 512 + 40, &[0xff]);
    assert!(matches!(image.refusal(), Reason::Damaged { .. }));
}

#[test]
fn a_changed_entry_of_a_gpt_is_noticed_by_its_checksum() {
    let image = Image::divided(48 * MIB, "label: gpt\nstart=2048, size=81920\n", &[1]);
    image.patch(1024 + 40, &[0xff; 4]);
    assert_eq!(image.facts().table, PartitionTable::Gpt { backup: true });
}

#[test]
fn the_entry_for_the_whole_device_that_mkfs_writes_is_no_partition() {
    let args = ["-F", "32", "-s", "1", "--mbr=yes"];
    let image = Image::made(FAT32_SIZE, "mkfs.vfat", &args);
    assert_eq!(image.bytes(510, 2), [0x55, 0xaa]);
    assert_ne!(image.bytes(450, 1), [0], "mkfs.vfat wrote no entry");
    assert_eq!((image.facts().table, image.volume().offset), (PartitionTable::None, 0));
}

#[test]
fn larger_sectors_and_clusters_are_read_right() {
    for (sector, cluster, size) in [("4096", "1", 300 * MIB), ("2048", "2", 300 * MIB), ("512", "8", 300 * MIB)] {
        let image = Image::made(size, "mkfs.vfat", &["-F", "32", "-S", sector, "-s", cluster, "-n", "GROSS"]);
        image.put(0, "a long name.txt", b"x");
        let volume = image.volume();
        assert_eq!(volume.label.as_deref(), Some("GROSS"));
        assert_eq!(volume.root[0].name, "a long name.txt");
        assert!(volume.free.is_some());
    }
}

#[test]
fn other_formats_are_refused_by_name() {
    let cases: [(u64, &str, &[&str], FsKind); 6] = [
        (2 * MIB, "mkfs.vfat", &["-F", "12"], FsKind::Fat12),
        (32 * MIB, "mkfs.vfat", &["-F", "16"], FsKind::Fat16),
        (16 * MIB, "mkfs.exfat", &[], FsKind::ExFat),
        (16 * MIB, "mkfs.ntfs", &["-F", "-Q", "-q"], FsKind::Ntfs),
        (16 * MIB, "mke2fs", &["-q", "-t", "ext4"], FsKind::Ext),
        (16 * MIB, "mke2fs", &["-q", "-t", "ext2"], FsKind::Ext),
    ];
    for (size, tool, args, found) in cases {
        let image = Image::made(size, tool, args);
        assert_eq!(image.refusal(), Reason::WrongFilesystem { found }, "{tool} {args:?}");
        let parted = Image::empty(size + 2 * MIB);
        crate::kit::run("sfdisk", &["-q", parted.text()], "label: dos\nstart=2048, type=c\n");
        parted.put_image(&image, MIB);
        let refusal = parted.refusal();
        assert_eq!(refusal, Reason::WrongFilesystem { found }, "{tool} in a partition");
    }
}

#[test]
fn an_empty_a_blank_and_a_random_stick_are_told_apart() {
    assert_eq!(Image::empty(0).refusal(), Reason::Blank);
    assert_eq!(Image::empty(8 * MIB).refusal(), Reason::Blank);
    let image = Image::empty(8 * MIB);
    image.patch(0, &[0x5a; 4096]);
    assert_eq!(image.refusal(), Reason::WrongFilesystem { found: FsKind::Unknown });
}

#[test]
fn fat32_with_too_few_clusters_is_refused_but_its_root_is_still_read() {
    let image = Image::made(20 * MIB, "mkfs.vfat", &["-F", "32", "-s", "1"]);
    // mtools will not write to it: the root folder comes from a larger one.
    let with_root = |name| {
        let other = Image::fat32();
        other.put(0, name, b"hello");
        image.patch(geometry(&image).data, &other.bytes(geometry(&other).data, 512));
    };
    with_root("Rechnungen 2026.txt");
    // So small a volume carries its size in the 16-bit field, which fatfs refuses and the kernel mounts.
    assert_ne!(image.bytes(19, 2), [0, 0]);
    assert!(matches!(image.refusal(), Reason::Damaged { what: Problem::TooFewClusters(_) }), "{:?}", image.refusal());
    let root = image.facts().volumes[0].root.clone();
    assert_eq!(root.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["Rechnungen 2026.txt"]);
    with_root(".SwissbitWorm");
    assert!(matches!(image.refusal(), Reason::Tse { .. }));
}

#[test]
fn a_damaged_free_count_hides_neither_the_stick_nor_lies() {
    let image = Image::fat32();
    image.put(0, "x", b"1");
    image.patch(512, b"XXXX");
    assert_eq!((image.volume().free, image.volume().root.len()), (None, 1));
    let image = Image::fat32();
    image.patch(512 + 488, &0xffff_0000_u32.to_le_bytes());
    assert_eq!(image.volume().free, None);
}

#[test]
fn a_tse_is_known_by_each_of_its_files_and_labels_on_any_volume() {
    let files = ["TSE_INFO.DAT", "TSE_COMM.DAT", "TSE_TAR.001", "tse_tar.017", "TSE-IO.bin", ".SwissbitWorm"];
    for name in files {
        let image = Image::fat32();
        image.put(0, name, b"");
        let Reason::Tse { sign } = image.refusal() else { panic!("{name}: {:?}", image.refusal()) };
        assert_eq!(sign.mark, Mark::File(name.into()));
        assert_ne!(sign.maker, Maker::Unknown);
    }
    let labelled = Image::made(FAT32_SIZE, "mkfs.vfat", &["-F", "32", "-s", "1", "-n", "SWISSBIT"]);
    assert!(matches!(labelled.refusal(), Reason::Tse { .. }));
    let small = Image::made(2 * MIB, "mkfs.vfat", &["-F", "12"]);
    small.put(0, "TSE_INFO.DAT", b"");
    assert!(matches!(small.refusal(), Reason::Tse { .. }));
    // A good volume first does not hide an element behind it.
    let script = "label: dos\nstart=2048, size=81920, type=c\nstart=83968, size=81920, type=c\n";
    let image = Image::divided(84 * MIB, script, &[1, 41]);
    assert_eq!(image.volume().offset, MIB);
    image.put(41 * MIB, "TSE_COMM.DAT", b"");
    assert!(matches!(image.refusal(), Reason::Tse { .. }));
}

#[test]
fn a_tse_file_behind_thousands_of_names_is_found() {
    let image = Image::made(80 * MIB, "mkfs.vfat", &["-F", "32", "-s", "1"]);
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["-i".to_owned(), image.text().to_owned()];
    for number in 0..1200 {
        let path = dir.path().join(format!("Urlaubsfoto Nummer {number:05}.jpeg"));
        std::fs::write(&path, b"").unwrap();
        args.push(path.to_str().unwrap().to_owned());
    }
    args.push("::".into());
    crate::kit::run("mcopy", &args.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!(image.volume().root.len(), 512, "the list is bounded");
    image.put(0, "TSE_INFO.DAT", b"");
    assert!(matches!(image.refusal(), Reason::Tse { .. }));
}

#[test]
fn write_protection_and_size_are_judged() {
    let image = Image::fat32();
    let need = |need| judge(&image.facts(), &StickRules { need, ..StickRules::default() }).kind;
    assert_eq!(need(FAT32_SIZE), VerdictKind::Usable { volume: 0 });
    let small = Reason::TooSmall { need: FAT32_SIZE + 1, size: FAT32_SIZE };
    assert_eq!(need(FAT32_SIZE + 1), VerdictKind::Refused(small));
    let mut rights = std::fs::metadata(&image.path).unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(&image.path, rights).unwrap();
    assert_eq!(image.refusal(), Reason::ReadOnly);
    let rules = StickRules { read_only: true, ..StickRules::default() };
    assert_eq!(judge(&image.facts(), &rules).kind, VerdictKind::Usable { volume: 0 });
}

#[test]
fn what_was_not_looked_at_is_never_usable() {
    let mut facts = Image::fat32().facts();
    facts.look = Look::NotOpened;
    assert!(matches!(judge(&facts, &StickRules::default()).kind, VerdictKind::Refused(Reason::Unreadable { .. })));
}
