#![no_main]

#[macro_use]
mod harness;

fuzz!(tillstick_fuzz::CONFIG);
