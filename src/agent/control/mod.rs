//! The control socket: lines of JSON, documented in docs/PROTOCOL.md for the programs of others.

mod client;
mod protocol;
mod server;

pub use client::Connection;
pub use protocol::{Enrolling, Reply, Request, VERSION};
pub(super) use server::{Asked, ClientId, Server};
