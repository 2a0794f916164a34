//! The packer as its callers see it: text in, a gzip member out, and the way back.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod damage;
mod limits;
mod reuse;
mod round_trip;

use std::io::Read;
use std::path::{Path, PathBuf};

use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run, Sink};
use tillstick::pack::{Options, Packed, Packer, Previous, Unpacker, index_path};

/// Options with chunks so small that little text makes many.
const SMALL: Options = Options { level: 6, threads: 2, chunk: 2048 };

/// A unit of text with its key.
type Unit = (u64, Vec<u8>);

/// Calls `action` with a run that tells nobody and is not cancelled.
fn quietly<T>(action: impl FnOnce(Run<'_>) -> T) -> T {
    action(Run { monitor: &Quiet, cancel: &Cancel::default() })
}

/// Rows as a till's dump has them; the same number gives the same row.
fn row(id: u64) -> Unit {
    let x = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xd1b5_4a32_d192_ed03);
    let text = format!(
        "INSERT INTO position VALUES({id},{},'Artikel {}',{}.{:02},'2026-11-{:02}T{:02}:{:02}:{:02}','{x:016x}');\n",
        id / 7,
        x % 500,
        x % 90,
        x % 97,
        1 + x % 28,
        x % 24,
        x % 59,
        x % 58
    );
    (id, text.into_bytes())
}

fn rows(ids: std::ops::Range<u64>) -> Vec<Unit> {
    ids.map(row).collect()
}

fn text_of(units: &[Unit]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.1.iter().copied()).collect()
}

/// Feeds units as a source does.
fn feed(sink: &mut dyn Sink, units: &[Unit]) -> Result<()> {
    for (key, text) in units {
        sink.text().extend_from_slice(text);
        if sink.boundary(*key) {
            sink.cut()?;
        }
    }
    Ok(())
}

fn pack(units: &[Unit], previous: Option<Previous>, options: Options) -> (Vec<u8>, Packed) {
    quietly(|run| {
        let mut packer = Packer::new(Vec::new(), previous, options, run).unwrap();
        feed(&mut packer, units).unwrap();
        packer.finish().unwrap()
    })
}

fn unpack(artifact: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Unpacker::new(artifact).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes an artifact and its index into `dir`.
fn keep(dir: &Path, artifact: &[u8], packed: &Packed) -> PathBuf {
    let path = dir.join("104711_kasse.sql.gz");
    std::fs::write(&path, artifact).unwrap();
    std::fs::write(index_path(&path), packed.index.to_bytes()).unwrap();
    path
}

fn open(path: &Path, options: Options) -> Option<Previous> {
    quietly(|run| Previous::open(path, &options, &run)).unwrap()
}
