//! What the agent does for one store: it works the queue off, newest first, and sleeps until something is due.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::super::record::one_line;
use super::queue::{self, Owed};
use super::{StoreAt, copy, prune};
use crate::error::{Kind, Result};
use crate::job::Site;
use crate::model::{BackupId, Cancel, Quiet, Run};
use crate::policy::retry::{self, Try};

/// Nobody is waited for longer than this without a look: the clock may have been set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What the workers of all stores share with whoever starts them.
#[derive(Debug, Default)]
pub struct Workers {
    turn: Mutex<u64>,
    woken: Condvar,
    busy: AtomicUsize,
    /// Ends them.
    pub cancel: Cancel,
}

/// What a worker did.
#[derive(Debug)]
pub enum Did {
    /// The store has the backup.
    Sent(BackupId),
    /// It has not, for this reason.
    Failed(BackupId, String),
}

impl Workers {
    /// Something is due that was not, or they are to end.
    pub fn wake(&self) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.woken.notify_all();
    }

    /// Whether nothing is being sent.
    pub fn are_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0
    }

    /// Works for one store until it is cancelled.
    pub fn work(&self, site: &Site, at: &StoreAt, told: &dyn Fn(Did)) {
        let begun = queue::start_afresh(site, &at.name).and_then(|()| owe_the_newest(site, at));
        if let Err(error) = begun {
            log::warn!("{}: {}", at.name, one_line(&error.report()));
        }
        let mut seen = 0;
        while !self.cancel.is_cancelled() {
            let wait = match self.next(site, at) {
                Some((owed, None)) => {
                    self.send(site, at, &owed, told);
                    continue;
                }
                Some((_, Some(wait))) => wait.min(LOOK_EVERY),
                // Nothing waits: only somebody can change that.
                None => Duration::MAX,
            };
            seen = self.sleep(seen, wait);
        }
    }

    /// The copy that is to be tried next, and how long to wait for that.
    fn next(&self, site: &Site, at: &StoreAt) -> Option<(Owed, Option<Duration>)> {
        let (now, zone) = (Timestamp::now(), site.config.zone().ok()?);
        let due = queue::waiting(site, &at.name).into_iter().map(|owed| {
            let wait = match retry::next(now, owed.tries().as_ref(), at.config.hours.as_ref(), &zone) {
                Try::Now => None,
                Try::Later(then, _) => Some(then.duration_since(now).try_into().unwrap_or(Duration::ZERO)),
            };
            (owed, wait)
        });
        // The first of those that are due as early: the newest.
        due.min_by_key(|(_, wait)| *wait)
    }

    fn send(&self, site: &Site, at: &StoreAt, owed: &Owed, told: &dyn Fn(Did)) {
        if let Some(why) = would_go(site, at, &owed.id) {
            log::info!("{}: {} is not sent, as it would be removed there at once: {why}", at.name, owed.id);
            match queue::settle(site, &at.name, &owed.id) {
                Ok(()) => return,
                // Then it is sent: there is nothing better to do with it.
                Err(error) => log::warn!("{}: {}", at.name, one_line(&error.report())),
            }
        }
        self.busy.fetch_add(1, Ordering::SeqCst);
        let run = Run { monitor: &Quiet, cancel: &self.cancel };
        let sent = copy::owed(site, at, &owed.id, &run);
        self.busy.fetch_sub(1, Ordering::SeqCst);
        match sent {
            Ok(true) => told(Did::Sent(owed.id.clone())),
            Ok(false) => log::info!("{}: {} is no longer here and is not sent", at.name, owed.id),
            Err(error) if error.kind() == Kind::Cancelled => {}
            Err(error) => told(Did::Failed(owed.id.clone(), one_line(&error.report()))),
        }
    }

    fn sleep(&self, seen: u64, wait: Duration) -> u64 {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = |turn: &mut u64| *turn == seen && !self.cancel.is_cancelled();
        let turn = match wait {
            Duration::MAX => self.woken.wait_while(turn, asleep).unwrap_or_else(PoisonError::into_inner),
            wait => self.woken.wait_timeout_while(turn, wait, asleep).unwrap_or_else(PoisonError::into_inner).0,
        };
        *turn
    }
}

/// Why the backup need not be sent; what cannot be judged is sent.
fn would_go(site: &Site, at: &StoreAt, id: &BackupId) -> Option<String> {
    let waiting: Vec<BackupId> = queue::waiting(site, &at.name).into_iter().map(|owed| owed.id).collect();
    prune::would_go(site, at, id, &waiting).unwrap_or_else(|error| {
        log::warn!("{}: {}", at.name, one_line(&error.report()));
        None
    })
}

/// A queue that was lost, or a store that is new: the newest good backup is owed to it.
fn owe_the_newest(site: &Site, at: &StoreAt) -> Result<()> {
    match copy::newest(site) {
        Ok(newest) if newest.copies().iter().any(|copy| copy.store == at.name.as_str()) => Ok(()),
        Ok(newest) => queue::add(site, &at.name, newest.id(), Timestamp::now()),
        Err(error) if error.kind() == Kind::Missing => Ok(()),
        Err(error) => Err(error),
    }
}
