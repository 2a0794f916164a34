//! What is shown to a user of the box, one function each. To add one: a function whose name says what is true, and its
//! name in the list of its file.

mod agent;
mod bad_media;
mod kernel_writes;
mod plugging;
mod wrong_sticks;

use crate::runner::Scenario;

/// The scenarios of a file, named like their functions.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        pub(super) const ALL: &[crate::runner::Scenario] =
            &[$(crate::runner::Scenario { name: stringify!($name), run: $name }),+];
    };
}
use scenarios;

pub fn all() -> Vec<&'static Scenario> {
    // The longest first.
    [kernel_writes::ALL, agent::ALL, bad_media::ALL, plugging::ALL, wrong_sticks::ALL].into_iter().flatten().collect()
}
