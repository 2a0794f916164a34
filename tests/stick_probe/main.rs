//! Probing real images: made by the formatters that people use, damaged by hand, and at random.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod apart;
mod damaged;
mod device;
mod images;
mod kit;
mod owners;
