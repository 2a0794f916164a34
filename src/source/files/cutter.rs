//! Where the content of a file may be cut into chunks: by the content itself, so that what was inserted into a large file
//! moves no cut behind it.

use crate::error::Result;
use crate::model::Sink;

/// The shortest and the longest unit, in bytes; most have about 6 KiB.
const MIN: usize = 2 << 10;
const MAX: usize = 32 << 10;
/// One position in 4096 is a cut.
const MASK: u64 = 0xfff0_0000_0000_0000;

/// A random number for each byte: the sum of the last 64, each shifted by its age, decides.
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut state = 0x7469_6c6c_7374_6963_u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = x ^ (x >> 31);
        at += 1;
    }
    table
};

/// Hands the content of one file to a sink, unit by unit.
#[derive(Default)]
pub(super) struct Cutter {
    hash: u64,
    length: usize,
}

impl Cutter {
    pub(super) fn push(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        while let Some(end) = self.cut(bytes) {
            sink.text().extend_from_slice(&bytes[..end]);
            bytes = &bytes[end..];
            if sink.boundary(self.hash) {
                sink.cut()?;
            }
            *self = Self::default();
        }
        sink.text().extend_from_slice(bytes);
        Ok(())
    }

    /// Where the unit ends, if it does in these bytes.
    fn cut(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            self.length += 1;
            if self.length >= MIN && self.hash & MASK == 0 || self.length == MAX {
                return Some(at + 1);
            }
        }
        None
    }
}
