//! What is shown to a user of the box, one function each. To add one: a function whose name says what is true, and its
//! name in the list of its file.

mod plugging;

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
    [plugging::ALL].into_iter().flatten().collect()
}
