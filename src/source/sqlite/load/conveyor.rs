//! The two ends between reader and loader. A few parcels go round, so that memory is bounded: full ones one way, empty
//! ones back.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::parcel::Parcel;
use super::reader::Ending;
use crate::error::{Error, Kind, Result};
use crate::model::Run;

/// How many go round, besides the one that the reader fills.
const PARCELS: usize = 3;

/// How long a slow reader may keep a cancelled run from noticing.
const LOOK: Duration = Duration::from_millis(50);

enum Delivery {
    Parcel(Parcel),
    End(Result<Ending>),
}

/// The reader's end.
pub(super) struct Loading {
    full: Sender<Delivery>,
    empty: Receiver<Parcel>,
    spare: Vec<Parcel>,
}

/// The loader's end.
pub(super) struct Unloading {
    full: Receiver<Delivery>,
    empty: Sender<Parcel>,
}

/// What the loader gets.
pub(super) enum Arrival {
    Parcel(Parcel),
    End(Ending),
}

/// Both ends of a new conveyor.
pub(super) fn conveyor() -> (Loading, Unloading) {
    let (full_in, full_out) = channel();
    let (empty_in, empty_out) = channel();
    let spare = (0..PARCELS).map(|_| Parcel::new()).collect();
    (Loading { full: full_in, empty: empty_out, spare }, Unloading { full: full_out, empty: empty_in })
}

impl Loading {
    /// An empty parcel, as soon as there is one. Fails when the loader is gone.
    pub(super) fn next(&mut self) -> Result<Parcel> {
        match self.spare.pop() {
            Some(parcel) => Ok(parcel),
            None => self.empty.recv().map_err(|_| gone()),
        }
    }

    /// Waits until all that was delivered is done, so that what comes next may be large. Fails when the loader is gone.
    pub(super) fn wait_for_all(&mut self) -> Result<()> {
        while self.spare.len() < PARCELS {
            self.spare.push(self.empty.recv().map_err(|_| gone())?);
        }
        Ok(())
    }

    /// Hands over a parcel; fails when the loader is gone.
    pub(super) fn deliver(&self, parcel: Parcel) -> Result<()> {
        self.full.send(Delivery::Parcel(parcel)).map_err(|_| gone())
    }

    /// Says how the text ended.
    pub(super) fn end(&self, ending: Result<Ending>) {
        // The loader may be gone already, with an error of its own.
        let _ = self.full.send(Delivery::End(ending));
    }
}

impl Unloading {
    /// Waits for the next parcel, or the end. Fails with the reader's error, or when the run is cancelled.
    pub(super) fn next(&self, run: &Run) -> Result<Arrival> {
        loop {
            match self.full.recv_timeout(LOOK) {
                Ok(Delivery::Parcel(parcel)) => return Ok(Arrival::Parcel(parcel)),
                Ok(Delivery::End(ending)) => return ending.map(Arrival::End),
                Err(RecvTimeoutError::Timeout) => run.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::Io, "the thread that reads the dump failed unexpectedly"));
                }
            }
        }
    }

    /// Gives a parcel back.
    pub(super) fn give_back(&self, mut parcel: Parcel) {
        parcel.clear();
        // The reader may have ended already.
        let _ = self.empty.send(parcel);
    }
}

/// Nobody sees it: the loader has its own reason to be gone.
fn gone() -> Error {
    Error::new(Kind::Cancelled, "the loader has ended")
}
