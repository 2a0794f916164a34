//! Tells a person near the box: a light through /sys/class/leds, a beeper through an input device, and a program of the
//! box's owner. A box that has none of them is no error, and neither is one whose light fails: a backup never waits for it.

mod beeper;
pub mod card;
mod command;
mod led;
mod player;

pub use player::Player;
