//! What is shown to a user of the box, one function each. To add one: a function whose name says what is true, and its
//! name in the list of its file.

mod agent;
mod bad_media;
pub mod bench;
mod buttons;
mod failing;
mod identify;
mod kernel_writes;
mod kit;
mod plugging;
mod power_cuts;
mod rules;
mod slow;
mod storms;
pub mod turmoil;
mod udev;
mod wrong_sticks;

use crate::runner::Scenario;

/// The scenarios of a file, named like their functions.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        pub const ALL: &[crate::runner::Scenario] =
            &[$(crate::runner::Scenario { name: stringify!($name), run: $name }),+];
    };
}
use scenarios;

pub fn all() -> Vec<&'static Scenario> {
    // The longest first, and at the very first the one that listens to the speaker for the pitch.
    let parts = [
        plugging::FIRST,
        kernel_writes::ALL,
        power_cuts::ALL,
        storms::ALL,
        turmoil::ALL,
        agent::ALL,
        failing::ALL,
        rules::ALL,
        buttons::ALL,
        identify::ALL,
        slow::ALL,
        udev::ALL,
        bad_media::ALL,
        plugging::ALL,
        wrong_sticks::ALL,
    ];
    parts.into_iter().flatten().collect()
}
