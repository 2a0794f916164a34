//! One contract for every kind of store, on what each kind is in the end; and the verbs over them.
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod kit;
#[path = "../proof/mod.rs"]
mod proof;
#[path = "../agent/running.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent")]
mod running;
#[path = "../till/mod.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod till;

mod contract;
mod directory;
#[cfg(feature = "s3")]
mod far;
#[cfg(feature = "s3")]
mod proxy;
mod queue;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod servers;
mod verbs;
