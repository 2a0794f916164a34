//! Damaged by hand and at random: told in words, in time, without a panic.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tillstick::policy::stick::{ChainFault, FsKind, Problem, Reason, StickRules, VerdictKind, judge};
use tillstick::policy::tse::of_volume;
use tillstick::stick::Volume;
use tillstick::stick::image::open_volume;
use tillstick::stick::probe::{Limits, ReadAt, probe};

use crate::kit::{FAT32_SIZE, Image, MIB, entry, geometry};

fn chain_fault(reason: Reason) -> (String, ChainFault) {
    match reason {
        Reason::Damaged { what: Problem::Chain { of, fault } } => (of, fault),
        other => panic!("{other:?}"),
    }
}

/// The names in the root folder as the probe tells them, and as publishing reads them.
fn both_readers(image: &Image) -> [Vec<String>; 2] {
    let volume = image.volume();
    let place = Volume { path: image.path.clone(), offset: volume.offset, size: volume.size };
    let listed = open_volume(&place, false).unwrap().list("").unwrap();
    [volume.root.into_iter().map(|entry| entry.name).collect(), listed.into_iter().map(|entry| entry.name).collect()]
}

#[test]
fn both_readers_give_a_file_with_an_odd_long_name_the_same_name() {
    let image = Image::fat32();
    image.put(0, "ein langer Name.txt", b"?");
    let at = geometry(&image).at(2);
    // The label's slot, the two of the long name from its end on, the short name's.
    let (end, beginning) = (at + 32, at + 64);
    assert_eq!(both_readers(&image), [["ein langer Name.txt"]; 2]);
    // Other attributes beside the four that mark a long name.
    image.patch(end + 11, &[0xff]);
    assert_eq!(both_readers(&image), [["ein langer Name.txt"]; 2]);
    // A NUL ends the name, in a slot that is not the last one either.
    image.patch(beginning + 1 + 2 * 3, &[0, 0]);
    assert_eq!(both_readers(&image), [["ein"]; 2]);
    image.patch(beginning + 1, &[0, 0]);
    let [probed, listed] = both_readers(&image);
    assert_eq!(probed, listed);
    assert!(probed[0].starts_with("EINLAN"), "{probed:?}");
}

#[test]
fn a_volume_larger_than_its_device_is_refused() {
    let image = Image::fat32();
    image.cut(FAT32_SIZE - 512);
    let refusal = image.refusal();
    assert_eq!(refusal, Reason::VolumeLargerThanDevice { end: FAT32_SIZE, size: FAT32_SIZE - 512 });
    let script = "label: dos\nstart=2048, size=81920, type=c\n";
    for size in [FAT32_SIZE, 2 * MIB] {
        let image = Image::divided(48 * MIB, script, &[1]);
        image.cut(size);
        assert_eq!(image.refusal(), Reason::VolumeLargerThanDevice { end: 41 * MIB, size });
    }
    // The partition begins behind the end.
    let image = Image::divided(48 * MIB, script, &[1]);
    image.cut(MIB / 2);
    assert!(matches!(image.refusal(), Reason::VolumeLargerThanDevice { .. }));
}

#[test]
fn overlapping_partitions_are_refused() {
    let image = Image::divided(48 * MIB, "label: dos\nstart=2048, size=81920, type=c\n", &[1]);
    let mut second = image.bytes(446, 16);
    second[8..12].copy_from_slice(&4096_u32.to_le_bytes());
    image.patch(462, &second);
    assert_eq!(image.refusal(), Reason::Damaged { what: Problem::Overlap });
}

#[test]
fn a_table_and_a_file_system_in_one_sector_are_refused_as_ambiguous() {
    let image = Image::divided(84 * MIB, "label: dos\nstart=2048, size=81920, type=c\n", &[1]);
    let whole = Image::fat32();
    image.patch(0, &whole.bytes(0, 90));
    assert_eq!(image.refusal(), Reason::Damaged { what: Problem::Ambiguous });
}

