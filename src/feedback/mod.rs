//! Tells a person near the box: a light through /sys/class/leds, a beeper through an input device. A box that has
//! neither is no error, and neither is one whose light fails: a backup never waits for it.

mod beeper;
mod led;
mod player;

pub use player::Player;
