//! Whatever happens to an artifact, nobody is given a wrong text for it.

use std::io::{BufRead, Read};

use tillstick::error::{Kind, Result};
use tillstick::model::TextFacts;
use tillstick::pack::{Unpacker, verify};

use crate::{SMALL, pack, quietly, rows};

fn verified(artifact: &[u8]) -> Result<TextFacts> {
    quietly(|run| verify(artifact, &run))
}

#[test]
fn a_changed_byte_is_found_or_changes_no_text() {
    let (artifact, packed) = pack(&rows(0..150), None, SMALL);
    let mut harmless = 0;
    for at in 0..artifact.len() {
        for bit in [1, 0x08, 0x80, 0xff] {
            let mut changed = artifact.clone();
            changed[at] ^= bit;
            match verified(&changed) {
                Ok(facts) => {
                    assert_eq!(facts, packed.text, "byte {at}");
                    harmless += 1;
                }
                Err(error) => assert_eq!(error.kind(), Kind::Damaged, "byte {at}"),
            }
        }
    }
    // Padding, the header's hints, and references that were moved to an equal text.
    assert!(harmless * 50 < artifact.len() * 4, "{harmless} of {}", artifact.len() * 4);
}

#[test]
fn a_changed_trailer_magic_or_method_is_always_found() {
    let (artifact, _) = pack(&rows(0..150), None, SMALL);
    for at in (0..3).chain(artifact.len() - 8..artifact.len()) {
        for bit in 0..8 {
            let mut changed = artifact.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(verified(&changed).unwrap_err().kind(), Kind::Damaged, "byte {at}");
        }
    }
}

#[test]
fn an_artifact_cut_off_anywhere_is_damaged() {
    let (artifact, _) = pack(&rows(0..150), None, SMALL);
    for length in 0..artifact.len() {
        let error = verified(&artifact[..length]).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{length} bytes");
    }
}

#[test]
fn whatever_follows_the_member_is_refused() {
    let (artifact, _) = pack(&rows(0..150), None, SMALL);
    for rest in [&[0][..], &[0; 512], b"hello", &artifact] {
        assert_eq!(verified(&[&artifact, rest].concat()).unwrap_err().kind(), Kind::Damaged);
    }
}

#[test]
fn two_chunks_that_changed_places_are_found() {
    let (artifact, _) = pack(&rows(0..400), None, SMALL);
    let ends: Vec<_> =
        artifact.windows(4).enumerate().filter(|(_, w)| *w == [0, 0, 0xff, 0xff]).map(|(i, _)| i + 4).collect();
    let [a, b, c] = ends[..3] else { panic!("three chunks are needed") };
    let swapped = [&artifact[..a], &artifact[b..c], &artifact[a..b], &artifact[c..]].concat();
    assert_eq!(verified(&swapped).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_reader_that_was_told_of_damage_is_told_again_instead_of_the_end() {
    let (mut artifact, _) = pack(&rows(0..400), None, SMALL);
    let middle = artifact.len() / 2;
    artifact.truncate(middle);
    let mut unpacker = Unpacker::new(&artifact[..]);
    assert!(unpacker.read_to_end(&mut Vec::new()).is_err());
    assert!(unpacker.read(&mut [0; 8]).is_err());
    assert!(unpacker.fill_buf().is_err());
}

#[test]
fn the_last_text_is_given_out_only_after_the_checksum_matched() {
    let (mut artifact, packed) = pack(&rows(0..150), None, SMALL);
    let crc = artifact.len() - 8;
    artifact[crc] ^= 1;
    let mut text = Vec::new();
    assert!(Unpacker::new(&artifact[..]).read_to_end(&mut text).is_err());
    assert!((text.len() as u64) < packed.text.size);
}

#[test]
fn a_medium_that_fails_is_not_called_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(libc::EIO))
        }
    }
    let (artifact, _) = pack(&rows(0..150), None, SMALL);
    let half = &artifact[..artifact.len() / 2];
    let error = quietly(|run| verify(half.chain(Failing), &run)).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.report().contains("os error 5"), "{}", error.report());
}