#[test]
fn logical_partitions_in_a_circle_are_refused() {
    let script = "label: dos\nstart=2048, size=90000, type=f\nstart=4096, size=2048, type=c\nstart=8192, size=2048\n";
    let image = Image::divided(48 * MIB, script, &[]);
    assert_eq!(image.facts().volumes.len(), 2);
    // The first logical partition's table names itself as the next one.
    let at = 2048 * 512;
    assert_eq!(image.bytes(at + 462 + 4, 1), [5]);
    image.patch(at + 462 + 8, &0_u32.to_le_bytes());
    image.patch(at + 462 + 8, &[0]);
    let mut next = image.bytes(at + 462, 16);
    next[8..12].copy_from_slice(&2_u32.to_le_bytes());
    image.patch(at + 462, &next);
    let own = image.bytes(at, 512);
    image.patch(at + 1024, &own);
    assert!(matches!(image.refusal(), Reason::Damaged { .. }), "{:?}", image.refusal());
}

#[test]
fn a_damaged_boot_sector_is_told_from_a_foreign_format() {
    let image = Image::fat32();
    image.patch(13, &[3]);
    assert!(matches!(image.refusal(), Reason::Damaged { what: Problem::BootSector(_) }));
}

#[test]
fn a_root_folder_in_a_circle_is_refused_at_once() {
    let image = Image::fat32();
    image.put(0, "TSE.txt", b"x");
    let started = Instant::now();
    let geometry = geometry(&image);
    geometry.link(&image, 2, 2);
    assert_eq!(chain_fault(image.refusal()), ("/".into(), ChainFault::Loop));
    geometry.link(&image, 2, 500);
    geometry.link(&image, 500, 501);
    geometry.link(&image, 501, 500);
    assert_eq!(chain_fault(image.refusal()), ("/".into(), ChainFault::Loop));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn broken_links_of_the_root_folder_are_named() {
    let image = Image::fat32();
    let geometry = geometry(&image);
    for (value, fault) in [
        (0x0ff0_0000, ChainFault::OutOfRange(0x0ff0_0000)),
        (1, ChainFault::OutOfRange(1)),
        (0, ChainFault::Free(2)),
        (0x0fff_fff7, ChainFault::Bad(2)),
    ] {
        geometry.link(&image, 2, value);
        assert_eq!(chain_fault(image.refusal()), ("/".into(), fault));
    }
    image.patch(44, &0_u32.to_le_bytes());
    assert_eq!(chain_fault(image.refusal()).1, ChainFault::OutOfRange(0));
}

#[test]
fn our_folder_in_a_circle_or_inside_another_is_refused() {
    let image = Image::fat32();
    image.mkdir(0, "TILLSTICK");
    image.put(0, "TILLSTICK/README.txt", b"hello");
    let geometry = geometry(&image);
    let (at, cluster) = entry(&image, geometry.at(2), b"TILLST~1   ");
    geometry.link(&image, cluster, cluster);
    assert_eq!(chain_fault(image.refusal()), ("TILLSTICK".into(), ChainFault::Loop));
    geometry.link(&image, cluster, 0x0fff_ffff);
    for (start, want) in [(2_u16, "the root's own cluster"), (0, "no cluster at all")] {
        image.patch(at + 26, &start.to_le_bytes());
        assert!(matches!(image.refusal(), Reason::Damaged { .. }), "{want}: {:?}", image.refusal());
    }
}

#[test]
fn two_names_with_one_content_are_a_flaw_and_with_a_folder_a_refusal() {
    let image = Image::fat32();
    image.put(0, "A.TXT", b"one");
    image.put(0, "B.TXT", b"two");
    image.mkdir(0, "TILLSTICK");
    let geometry = geometry(&image);
    let (_, a) = entry(&image, geometry.at(2), b"A       TXT");
    let (b_at, _) = entry(&image, geometry.at(2), b"B       TXT");
    let (_, ours) = entry(&image, geometry.at(2), b"TILLST~1   ");
    image.patch(b_at + 26, &(a as u16).to_le_bytes());
    let link = Problem::CrossLink { first: "A.TXT".into(), second: "B.TXT".into() };
    assert_eq!(image.volume().flaws, [link]);
    image.patch(b_at + 26, &(ours as u16).to_le_bytes());
    assert!(matches!(image.refusal(), Reason::Damaged { what: Problem::CrossLink { .. } }));
}

#[test]
fn files_of_ours_that_share_clusters_are_a_flaw_that_names_both() {
    let image = Image::fat32();
    image.mkdir(0, "TILLSTICK");
    image.put(0, "TILLSTICK/ONE.TXT", &[1; 2000]);
    image.put(0, "TILLSTICK/TWO.TXT", &[2; 2000]);
    let geometry = geometry(&image);
    let (_, ours) = entry(&image, geometry.at(2), b"TILLST~1   ");
    let (_, one) = entry(&image, geometry.at(ours), b"ONE     TXT");
    let (_, two) = entry(&image, geometry.at(ours), b"TWO     TXT");
    geometry.link(&image, two + 1, one + 1);
    let link = Problem::CrossLink { first: "TILLSTICK/ONE.TXT".into(), second: "TILLSTICK/TWO.TXT".into() };
    assert_eq!(image.volume().flaws, [link]);
}

#[test]
fn hostile_names_arrive_escaped_and_bounded() {
    let image = Image::fat32();
    image.put(0, "X.TXT", b"");
    let (at, _) = entry(&image, geometry(&image).at(2), b"X       TXT");
    image.patch(at, b"\x1b]0;me\x07\x01TX");
    let facts = image.facts();
    let shown = format!("{:?}", facts.volumes[0].root);
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}]0"), "{shown}");
}

