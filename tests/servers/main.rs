//! Real servers: MariaDB and PostgreSQL of Debian, started by the tests themselves in temporary folders. `make test-servers`
//! unpacks them first.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod after;
mod cut_short;
mod kit;
mod large;
mod mariadb;
mod postgresql;
mod private;
#[path = "../proof/mod.rs"]
mod proof;
mod several;
mod struck;
