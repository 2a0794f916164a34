//! The layout in which a store gets only what is new.

mod model;
mod seen;
mod shop;
mod struck;
mod world;

use crate::contract::Subject;

/// A store that keeps packs.
pub(crate) struct Packs<'a>(pub(crate) &'a dyn Subject);

impl Subject for Packs<'_> {
    fn table(&self) -> String {
        format!("{}\nlayout = \"delta\"", self.0.table())
    }

    fn sent_again(&self) -> Option<u64> {
        self.0.sent_again()
    }

    fn files(&self) -> Option<Vec<String>> {
        self.0.files()
    }
}

/// A small generator whose sequence never changes.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}