/// Counts what is asked of the medium.
struct Counting<'a> {
    bytes: &'a [u8],
    /// Bytes that differ from `bytes`.
    changes: Vec<(usize, u8)>,
    reads: Cell<u32>,
    read_bytes: Cell<u64>,
    pause: Duration,
}

impl<'a> Counting<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, changes: Vec::new(), reads: Cell::new(0), read_bytes: Cell::new(0), pause: Duration::ZERO }
    }
}

impl ReadAt for Counting<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        self.read_bytes.set(self.read_bytes.get() + buf.len() as u64);
        std::thread::sleep(self.pause);
        let len = self.bytes.read_at(offset, buf)?;
        for (at, value) in &self.changes {
            let at = (*at as u64).checked_sub(offset).and_then(|at| buf.get_mut(at as usize));
            at.into_iter().for_each(|byte| *byte = *value);
        }
        Ok(len)
    }
}

#[test]
fn an_ordinary_stick_costs_few_reads() {
    let image = Image::fat32();
    image.mkdir(0, "TILLSTICK");
    image.put(0, "TILLSTICK/stick.json", b"{}");
    let bytes = std::fs::read(&image.path).unwrap();
    let medium = Counting::new(&bytes);
    probe(&medium, bytes.len() as u64, &Limits::default()).unwrap();
    assert!(medium.reads.get() < 20, "{} reads", medium.reads.get());
}

#[test]
fn no_limit_is_passed_on_a_folder_without_end() {
    // Every cluster links to the next and is full of names: 40 MB of root folder.
    let image = Image::fat32();
    let mut bytes = std::fs::read(&image.path).unwrap();
    let geometry = geometry(&image);
    for cluster in 2_u32..80_000 {
        let at = (geometry.fat + u64::from(cluster) * 4) as usize;
        bytes[at..at + 4].copy_from_slice(&(cluster + 1).to_le_bytes());
    }
    bytes[geometry.data as usize..].fill(b'A');
    let medium = Counting::new(&bytes);
    let limits = Limits::default();
    let (_, volumes) = probe(&medium, bytes.len() as u64, &limits).unwrap();
    assert!(matches!(volumes[0].problem, Some(Problem::TooMuch(_))), "{:?}", volumes[0].problem);
    assert!(medium.reads.get() <= limits.reads && medium.read_bytes.get() <= limits.bytes);
}

