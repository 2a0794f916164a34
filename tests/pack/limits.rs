//! Full disks, cancelled runs and huge texts: nothing hangs, nothing grows.

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tillstick::error::Kind;
use tillstick::model::{Cancel, Event, Monitor, Quiet, Run, Sink};
use tillstick::pack::{Options, Packer, verify};

use crate::{SMALL, feed, pack, quietly, row, rows};

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 if !bytes.is_empty() => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_as_such_wherever_it_happens() {
    let units = rows(0..1500);
    let (artifact, _) = pack(&units, None, SMALL);
    for room in (0..artifact.len()).step_by(997).chain(artifact.len() - 12..artifact.len()) {
        let error = quietly(|run| {
            let mut packer = Packer::new(Disk(room), None, SMALL, run)?;
            feed(&mut packer, &units)?;
            packer.finish().map(|_| ())
        })
        .unwrap_err();
        assert_eq!(error.kind(), Kind::NoSpace, "room for {room} bytes");
    }
}

#[test]
fn a_source_that_ignores_a_failure_gets_no_artifact() {
    /// Fails once and then never again.
    struct Hiccup(u32);
    impl Write for Hiccup {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 == 9 { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    quietly(|run| {
        let mut packer = Packer::new(Hiccup(0), None, SMALL, run).unwrap();
        let failures = rows(0..1500).into_iter().filter(|unit| feed(&mut packer, std::slice::from_ref(unit)).is_err());
        assert!(failures.count() > 1);
        assert!(packer.finish().is_err());
    });
}

#[test]
fn a_cancelled_run_ends_at_the_next_cut_and_its_threads_at_once() {
    let cancel = Cancel::default();
    let run = Run { monitor: &Quiet, cancel: &cancel };
    let mut packer = Packer::new(Vec::new(), None, Options { level: 8, ..Options::default() }, run).unwrap();
    feed(&mut packer, &rows(0..20_000)).unwrap();
    cancel.cancel();
    let start = Instant::now();
    packer.text().extend_from_slice(b"more");
    assert_eq!(packer.cut().unwrap_err().kind(), Kind::Cancelled);
    assert!(packer.finish().is_err());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    let (artifact, _) = pack(&rows(0..100), None, SMALL);
    assert_eq!(verify(&artifact[..], &run).unwrap_err().kind(), Kind::Cancelled);
}

#[test]
fn progress_grows_and_ends_at_the_size_of_the_text() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<u64>>);
    impl Monitor for Heard {
        fn event(&self, event: Event) {
            if let Event::Progress { done } = event {
                self.0.lock().unwrap().push(done);
            }
        }
    }
    let (heard, cancel) = (Heard::default(), Cancel::default());
    let mut packer = Packer::new(Vec::new(), None, SMALL, Run { monitor: &heard, cancel: &cancel }).unwrap();
    feed(&mut packer, &rows(0..2000)).unwrap();
    let (_, packed) = packer.finish().unwrap();
    let heard = heard.0.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.len() > 50);
    assert_eq!(heard.last(), Some(&packed.text.size));
}

/// The most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn memory_does_not_grow_with_the_text() {
    // Run in a process of its own: the peak of this one is that of all tests.
    const CHILD: &str = "TILLSTICK_TEST_MEMORY_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let name = "limits::memory_does_not_grow_with_the_text";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(child.success());
        return;
    }
    let before = peak();
    quietly(|run| {
        let options = Options { level: 1, threads: 4, ..Options::default() };
        let mut packer = Packer::new(io::sink(), None, options, run).unwrap();
        for id in 0..1_000_000 {
            feed(&mut packer, &[row(id)]).unwrap();
        }
        let (_, packed) = packer.finish().unwrap();
        assert!(packed.text.size > 90 << 20);
    });
    let grown = peak() - before;
    assert!(grown < 12 << 20, "grew by {} KiB", grown >> 10);
}
