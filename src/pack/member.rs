//! What a gzip member (RFC 1952) has around its deflated data. Pure.

/// The header of every artifact: deflate, no flags, no time and an unknown system, so that equal texts give equal bytes.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The empty final block that ends the deflated data after a byte-aligned chunk.
pub(super) const FINAL_BLOCK: [u8; 2] = [3, 0];

/// The size of the trailer, in bytes.
pub(super) const TRAILER_LEN: usize = 8;

/// What an artifact has beside its chunks, in bytes.
pub(super) const FRAME_LEN: u64 = (HEADER.len() + FINAL_BLOCK.len() + TRAILER_LEN) as u64;

/// The text's CRC-32 and its length: what a gzip trailer tells.
#[derive(Debug, Clone, Default)]
pub(super) struct TextSum {
    crc: crc32fast::Hasher,
    length: u64,
}

impl TextSum {
    /// Adds text.
    pub(super) fn update(&mut self, text: &[u8]) {
        self.crc.update(text);
        self.length += text.len() as u64;
    }

    /// Adds a chunk of `length` bytes whose CRC-32 is known.
    pub(super) fn append(&mut self, crc: u32, length: u32) {
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(crc, u64::from(length)));
        self.length += u64::from(length);
    }

    /// The text's CRC-32.
    pub(super) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// The text's length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The trailer: the CRC-32 and the length modulo 2^32, little-endian.
    pub(super) fn trailer(&self) -> [u8; TRAILER_LEN] {
        let crc = u64::from(self.crc());
        (self.length << 32 | crc).to_le_bytes()
    }
}

/// The CRC-32 in a trailer.
pub(super) fn trailer_crc(trailer: [u8; TRAILER_LEN]) -> u32 {
    let [a, b, c, d, ..] = trailer;
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_of_chunks_is_that_of_the_whole_text() {
        let mut whole = TextSum::default();
        whole.update(b"till 1;till 2;");
        let mut chunks = TextSum::default();
        for chunk in [&b"till 1;"[..], b"", b"till 2;"] {
            chunks.append(crc32fast::hash(chunk), chunk.len() as u32);
        }
        assert_eq!(chunks.trailer(), whole.trailer());
        assert_eq!(trailer_crc(whole.trailer()), crc32fast::hash(b"till 1;till 2;"));
    }

    #[test]
    fn the_length_of_a_text_past_4_gib_wraps_as_gzip_wants() {
        let mut sum = TextSum::default();
        (0..5).for_each(|_| sum.append(0, 1 << 30));
        sum.append(0, 7);
        assert_eq!(sum.trailer()[4..], ((1_u32 << 30) + 7).to_le_bytes());
    }
}