#[test]
fn a_slow_stick_is_given_up_in_time_and_a_failing_one_is_told() {
    let image = Image::fat32();
    let bytes = std::fs::read(&image.path).unwrap();
    let medium = Counting { pause: Duration::from_millis(20), ..Counting::new(&bytes) };
    let limits = Limits { time: Duration::from_millis(30), ..Limits::default() };
    let started = Instant::now();
    let (_, volumes) = probe(&medium, bytes.len() as u64, &limits).unwrap();
    assert!(matches!(volumes[0].problem, Some(Problem::TooMuch(_))));
    assert!(started.elapsed() < Duration::from_secs(1));

    struct Dead;
    impl ReadAt for Dead {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let error = probe(&Dead, 1 << 30, &Limits::default()).unwrap_err().report();
    assert!(error.contains("Input/output error"), "{error}");
}

/// To `fatfs` the end of the medium is the end of the folder that it reads: what stands behind it may be a TSE's.
#[test]
fn a_stick_that_suddenly_reads_as_shorter_hides_no_tse() {
    struct Short<'a>(&'a [u8], Cell<u32>);
    impl ReadAt for Short<'_> {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.1.set(self.1.get().wrapping_sub(1));
            if self.1.get() == u32::MAX { Ok(0) } else { self.0.read_at(offset, buf) }
        }
    }
    let image = Image::fat32();
    (0..200).for_each(|number| image.put(0, &format!("Urlaubsfoto Nummer {number}.jpeg"), b""));
    image.put(0, "TSE_INFO.DAT", b"");
    let bytes = std::fs::read(&image.path).unwrap();
    let mut struck = 0;
    loop {
        let medium = Short(&bytes, Cell::new(struck));
        let judged = probe(&medium, bytes.len() as u64, &Limits::default());
        if let Ok((_, volumes)) = &judged {
            let hidden = volumes
                .iter()
                .any(|found| found.kind == FsKind::Fat32 && found.problem.is_none() && of_volume(found).is_none());
            assert!(!hidden, "with read {struck} cut short: {volumes:?}");
        }
        if medium.1.get() < u32::MAX / 2 {
            assert!(struck >= 5, "only {struck} reads");
            return;
        }
        struck += 1;
    }
}

/// An image with everything the probe reads, cut to what the probe may reach.
fn seed() -> &'static [u8] {
    static SEED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SEED.get_or_init(|| {
        let image = Image::fat32();
        image.mkdir(0, "TILLSTICK");
        image.mkdir(0, "TILLSTICK/kasse-1");
        let note = br#"{"format":1,"box":"kasse-1","box_id":"00112233445566778899aabbccddeeff","customer":"1"}"#;
        image.put(0, "TILLSTICK/stick.json", note);
        image.put(0, "A long name of a file.txt", b"x");
        std::fs::read(&image.path).unwrap()
    })
}

/// The parts of the seed that the probe looks at: boot sector, FSInfo, table, first clusters.
fn spots() -> impl Strategy<Value = (usize, u8)> {
    let image_data: usize = 32 * 512 + 2 * 629 * 512;
    let places = prop_oneof![0_usize..1024, 16_384_usize..16_384 + 64, image_data - 4096..image_data + 8192];
    (places, any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_stick_with_changed_bytes_never_breaks_the_probe(changes in prop::collection::vec(spots(), 1..12)) {
        let medium = Counting { changes, ..Counting::new(seed()) };
        let limits = Limits::default();
        let started = Instant::now();
        let (table, volumes) = probe(&medium, FAT32_SIZE, &limits).unwrap();
        prop_assert!(medium.reads.get() <= limits.reads && medium.read_bytes.get() <= limits.bytes);
        prop_assert!(started.elapsed() < Duration::from_secs(4));
        let facts = tillstick::policy::stick::StickFacts {
            look: tillstick::policy::stick::Look::Done, table, volumes, ..Default::default()
        };
        let verdict = judge(&facts, &StickRules::default());
        if let VerdictKind::Refused(reason) = verdict.kind {
            prop_assert!(!reason.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn random_bytes_never_break_the_probe(
        mut bytes in prop::collection::vec(any::<u8>(), 512..20_000),
        boot in any::<bool>(),
        table in any::<bool>(),
    ) {
        if boot {
            bytes[..90].copy_from_slice(&seed()[..90]);
        }
        if table {
            bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            for slot in 0..4 {
                bytes[446 + slot * 16] = 0;
            }
        }
        let medium = Counting::new(&bytes);
        let limits = Limits::default();
        // Sizes that the medium does not have are what a lying device reports.
        for size in [bytes.len() as u64, 1 << 45, u64::MAX] {
            let _ = probe(&medium, size, &limits);
        }
        prop_assert!(medium.reads.get() <= 3 * limits.reads);
    }
}
