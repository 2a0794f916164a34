//! A store whose user dies at a chosen step, or takes turns with another one.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tillstick::error::{Error, Kind};
use tillstick::model::Run;
use tillstick::store::{Content, Entry, Ranges, Sent, Store};

use super::Dice;

/// When whoever uses a store dies.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// How many steps were made.
    pub(super) steps: u64,
    /// At which one it dies; and whether that one was still done.
    pub(super) dies: Option<(u64, bool)>,
    pub(super) is_dead: bool,
}

/// Whose turn it is, of two.
pub(super) struct Turns {
    state: Mutex<(usize, [bool; 2], Dice)>,
    changed: Condvar,
}

impl Turns {
    pub(super) fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((0, [false; 2], dice)), changed: Condvar::new() })
    }

    /// Waits for a turn, does one step, and says who is next.
    fn step<T>(&self, me: usize, step: impl FnOnce() -> T) -> T {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |(turn, ended, _): &mut (usize, [bool; 2], Dice)| *turn != me && !ended[1 - me];
        let mut state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        let done = step();
        // Mostly the same one goes on for a while: then one is through much of its work before the other begins.
        if state.2.roll(4) == 0 {
            state.0 = state.2.roll(2) as usize;
        }
        self.changed.notify_all();
        done
    }

    pub(super) fn end(&self, me: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1[me] = true;
        self.changed.notify_all();
    }
}

pub(super) struct Struck {
    pub(super) inner: Box<dyn Store>,
    pub(super) fate: Arc<Mutex<Fate>>,
    pub(super) turns: Option<(Arc<Turns>, usize)>,
}

fn dead() -> Error {
    Error::new(Kind::Io, "dead")
}

impl Struck {
    pub(super) fn new(inner: Box<dyn Store>, dies: Option<(u64, bool)>) -> Self {
        Self { inner, fate: Arc::new(Mutex::new(Fate { dies, ..Fate::default() })), turns: None }
    }

    fn step<T>(&mut self, step: impl FnOnce(&mut dyn Store) -> Result<T, Error>) -> Result<T, Error> {
        let Self { inner, fate, turns } = self;
        let one = || {
            let mut fate = fate.lock().unwrap_or_else(PoisonError::into_inner);
            if fate.is_dead {
                return Err(dead());
            }
            fate.steps += 1;
            match fate.dies {
                Some((at, was_done)) if at == fate.steps => {
                    fate.is_dead = true;
                    if was_done {
                        let _ = step(inner.as_mut());
                    }
                    Err(dead())
                }
                _ => step(inner.as_mut()),
            }
        };
        match turns {
            Some((turns, me)) => turns.step(*me, one),
            None => one(),
        }
    }
}

impl Store for Struck {
    fn medium(&self) -> &str {
        self.inner.medium()
    }

    fn label(&self) -> String {
        self.inner.label()
    }

    fn put(&mut self, path: &str, content: &Content, run: &Run) -> Result<Sent, Error> {
        self.step(|store| store.put(path, content, run))
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.step(|store| store.open(path))
    }

    fn ranges(&mut self) -> Box<dyn Ranges> {
        self.inner.ranges()
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>, Error> {
        self.step(|store| store.list(dir))
    }

    fn delete(&mut self, path: &str) -> Result<(), Error> {
        self.step(|store| store.delete(path))
    }

    /// In as many steps as it has files: nobody removes a folder in one.
    fn delete_dir(&mut self, dir: &str) -> Result<(), Error> {
        for entry in self.list(dir)? {
            let path = format!("{dir}/{}", entry.name);
            match entry.is_dir {
                true => self.delete_dir(&path)?,
                false => self.delete(&path)?,
            }
        }
        self.step(|store| store.delete_dir(dir))
    }

    fn give_up(&mut self, dir: &str, keep: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        self.step(|store| store.give_up(dir, keep))
    }

    fn free(&mut self) -> Result<Option<u64>, Error> {
        self.inner.free()
    }
}
