//! Probing real images: made by the formatters that people use, damaged by hand, and at random.

mod damaged;
mod device;
mod images;
mod kit;
mod owners;
