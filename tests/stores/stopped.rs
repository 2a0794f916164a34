//! Ctrl-C while a server is silent.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::contract::Subject;
use crate::kit::{Box, Ran};
use crate::line::Proxy;
use crate::running::comes;

/// A copy whose line is silent after so many bytes is stopped at once, and is there when it is made again.
pub(crate) fn ends_at_once(store: &dyn Subject, proxy: &Proxy, stalls: &[i64]) {
    let site = Box::large();
    site.configure("", &format!("[stores.away]\n{}\n", store.table()));
    site.run(&["backup", "--no-copy"]).exits(0);
    for stall in stalls {
        proxy.stall_after(*stall);
        let before = proxy.connections();
        let mut copying = site.start(&["copy"]);
        assert!(comes(|| proxy.connections() > before));
        thread::sleep(Duration::from_millis(500));
        kill(Pid::from_raw(copying.id().cast_signed()), Signal::SIGINT).unwrap();
        let ended = comes(|| copying.try_wait().unwrap().is_some());
        copying.kill().unwrap();
        let ran: Ran = copying.wait_with_output().unwrap().into();
        assert!(ended, "{stall}: it waits for the server: {}", ran.err);
        ran.exits(130).says(&["stopped before it was finished"]);
        proxy.mend();
    }
    site.run(&["copy"]).exits(0);
    site.run(&["check", "--store", "away", "--read"]).exits(0);
}
