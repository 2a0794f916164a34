//! (room to come)

pub mod space;
