//! What a stick writes to: its flash, with every way in which flash fails, and a count and a log of what was done to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::PATIENCE;
use crate::disk::{SECTOR, Step};

/// What comes at all mostly comes within this time.
const SOON: Duration = Duration::from_secs(3);

/// How the medium behaves; as it comes it is a good one.
#[derive(Clone, Copy, Default)]
pub struct Behaviour {
    /// From the write with this number on (the first is 0) each one fails with this errno.
    pub fails_from: Option<(u64, i32)>,
    /// From the write with this number on nothing reaches the flash, though the stick says so: it was pulled.
    pub pulled_at: Option<u64>,
    /// The real size, when it says that it is larger: what lies beyond is dropped.
    pub real_size: Option<u64>,
    /// The real size, when it says that it is larger: what lies beyond comes to lie at the beginning.
    pub wraps_at: Option<u64>,
    /// The speed of writing.
    pub bytes_per_second: Option<u64>,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    writes: u64,
    /// Kept from the moment in which somebody asks for it.
    log: Option<Vec<Step>>,
}

/// The content of a stick.
pub struct Medium {
    file: File,
    size: u64,
    state: Mutex<State>,
    wrote: Condvar,
}

impl Medium {
    pub fn open(image: &Path) -> Self {
        let file = File::options().read(true).write(true).open(image).unwrap();
        let size = file.metadata().unwrap().len();
        Self { file, size, state: Mutex::default(), wrote: Condvar::new() }
    }

    /// The size that it tells.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn behaves(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// How many writes arrived since it was made, also those that failed.
    pub fn writes(&self) -> u64 {
        self.state.lock().unwrap().writes
    }

    /// Waits until so many writes have arrived.
    #[track_caller]
    pub fn waits_for_writes(&self, number: u64) {
        let state = self.state.lock().unwrap();
        let (state, late) = self.wrote.wait_timeout_while(state, PATIENCE, |state| state.writes < number).unwrap();
        assert!(!late.timed_out(), "the stick was written to {} times only, not {number}", state.writes);
    }

    /// Whether so many writes arrive soon.
    pub fn sees_writes(&self, number: u64) -> bool {
        let state = self.state.lock().unwrap();
        !self.wrote.wait_timeout_while(state, SOON, |state| state.writes < number).unwrap().1.timed_out()
    }

    /// Keeps what is done from now on.
    pub fn keeps_a_log(&self) {
        self.state.lock().unwrap().log = Some(Vec::new());
    }

    /// How much was done since [`Medium::keeps_a_log`].
    pub fn steps(&self) -> usize {
        self.state.lock().unwrap().log.as_ref().map_or(0, Vec::len)
    }

    /// What was done since [`Medium::keeps_a_log`].
    pub fn take_log(&self) -> Vec<Step> {
        self.state.lock().unwrap().log.take().expect("a log was asked for")
    }

    pub fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let behaviour = self.state.lock().unwrap().behaviour;
        if behaviour.real_size.is_some_and(|size| at >= size) {
            bytes.fill(0);
            return Ok(());
        }
        let Some(end) = behaviour.wraps_at else { return self.file.read_exact_at(bytes, at) };
        let mut sectors = (at..).step_by(SECTOR).zip(bytes.chunks_mut(SECTOR));
        sectors.try_for_each(|(at, sector)| self.file.read_exact_at(sector, at % end))
    }

    /// Takes a write as the stick would.
    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let (number, behaviour) = (state.writes, state.behaviour);
        state.writes += 1;
        self.wrote.notify_all();
        if let Some((_, errno)) = behaviour.fails_from.filter(|(from, _)| number >= *from) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if let Some(log) = &mut state.log {
            log.push(Step::Write(at, bytes.to_vec()));
        }
        // The lock goes first: a slow stick can still be counted and pulled.
        drop(state);
        if let Some(speed) = behaviour.bytes_per_second {
            thread::sleep(Duration::from_micros(bytes.len() as u64 * 1_000_000 / speed));
        }
        let pulled = behaviour.pulled_at.is_some_and(|from| number >= from);
        if pulled || behaviour.real_size.is_some_and(|size| at >= size) {
            return Ok(());
        }
        let Some(end) = behaviour.wraps_at else { return self.file.write_all_at(bytes, at) };
        let mut sectors = (at..).step_by(SECTOR).zip(bytes.chunks(SECTOR));
        sectors.try_for_each(|(at, sector)| self.file.write_all_at(sector, at % end))
    }

    pub fn flush(&self) {
        if let Some(log) = &mut self.state.lock().unwrap().log {
            log.push(Step::Flush);
        }
    }
}
