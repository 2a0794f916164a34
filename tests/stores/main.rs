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
mod delta;
mod directory;
mod mounted;
mod queue;
mod verbs;

// What has a server: `make test-stores`, with all features.
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod far;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod ftp;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod ftpd;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod hosted;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod line;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod locked;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod others;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod s3;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod servers;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod sftp;
#[cfg(all(feature = "ftp", feature = "s3", feature = "sftp"))]
mod stopped;

#[cfg(all(feature = "encryption", feature = "ftp", feature = "s3", feature = "sftp"))]
mod sealed;
