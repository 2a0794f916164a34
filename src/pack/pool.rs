//! A few threads that work off jobs and give the results back in the order of the jobs. Knows nothing of packing.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::error::{Context, Error, Kind, Result};

/// Threads with room for a bounded number of jobs. Dropping it ends them after the job at hand.
#[derive(Debug)]
pub(super) struct Pool<J, D> {
    jobs: Option<SyncSender<(u64, J)>>,
    done: Receiver<(u64, Result<D>)>,
    /// The results of jobs `first..`, as far as they are known.
    results: VecDeque<Option<Result<D>>>,
    first: u64,
    room: usize,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<J: Send + 'static, D: Send + 'static> Pool<J, D> {
    /// One thread for each of `workers`, and room for `room` jobs, finished ones included until they are taken.
    pub(super) fn start<F>(workers: Vec<F>, room: usize) -> Result<Self>
    where
        F: FnMut(J) -> Result<D> + Send + 'static,
    {
        let (jobs, queue) = sync_channel(room);
        let (report, done) = sync_channel(room);
        let queue = Arc::new(Mutex::new(queue));
        let stop = Arc::new(AtomicBool::new(false));
        let (results, threads) = (VecDeque::with_capacity(room), Vec::with_capacity(workers.len()));
        let mut pool = Self { jobs: Some(jobs), done, results, first: 0, room, stop, threads };
        for mut worker in workers {
            let (queue, report, stop) = (Arc::clone(&queue), report.clone(), Arc::clone(&pool.stop));
            let thread = std::thread::Builder::new()
                .name("pack".into())
                .spawn(move || work(&mut worker, &queue, &report, &stop))
                .context(|| "cannot start a thread for packing".into())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Tells whether the oldest result must be taken before another job is given.
    pub(super) fn is_full(&self) -> bool {
        self.results.len() >= self.room
    }

    /// Gives a job; the pool must not be full.
    pub(super) fn submit(&mut self, job: J) -> Result<()> {
        let number = self.first + self.results.len() as u64;
        self.jobs.as_ref().and_then(|jobs| jobs.send((number, job)).ok()).ok_or_else(gone)?;
        self.results.push_back(None);
        Ok(())
    }

    /// The oldest job's result, waiting for it; `None` when no job is left.
    pub(super) fn wait(&mut self) -> Result<Option<D>> {
        while let Some(None) = self.results.front() {
            let (number, result) = self.done.recv().map_err(|_| gone())?;
            self.keep(number, result);
        }
        self.take()
    }

    /// The oldest job's result, if it is finished.
    pub(super) fn poll(&mut self) -> Result<Option<D>> {
        loop {
            match self.done.try_recv() {
                Ok((number, result)) => self.keep(number, result),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
        match self.results.front() {
            Some(Some(_)) => self.take(),
            _ => Ok(None),
        }
    }

    fn keep(&mut self, number: u64, result: Result<D>) {
        // The place exists: it is made when the job is given and goes only with its result.
        let place = number.checked_sub(self.first).and_then(|place| self.results.get_mut(place as usize));
        if let Some(place) = place {
            *place = Some(result);
        }
    }

    fn take(&mut self) -> Result<Option<D>> {
        self.first += u64::from(!self.results.is_empty());
        self.results.pop_front().flatten().transpose()
    }
}

impl<J, D> Drop for Pool<J, D> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic was caught and reported with its job.
            let _ = thread.join();
        }
    }
}

fn work<J, D>(
    worker: &mut impl FnMut(J) -> Result<D>,
    queue: &Mutex<Receiver<(u64, J)>>,
    report: &SyncSender<(u64, Result<D>)>,
    stop: &AtomicBool,
) {
    loop {
        let Ok(Ok((number, job))) = queue.lock().map(|queue| queue.recv()) else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // Without the catch the others would live on and the result would be awaited for ever. After a panic the
        // worker is used no more: its state may be half changed.
        let result = catch_unwind(AssertUnwindSafe(|| worker(job)));
        let broken = result.is_err();
        let result = result.unwrap_or_else(|_| Err(Error::new(Kind::Io, "a packing thread failed unexpectedly")));
        if report.send((number, result)).is_err() || broken {
            return;
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Io, "all packing threads have ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn slow_for_even(n: u64) -> Result<u64> {
        if n == 13 {
            panic!("thirteen");
        }
        std::thread::sleep(Duration::from_millis(if n.is_multiple_of(2) { 3 } else { 0 }));
        Ok(n)
    }

    fn run(numbers: std::ops::Range<u64>, threads: usize) -> Result<Vec<u64>> {
        let mut pool = Pool::start(vec![slow_for_even; threads], 4)?;
        let mut results = Vec::new();
        for n in numbers {
            if pool.is_full() {
                results.extend(pool.wait()?);
            }
            pool.submit(n)?;
            results.extend(pool.poll()?);
        }
        while let Some(n) = pool.wait()? {
            results.push(n);
        }
        Ok(results)
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        assert_eq!(run(20..60, 3).unwrap(), (20..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error_and_not_a_hang() {
        for threads in [1, 3] {
            let error = run(0..40, threads).unwrap_err();
            assert!(error.to_string().contains("packing thread"), "{error}");
        }
    }

    #[test]
    fn dropping_a_busy_pool_does_not_work_off_its_jobs() {
        let count = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&count);
        let worker = move |()| {
            *counter.lock().unwrap() += 1;
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        let mut pool = Pool::start(vec![worker], 50).unwrap();
        (0..50).for_each(|_| pool.submit(()).unwrap());
        drop(pool);
        assert!(*count.lock().unwrap() < 5);
    }
}
