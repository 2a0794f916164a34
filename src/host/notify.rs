//! Tells the service manager how we are (sd_notify): ready, alive, stopping. Where none listens, nothing happens.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket of the service manager.
#[derive(Debug)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that we are alive: half of its patience.
    pub alive_every: Option<Duration>,
}

impl Manager {
    /// Takes what the environment says of it.
    pub fn of_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|name| open(&name));
        let for_us = variable("WATCHDOG_PID").is_none_or(|pid| *pid == *std::process::id().to_string());
        let patience = variable("WATCHDOG_USEC").filter(|_| for_us).and_then(|text| text.to_str()?.parse().ok());
        Self { socket, alive_every: patience.map(|microseconds: u64| Duration::from_micros(microseconds / 2)) }
    }

    /// Everything is set up.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The loop still turns.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not listen is its own problem.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// A path, or with `@` before it a name that is no file.
fn open(name: &OsStr) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    };
    Some((UnixDatagram::unbound().ok()?, address.ok()?))
}
