//! A program of the box's owner that is started for each signal: for a display, a lamp on the network, a sound card.
//! It is told the signal and nothing that is secret, has little time, and nothing ever waits for it.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::child::Started;
use crate::policy::signal::Signal;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Signals that wait for their turn; when there are more, the oldest is passed over.
const WAITING_MAX: usize = 16;

enum News {
    Signal(Signal),
    /// The program that was started as this one of all has ended.
    Over(u64),
    Stop,
}

/// Starts the program for each signal until it is dropped; one that runs then is killed.
pub(super) struct Announcer {
    news: Sender<News>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    /// `argv` is the program with its arguments; the signal's name becomes the last one.
    pub(super) fn start(argv: &[String]) -> Option<Self> {
        if argv.is_empty() {
            return None;
        }
        let (news, heard) = channel();
        let argv = argv.to_vec();
        let own = news.clone();
        let thread = thread::Builder::new().name("command".into()).spawn(move || announce(&argv, &own, &heard)).ok()?;
        Some(Self { news, thread: Some(thread) })
    }

    pub(super) fn tell(&self, signal: Signal) {
        let _ = self.news.send(News::Signal(signal));
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let _ = self.news.send(News::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn announce(argv: &[String], own: &Sender<News>, heard: &Receiver<News>) {
    let mut waiting = VecDeque::new();
    let mut number = 0;
    loop {
        let signal = match waiting.pop_front() {
            Some(signal) => signal,
            None => match heard.recv() {
                Ok(News::Signal(signal)) => signal,
                Ok(News::Over(_)) => continue,
                Ok(News::Stop) | Err(_) => return,
            },
        };
        number += 1;
        let Some(started) = begin(argv, own, signal, number) else { continue };
        let ended = wait(heard, number, &mut waiting);
        if !matches!(ended, Ended::ByItself) {
            started.kill();
        }
        match (started.reap(), &ended) {
            (_, Ended::Late) => {
                log::warn!("the feedback.command {:?} was killed: it took longer than {TIME_MAX:?}", argv[0]);
            }
            (Err(error), Ended::ByItself) => log::warn!("{}", error.report()),
            _ => {}
        }
        if matches!(ended, Ended::Stopped) {
            return;
        }
    }
}

fn begin(argv: &[String], own: &Sender<News>, signal: Signal, number: u64) -> Option<Started> {
    let mut argv = argv.to_vec();
    argv.push(signal.name().to_owned());
    let alarm = if signal.pattern().alarm { "1" } else { "0" };
    let env = [("TILLSTICK_SIGNAL", signal.name().to_owned()), ("TILLSTICK_ALARM", alarm.to_owned())];
    let over = own.clone();
    let begun = Started::begin(&argv, &env).and_then(|started| {
        let watched = started.when_over(move || drop(over.send(News::Over(number))));
        watched.inspect_err(|_| started.kill())?;
        Ok(started)
    });
    begun.inspect_err(|error| log::warn!("{}", error.report())).ok()
}

enum Ended {
    ByItself,
    Late,
    Stopped,
}

fn wait(heard: &Receiver<News>, number: u64, waiting: &mut VecDeque<Signal>) -> Ended {
    let end = Instant::now() + TIME_MAX;
    loop {
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(News::Over(over)) if over == number => return Ended::ByItself,
            // Of one that was killed.
            Ok(News::Over(_)) => {}
            Ok(News::Signal(signal)) => {
                if waiting.len() == WAITING_MAX {
                    log::warn!("the feedback.command is too slow: a signal is passed over");
                    waiting.pop_front();
                }
                waiting.push_back(signal);
            }
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return Ended::Stopped,
            Err(RecvTimeoutError::Timeout) => return Ended::Late,
        }
    }
}
