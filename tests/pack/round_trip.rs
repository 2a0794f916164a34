//! What goes in comes out: through us and through everybody else's tools.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tillstick::model::Sink;
use tillstick::pack::{Options, Packer, verify, verify_with};

use crate::{SMALL, Unit, pack, quietly, rows, text_of, unpack};

/// What `program` makes of the artifact on its standard input.
fn through(program: &str, arguments: &[&str], artifact: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(artifact).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .stdin(file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}");
    assert!(output.stderr.is_empty());
    output.stdout
}

#[test]
fn every_tool_reads_an_artifact() {
    let python = "import gzip,sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    for units in [rows(0..3000), vec![], rows(0..1)] {
        let (artifact, _) = pack(&units, None, SMALL);
        let text = text_of(&units);
        assert!(through("zcat", &[], &artifact) == text);
        assert!(through("pigz", &["-dc"], &artifact) == text);
        assert!(through("python3", &["-c", python], &artifact) == text);
        assert!(through("gzip", &["-t"], &artifact).is_empty());
        assert!(through("pigz", &["-t"], &artifact).is_empty());
        let mut decoded = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&artifact[..]), &mut decoded).unwrap();
        assert!(decoded == text);
    }
}

#[test]
fn seven_zip_reads_an_artifact() {
    let units = rows(0..3000);
    let (artifact, _) = pack(&units, None, SMALL);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kasse.sql.gz");
    std::fs::write(&path, &artifact).unwrap();
    let output = Command::new("7zz").args(["x", "-so"]).arg(&path).output().expect("7zz is needed");
    assert!(output.status.success());
    assert!(output.stdout == text_of(&units));
}

#[test]
fn a_member_written_by_gzip_is_read_with_its_name_and_comment() {
    let text = text_of(&rows(0..5000));
    let builder = flate2::GzBuilder::new().filename("kasse.sql").comment("hello").extra(vec![7; 300]).mtime(5);
    let mut writer = builder.write(Vec::new(), flate2::Compression::best());
    writer.write_all(&text).unwrap();
    assert!(unpack(&writer.finish().unwrap()).unwrap() == text);
    assert!(unpack(&through("gzip", &["-1c"], &text)).unwrap() == text);
}

#[test]
fn the_header_tells_neither_time_nor_name_nor_system() {
    let (artifact, _) = pack(&rows(0..10), None, SMALL);
    assert_eq!(artifact[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

#[test]
fn packer_and_verify_agree_on_the_text() {
    let units = rows(0..20_000);
    let (artifact, packed) = pack(&units, None, Options::default());
    let text = text_of(&units);
    let mut seen = Vec::new();
    let facts = quietly(|run| verify_with(&artifact[..], &run, &mut |piece| seen.extend_from_slice(piece))).unwrap();
    assert!(seen == text);
    assert_eq!(packed.text, facts);
    assert_eq!(facts.size, text.len() as u64);
    assert_eq!(facts.crc32, crc32fast::hash(&text));
    assert_eq!(facts.xxh3, format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&text)));
    assert_eq!(packed.size, artifact.len() as u64);
    assert_eq!(packed.new_bytes, artifact.len() as u64 - 20);
}

#[test]
fn a_row_larger_than_a_chunk_is_split() {
    let mut units = rows(0..100);
    units.insert(50, (50, b"x'00ff' ".repeat(100_000)));
    let (artifact, packed) = pack(&units, None, SMALL);
    assert!(packed.new_chunks >= 800_000 / (3 * SMALL.chunk as u64));
    assert!(unpack(&artifact).unwrap() == text_of(&units));
    assert!(pack(&units, None, Options { threads: 1, ..SMALL }).0 == artifact);
}

#[test]
fn a_source_may_cut_where_it_likes() {
    let units = rows(0..200);
    let artifact = quietly(|run| {
        let mut packer = Packer::new(Vec::new(), None, SMALL, run).unwrap();
        packer.cut().unwrap();
        for (_, text) in &units {
            packer.text().extend_from_slice(text);
            packer.cut().unwrap();
            packer.cut().unwrap();
        }
        packer.finish().unwrap().0
    });
    assert!(unpack(&artifact).unwrap() == text_of(&units));
}

#[test]
fn senseless_options_are_refused() {
    for options in [
        Options { level: 0, ..SMALL },
        Options { level: 9, ..SMALL },
        Options { threads: 0, ..SMALL },
        Options { chunk: 0, ..SMALL },
        Options { chunk: usize::MAX, ..SMALL },
    ] {
        assert!(quietly(|run| Packer::new(Vec::new(), None, options, run).is_err()), "{options:?}");
    }
}

/// A unit of text, from highly repetitive to random, mostly short.
fn unit() -> impl Strategy<Value = Unit> {
    let bytes = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        4 => (any::<u8>(), 1_usize..300).prop_map(|(byte, n)| vec![byte; n]),
        4 => "[a-e ,]{0,60}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..5000),
        1 => (0_usize..400).prop_map(|n| [0, 0, 0xff, 0xff].repeat(n)),
    ];
    (any::<u64>(), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_comes_back(
        units in prop::collection::vec(unit(), 0..200),
        level in 1_u8..=8,
        threads in 1_usize..4,
        chunk in prop::sample::select(vec![256_usize, 700, 4096, 128 << 10]),
    ) {
        let options = Options { level, threads, chunk };
        let (artifact, packed) = pack(&units, None, options);
        prop_assert!(unpack(&artifact).unwrap() == text_of(&units));
        prop_assert_eq!(quietly(|run| verify(&artifact[..], &run)).unwrap(), packed.text);
        let (alike, _) = pack(&units, None, Options { threads: 4 - threads, ..options });
        prop_assert!(alike == artifact);
    }
}
