//! The look at a stick: boot sectors, FAT, MBR and GPT. It stays within its limits whatever it reads, and what it tells
//! fits the medium. It cannot write: what it is given has no way to.

use std::cell::Cell;
use std::io;

use super::Image;
use tillstick::policy::stick::{DeviceFacts, Look, StickFacts, StickRules, Verdict, VerdictKind, VolumeFacts, judge};
use tillstick::stick::probe::{Limits, ReadAt, probe};

/// What ARCHITECTURE.md promises.
const READS_MAX: u32 = 2_000;
const BYTES_MAX: u64 = 4 << 20;
const VOLUMES_MAX: usize = 17;
const NAMES_MAX: usize = 512;
const BOXES_MAX: usize = 64;

/// Counts what is read.
struct Counted<'a> {
    image: &'a Image,
    reads: Cell<u32>,
    bytes: Cell<u64>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset.checked_add(buf.len() as u64);
        assert!(end.is_some_and(|end| end <= self.image.size), "it reads behind the end, at {offset}");
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + buf.len() as u64);
        self.image.read_at(offset, buf)
    }
}

pub(super) fn run(data: &[u8]) {
    look(&Image::decode(data));
}

/// Probes and judges; the verdict holds what it must.
pub(super) fn look(image: &Image) -> (StickFacts, Verdict) {
    let counted = Counted { image, reads: Cell::new(0), bytes: Cell::new(0) };
    let found = probe(&counted, image.size, &Limits::default());
    assert!(counted.reads.get() <= READS_MAX, "{} reads", counted.reads.get());
    assert!(counted.bytes.get() <= BYTES_MAX, "{} bytes are read", counted.bytes.get());
    let device = DeviceFacts { size: image.size, removable: Some(true), is_image: true, ..DeviceFacts::default() };
    let mut facts = StickFacts { device, look: Look::Done, ..StickFacts::default() };
    match found {
        Ok((table, volumes)) => (facts.table, facts.volumes) = (table, volumes),
        Err(error) => facts.look = Look::Failed(error.report()),
    }
    assert!(facts.volumes.len() <= VOLUMES_MAX);
    facts.volumes.iter().for_each(|volume| fits(volume, image.size));
    let verdict = judge(&facts, &StickRules::default());
    if let VerdictKind::Usable { volume } = &verdict.kind {
        let volume = &facts.volumes[*volume];
        assert_eq!(volume.problem, None, "it is usable all the same");
        assert!(volume.declared_size <= volume.size, "{volume:?} claims more than there is");
    }
    (facts, verdict)
}

fn fits(volume: &VolumeFacts, size: u64) {
    let inside = volume.offset.checked_add(volume.size).is_some_and(|end| end <= size) || volume.size == 0;
    assert!(inside, "{volume:?} lies outside of {size} bytes");
    assert!(volume.root.len() <= NAMES_MAX && volume.boxes.len() <= BOXES_MAX);
    assert!(volume.free.is_none_or(|free| free <= volume.declared_size));
    assert!(volume.owner.is_none() || volume.owner_problem.is_none());
}
