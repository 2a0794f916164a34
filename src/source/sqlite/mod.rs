//! (room to come)
pub mod load;
