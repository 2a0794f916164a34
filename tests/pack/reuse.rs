//! What the previous artifact saves, and that it can only cost time.

use std::fs;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tillstick::error::Kind;
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::pack::{Index, Options, Packed, Previous, index_path};

use crate::{SMALL, Unit, keep, open, pack, rows, text_of, unpack};

/// Packs `units` with what `path` holds, and checks that the result is the same as without.
fn again(units: &[Unit], path: &std::path::Path, options: Options) -> Packed {
    let (artifact, packed) = pack(units, open(path, options), options);
    assert!(artifact == pack(units, None, options).0, "reuse must not show in the artifact");
    assert!(unpack(&artifact).unwrap() == text_of(units));
    packed
}

#[test]
fn an_unchanged_text_is_copied_whole_by_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..5000);
    let (artifact, first) = pack(&units, None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    for threads in 1..=4 {
        let second = again(&units, &path, Options { threads, ..SMALL });
        assert_eq!((second.new_chunks, second.reused_chunks), (0, first.new_chunks));
        assert_eq!((second.new_bytes, second.reused_bytes), (0, first.new_bytes));
        assert_eq!(second.index, first.index);
    }
}

#[test]
fn a_small_change_costs_only_a_few_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let (artifact, first) = pack(&rows(0..50_000), None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    let mut units = rows(0..50_500);
    units.remove(20_000);
    units[30_000].1.extend_from_slice(b"-- changed\n");
    let second = again(&units, &path, SMALL);
    // The dictionary reaches over 16 of these small chunks, which all follow the change.
    assert!(second.new_chunks < 130, "{} new of {}", second.new_chunks, second.new_chunks + second.reused_chunks);
    assert!(second.reused_chunks > 2000);
}

#[test]
fn a_lost_index_is_made_again_from_the_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..5000);
    let (artifact, first) = pack(&units, None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    fs::remove_file(index_path(&path)).unwrap();
    assert_eq!(again(&units, &path, SMALL).new_chunks, 0);
}

#[test]
fn an_index_that_is_damaged_or_of_another_artifact_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..3000);
    let (artifact, first) = pack(&units, None, SMALL);
    let (_, other) = pack(&rows(7..3000), None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    let mut damaged = first.index.to_bytes();
    damaged[100] ^= 1;
    for index in [vec![], b"what?".to_vec(), damaged, other.index.to_bytes()] {
        fs::write(index_path(&path), index).unwrap();
        assert_eq!(again(&units, &path, SMALL).new_chunks, 0);
    }
}

#[test]
fn bytes_in_the_data_that_look_like_a_chunks_end_do_not_mislead_the_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = 1_u64;
    let mut noise = |n: usize| -> Vec<u8> {
        let byte = |_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        };
        (0..n).map(byte).collect()
    };
    let units: Vec<Unit> = (0..300)
        .map(|key| {
            let mut text = noise(700);
            for at in [50, 111, 350, 351 + key as usize] {
                text.splice(at..at, [0, 0, 0xff, 0xff, 3, 0]);
            }
            (key, text)
        })
        .collect();
    let (artifact, first) = pack(&units, None, SMALL);
    let false_ends = artifact.windows(4).filter(|bytes| *bytes == [0, 0, 0xff, 0xff]).count();
    assert!(false_ends > first.new_chunks as usize * 2, "the test must be one: {false_ends}");
    let path = keep(dir.path(), &artifact, &first);
    fs::remove_file(index_path(&path)).unwrap();
    assert_eq!(again(&units, &path, SMALL).new_chunks, 0);
}

#[test]
fn a_damaged_previous_artifact_costs_only_time() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..5000);
    let (artifact, first) = pack(&units, None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for at in [11, 5000, artifact.len() as u64 / 2] {
        file.write_all_at(&[artifact[at as usize] ^ 0x40], at).unwrap();
    }
    assert_eq!(again(&units, &path, SMALL).new_chunks, 3);
    // Without its index the damage is met while the index is made again.
    fs::remove_file(index_path(&path)).unwrap();
    assert_eq!(again(&units, &path, SMALL).reused_chunks, 0);
}

#[test]
fn a_previous_artifact_that_shrinks_meanwhile_costs_only_time() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..2000);
    let (artifact, first) = pack(&units, None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    let previous = open(&path, SMALL);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(artifact.len() as u64 / 2).unwrap();
    let (second, packed) = pack(&units, previous, SMALL);
    assert!(second == artifact);
    assert!(packed.new_chunks > 0 && packed.reused_chunks > 0);
}

#[test]
fn another_level_or_chunk_size_reuses_nothing_and_breaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..5000);
    let (artifact, first) = pack(&units, None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    for with_index in [true, false] {
        if !with_index {
            fs::remove_file(index_path(&path)).unwrap();
        }
        assert_eq!(again(&units, &path, Options { level: 3, ..SMALL }).reused_chunks, 0);
        assert!(again(&units, &path, Options { chunk: 256, ..SMALL }).reused_chunks < first.new_chunks);
    }
}

#[test]
fn a_file_that_is_no_artifact_of_ours_is_no_previous_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kasse.sql.gz");
    assert!(open(&path, SMALL).is_none());
    let (artifact, _) = pack(&rows(0..500), None, SMALL);
    let mut tail_gone = artifact.clone();
    tail_gone.truncate(artifact.len() - 1);
    let mut foreign = artifact.clone();
    foreign[9] = 3;
    for bytes in [vec![], b"hello".to_vec(), tail_gone, foreign, artifact[..20].to_vec()] {
        fs::write(&path, &bytes).unwrap();
        assert!(open(&path, SMALL).is_none());
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(open(&path, SMALL).is_none());
}

#[test]
fn making_an_index_again_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (artifact, first) = pack(&rows(0..500), None, SMALL);
    let path = keep(dir.path(), &artifact, &first);
    fs::remove_file(index_path(&path)).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let error = Previous::open(&path, &SMALL, &Run { monitor: &Quiet, cancel: &cancel }).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}

#[test]
fn the_seed_of_the_keys_is_random_and_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let units = rows(0..300);
    let (artifact, first) = pack(&units, None, SMALL);
    let (_, stranger) = pack(&units, None, SMALL);
    assert_ne!(first.index, stranger.index);
    let path = keep(dir.path(), &artifact, &first);
    assert_eq!(again(&units, &path, SMALL).index, first.index);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_edit_gives_the_artifact_that_a_fresh_dump_gives(
        count in 0_u64..1500,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0_usize..3000), 0..6),
        level in 1_u8..=8,
        index_kept: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { level, ..SMALL };
        let mut units = rows(0..count);
        let (artifact, first) = pack(&units, None, options);
        let path = keep(dir.path(), &artifact, &first);
        if !index_kept {
            fs::remove_file(index_path(&path)).unwrap();
        }
        for (at, insert, size) in edits {
            let at = at.index(units.len() + 1);
            match insert {
                true => units.insert(at, (size as u64, vec![b'z'; size])),
                false => { units.drain(at..units.len().min(at + size)); }
            }
        }
        let second = again(&units, &path, options);
        prop_assert_eq!(Index::parse(&second.index.to_bytes()).unwrap(), second.index);
    }
}
