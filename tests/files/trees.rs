//! Generated trees come back as they were, by us and by GNU tar.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::kit::{archive, below, scratch, source, tree, unpack};
use crate::proof;

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<(u64, Vec<u8>)>),
    Dir,
    Link(Vec<u8>),
    Second(usize),
}

#[derive(Debug, Clone)]
struct Made {
    path: Vec<Vec<u8>>,
    thing: Thing,
    mode: u32,
    time: (i64, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::num::u8::ANY.prop_filter("no name holds these", |byte| !matches!(byte, 0 | b'/'));
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c.php", "ä ö", "-rf", "new\nline", "x y"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(byte, 1..255),
    ]
    .prop_filter("these are no names", |name| name != b"." && name != b"..")
}

fn thing() -> impl Strategy<Value = Thing> {
    let offset = prop_oneof![3 => Just(0_u64), 1 => 0_u64..5_000_000];
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        (0_usize..300_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let target = prop::collection::vec(1_u8..=255, 1..300);
    prop_oneof![
        4 => prop::collection::vec((offset, bytes), 0..3).prop_map(Thing::File),
        2 => Just(Thing::Dir),
        1 => target.prop_map(Thing::Link),
        1 => (0_usize..20).prop_map(Thing::Second),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let time = (-4_000_000_000_i64..20_000_000_000, 0_u32..1_000_000_000);
    (prop::collection::vec(name(), 1..5), thing(), 0_u32..0o1000, time).prop_map(|(path, thing, mode, time)| Made {
        path,
        thing,
        mode,
        time,
    })
}

/// Makes what can be made of it: some names are taken, or too long together.
fn make(root: &Path, all: &[Made]) {
    fs::create_dir(root).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for one in all {
        let path = one.path.iter().fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(name)));
        if fs::create_dir_all(path.parent().unwrap()).is_err() || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        let done = match &one.thing {
            Thing::Dir => fs::create_dir(&path),
            Thing::Link(target) => symlink(OsStr::from_bytes(target), &path),
            Thing::Second(which) => match files.get(which % files.len().max(1)) {
                Some(first) => fs::hard_link(first, &path),
                None => continue,
            },
            Thing::File(parts) => File::create(&path).and_then(|mut file| {
                for (offset, bytes) in parts {
                    file.seek(SeekFrom::Start(*offset))?;
                    file.write_all(bytes)?;
                }
                files.push(path.clone());
                Ok(())
            }),
        };
        let is_link = matches!(one.thing, Thing::Link(_));
        if done.is_ok() && !is_link {
            // Folders stay such that their owner can look into them, also when the tests are not run by root.
            let rights = if matches!(one.thing, Thing::Dir) { one.mode | 0o700 } else { one.mode | 0o400 };
            fs::set_permissions(&path, fs::Permissions::from_mode(rights)).unwrap();
            let (seconds, nanos) = one.time;
            let whole = Duration::from_secs(seconds.unsigned_abs());
            let at = if seconds < 0 { SystemTime::UNIX_EPOCH - whole } else { SystemTime::UNIX_EPOCH + whole };
            File::open(&path).unwrap().set_modified(at + Duration::from_nanos(nanos.into())).unwrap();
        }
    }
}

fn gnu_unpacks(archive: &[u8], target: &Path) {
    fs::create_dir(target).unwrap();
    let mut tar = Command::new("tar")
        .args(["--warning=no-timestamp", "-xpf"])
        .arg("-")
        .arg("-C")
        .arg(target)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    assert!(tar.wait().unwrap().success(), "GNU tar refuses it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proof::cases(24, 400), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_comes_back_as_it_was_by_us_and_by_gnu_tar(all in prop::collection::vec(made(), 0..25)) {
        let dir = scratch();
        let root = dir.path().join("tree");
        make(&root, &all);
        let (text, facts) = archive(&source(&root)).unwrap();
        prop_assert!(facts.warnings.is_empty(), "{:?}", facts.warnings);
        let (again, _) = archive(&source(&root)).unwrap();
        prop_assert!(text.all == again.all, "an unchanged tree gives other bytes");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        unpack(&text.all, &ours).unwrap();
        let expected = tree(&root);
        prop_assert_eq!(&tree(&below(&ours, &root)), &expected);
        gnu_unpacks(&text.all, &theirs);
        prop_assert_eq!(&tree(&below(&theirs, &root)), &expected);
    }
}

#[test]
fn a_file_with_holes_takes_no_more_room_than_it_did() {
    let dir = scratch();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    let mut file = File::create(root.join("disk.img")).unwrap();
    for offset in [0, 700 << 20, (2 << 30) + 17] {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&[7; 5000]).unwrap();
    }
    file.set_len((2 << 30) + (5 << 20)).unwrap();
    drop(file);
    File::create(root.join("nothing.img")).unwrap().set_len(3 << 20).unwrap();
    if fs::metadata(root.join("disk.img")).unwrap().blocks() > 4096 {
        return; // no holes on this file system
    }
    let (text, _) = archive(&source(&root)).unwrap();
    assert!(text.all.len() < 1 << 20, "{}", text.all.len());
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    unpack(&text.all, &ours).unwrap();
    gnu_unpacks(&text.all, &theirs);
    for target in [ours, theirs] {
        let copy = below(&target, &root).join("disk.img");
        for name in ["disk.img", "nothing.img"] {
            let copy = copy.with_file_name(name);
            let same = Command::new("cmp").arg(&copy).arg(root.join(name)).status().unwrap();
            assert!(same.success(), "{name}");
        }
        assert!(fs::metadata(copy).unwrap().blocks() <= 4096);
    }
}

#[test]
fn what_is_inserted_into_a_large_file_moves_no_cut_behind_it() {
    let dir = scratch();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    let mut state = 1_u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(3_000_000)
    .collect();
    let keys = |bytes: &[u8]| {
        fs::write(root.join("log"), bytes).unwrap();
        let (text, _) = archive(&source(&root)).unwrap();
        text.units.iter().map(|(key, _)| *key).collect::<std::collections::HashSet<_>>()
    };
    let before = keys(&bytes);
    bytes.splice(1_000_000..1_000_000, *b"something new");
    let new = keys(&bytes).difference(&before).count();
    assert!(before.len() > 200 && new <= 3, "{new} of {} units are new", before.len());
}
