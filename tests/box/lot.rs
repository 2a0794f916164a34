//! Numbers by lot: other ones in every run, unless `BOX_SEED` says which.

use std::hash::{BuildHasher, RandomState};

/// splitmix64.
pub struct Lot(u64);

impl Lot {
    /// Says its seed, with which the same is drawn again.
    pub fn new(what: &str) -> Self {
        let given = std::env::var("BOX_SEED").ok().map(|seed| seed.parse().expect("BOX_SEED is a number"));
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()) % 1_000_000);
        println!("{what}: BOX_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
