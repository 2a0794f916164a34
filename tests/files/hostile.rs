//! Archives that mean harm: nothing is made outside the target, nothing panics, and what is refused leaves no rest.

use std::fs;

use proptest::prelude::*;
use tillstick::error::Kind;

use crate::kit::{archive, scratch, source, tree, unpack};
use crate::proof;

/// A plain header with its content.
fn entry(name: &[u8], kind: u8, target: &[u8], content: &[u8]) -> Vec<u8> {
    sized(name, kind, target, content, content.len() as u64)
}

fn sized(name: &[u8], kind: u8, target: &[u8], content: &[u8], size: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000755\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..157 + target.len()].copy_from_slice(target);
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn record(text: &[u8]) -> Vec<u8> {
    entry(b"x", b'x', b"", text)
}

/// Unpacks beside a folder that must stay as it is; gives the kind of the failure.
#[track_caller]
fn harm(parts: &[Vec<u8>]) -> Option<Kind> {
    let dir = scratch();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let before = tree(&outside);
    let target = dir.path().join("target");
    let whole = [parts.concat(), vec![0; 1024]].concat();
    let done = unpack(&whole, &target);
    assert_eq!(tree(&outside), before, "something outside changed");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), if done.is_ok() { 2 } else { 1 }, "{names:?}");
    done.err().map(|error| error.kind())
}

#[test]
fn nothing_leads_out_of_the_target() {
    let file = |name: &[u8]| entry(name, b'0', b"", b"evil");
    let link = |name: &[u8], target: &[u8]| entry(name, b'2', target, b"");
    let second = |name: &[u8], target: &[u8]| entry(name, b'1', target, b"");
    for (what, parts, expected) in [
        ("upwards", vec![file(b"../outside/precious")], Some(Kind::Refused)),
        ("upwards in the middle", vec![file(b"a/../../outside/precious")], Some(Kind::Refused)),
        ("from the root", vec![file(b"/outside/precious")], None),
        ("through a link", vec![link(b"a", b"../outside"), file(b"a/precious")], Some(Kind::Refused)),
        ("through a link to the root", vec![link(b"a", b"/"), file(b"a/tmp/evil")], Some(Kind::Refused)),
        ("through two links", vec![link(b"a", b"."), link(b"a/b", b"../outside")], Some(Kind::Refused)),
        ("over a link", vec![link(b"a", b"../outside/precious"), file(b"a")], None),
        (
            "a folder over a link",
            vec![link(b"a", b"../outside"), entry(b"a", b'5', b"", b""), file(b"a/precious")],
            None,
        ),
        ("a second name of a link", vec![link(b"a", b"../outside/precious"), second(b"b", b"a")], Some(Kind::Damaged)),
        ("a second name of nothing", vec![second(b"b", b"etc/passwd")], Some(Kind::Damaged)),
        ("a second name upwards", vec![second(b"b", b"../outside/precious")], Some(Kind::Refused)),
        (
            "a second name through a link",
            vec![link(b"a", b"../outside"), second(b"b", b"a/precious")],
            Some(Kind::Damaged),
        ),
        ("a file over a folder", vec![file(b"a/b"), file(b"a")], Some(Kind::Refused)),
        ("below a file", vec![file(b"a"), file(b"a/b")], Some(Kind::Refused)),
        ("a record upwards", vec![record(b"30 path=../../outside/precious\n"), file(b"a")], Some(Kind::Damaged)),
        (
            "a record upwards, well formed",
            vec![record(b"31 path=../../outside/precious\n"), file(b"a")],
            Some(Kind::Refused),
        ),
        ("a device", vec![entry(b"sda", b'4', b"", b""), entry(b"pipe", b'6', b"", b"")], None),
    ] {
        assert_eq!(harm(&parts), expected, "{what}");
    }
}

#[test]
fn sizes_that_lie_are_damage_and_take_no_memory() {
    let sparse = |map: &[u8], real: &str| {
        let real = format!("GNU.sparse.realsize={real}\n");
        let all = [&b"22 GNU.sparse.major=1\n"[..], b"22 GNU.sparse.minor=0\n"].concat();
        let length = real.len() + 3;
        let real = [format!("{length} ").into_bytes(), real.into_bytes()].concat();
        vec![record(&[all, real].concat()), entry(b"hole", b'0', b"", map)]
    };
    let block = |text: &[u8]| [text, &vec![0; 512 - text.len()]].concat();
    for (what, parts, expected) in [
        ("a file that is cut off", vec![sized(b"a", b'0', b"", b"x", 1 << 32)], Kind::Damaged),
        ("a record that is too long", vec![sized(b"a", b'x', b"", b"x", 1 << 30)], Kind::Damaged),
        ("a long name that is too long", vec![sized(b"a", b'L', b"", b"x", 1 << 30)], Kind::Damaged),
        ("a record with a wrong length", vec![record(b"99 path=x\n")], Kind::Damaged),
        ("a record that is endless", vec![record(b"0 path=x\n")], Kind::Damaged),
        ("a map that is longer than any", sparse(&block(b"99999999\n"), "9"), Kind::Damaged),
        ("a map that goes back", sparse(&block(b"2\n5\n0\n1\n0\n"), "9"), Kind::Damaged),
        ("a map beyond the size", sparse(&block(b"1\n5\n9\n"), "9"), Kind::Damaged),
        ("a size beyond all", sparse(&block(b"0\n"), "99999999999999999999"), Kind::Damaged),
        ("a size of exabytes", sparse(&block(b"0\n"), "18446744073709551615"), Kind::Damaged),
    ] {
        assert_eq!(harm(&parts), Some(expected), "{what}");
    }
}

#[test]
fn half_an_archive_is_damaged_wherever_it_ends() {
    let dir = scratch();
    let root = dir.path().join("tree");
    fs::create_dir_all(root.join("deep")).unwrap();
    fs::write(root.join("deep/file"), vec![3; 2000]).unwrap();
    let (text, _) = archive(&source(&root)).unwrap();
    for end in (0..text.all.len() - 1024).step_by(97) {
        let target = dir.path().join("target");
        assert_eq!(unpack(&text.all[..end], &target).unwrap_err().kind(), Kind::Damaged, "{end}");
        assert!(!target.exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proof::cases(500, 20_000), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_bytes_change_nothing_leaves_the_target(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), fix: bool) {
        let parts = [
            entry(b"a/", b'5', b"", b""),
            entry(b"a/b", b'0', b"", b"content"),
            entry(b"a/l", b'2', b"../outside", b""),
            entry(b"a/s", b'1', b"a/b", b""),
            record(b"12 path=a/x\n"),
            entry(b"c", b'0', b"", &[9; 600]),
        ];
        let mut whole = parts.concat();
        for (at, byte) in changes {
            let at = at.index(whole.len());
            whole[at] = byte;
        }
        if fix {
            // Sums that are right again let the change through to what reads it.
            for header in whole.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
                header[148..156].copy_from_slice(b"        ");
                let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        harm(&[whole]);
    }
}
