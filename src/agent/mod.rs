//! The agent: one loop that sleeps until something happens, and threads that do what takes time.
//!
//! ```text
//! a disk came -> look (thread) -> waits ─┐
//! a run is due, somebody asks ───────────┴> cycle (thread): dump -> copies (a thread each) -> light, sound, answer
//! ```
//! The loop itself touches no device: whatever could block on one runs in a thread and hands its result in.

mod answers;
pub mod control;
mod cycle;
mod disks;
mod plugs;
mod post;
mod status;
mod teller;
mod timetable;

pub use status::{AgentStatus, Live, Stick, StickStatus};

use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal as OsSignal;

use crate::error::{Context, Error, Kind, Result};
use crate::host::wake::{Alarm, Signals, Waker};
use crate::job::Site;
use crate::job::list;
use crate::model::{Cancel, Event, Stage};
use crate::stick::mount as shown;
use crate::stick::watch::{Disks, Watch};
use control::{ClientId, Server};
use plugs::Plugs;
use post::{Message, Post};
use teller::Teller;
use timetable::Timetable;

/// How long a run that was asked to end may take; then the process ends all the same, and nothing is lost by it.
const STOP_MAX: Duration = Duration::from_millis(4500);

/// The running agent.
struct Agent {
    site: Arc<Site>,
    watch: Watch,
    /// What was plugged in at the last look.
    disks: Disks,
    /// When to look again, if not at the next event.
    look_at: Option<Instant>,
    looked_at: Option<Instant>,
    plugs: Arc<Mutex<Plugs>>,
    post: Post,
    mail: Receiver<Message>,
    waker: Waker,
    alarm: Alarm,
    server: Server,
    teller: Teller,
    timetable: Timetable,
    started: Instant,
    /// When to ask the timetable again, where no moment of the wall clock is known.
    ask_at: Option<Instant>,
    /// The cycle that is running.
    cycle: Option<Cancel>,
    /// How many cycles were started.
    cycles: u64,
    /// Who waits for the end of which cycle.
    waiting: Vec<(ClientId, u64)>,
    /// What the cycle is doing.
    stage: Option<Stage>,
    /// A backup was asked for.
    wanted: bool,
    /// When the newest backup was begun.
    newest: Option<Timestamp>,
    /// Until when all is well by itself.
    green_until: Option<Timestamp>,
    /// A backup or its copy is overdue.
    overdue: bool,
    /// What the last person who did something should know.
    trouble: Option<String>,
    /// When to end at the latest, once it was asked for.
    stop_at: Option<Instant>,
}

/// Runs the agent until a signal ends it.
///
/// # Errors
/// That it cannot start, or that it must end because one of its threads died.
pub fn run(site: Site) -> Result<()> {
    // Before any thread is there: they inherit it.
    let signals = Signals::take()?;
    let (post, mail, waker) = Post::new()?;
    let config = &site.config;
    let server = Server::open(&config.agent.socket, config.agent.group.as_deref())?;
    for line in shown::sweep(&config.state)? {
        log::warn!("{line}");
    }
    let mut agent = Agent {
        watch: Watch::open()?,
        alarm: Alarm::new()?,
        server,
        teller: Teller::new(&config.feedback, config.zone()?),
        timetable: Timetable::open(config)?,
        site: Arc::new(site),
        disks: Disks::new(),
        look_at: None,
        looked_at: None,
        plugs: Arc::default(),
        post,
        mail,
        waker,
        started: Instant::now(),
        ask_at: None,
        cycle: None,
        cycles: 0,
        waiting: Vec::new(),
        stage: None,
        wanted: false,
        newest: None,
        green_until: None,
        overdue: false,
        trouble: None,
        stop_at: None,
    };
    agent.take_stock();
    agent.look(false);
    log::info!("box {:?} is ready", agent.site.config.box_name.as_str());
    let ended = agent.turn(&signals);
    agent.hide_all();
    ended
}

impl Agent {
    fn turn(&mut self, signals: &Signals) -> Result<()> {
        loop {
            self.keep_time()?;
            self.start_what_is_wanted()?;
            self.show();
            if self.is_over() {
                return Ok(());
            }
            self.sleep(signals)?;
            while let Some(signal) = signals.next() {
                self.on_signal(signal);
            }
            self.waker.clear();
            while let Ok(message) = self.mail.try_recv() {
                self.take(message)?;
            }
            let seen = self.watch.drain();
            if seen || self.look_at.is_some_and(|at| at <= Instant::now()) {
                self.look_soon();
            }
            self.alarm.clear();
            if self.green_until.is_some_and(|until| until <= Timestamp::now()) {
                self.take_stock();
            }
            self.serve()?;
        }
    }

    /// Returns when something happened, or a deadline passed.
    fn sleep(&self, signals: &Signals) -> Result<()> {
        let next = [self.look_at, self.ask_at, self.stop_at].into_iter().flatten().min();
        let timeout = match next.map(|at| at.saturating_duration_since(Instant::now())) {
            // Rounded up: a deadline that is not quite there would only be waited for again.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let own = [signals.as_fd(), self.waker.as_fd(), self.watch.as_fd(), self.alarm.as_fd()];
        let own = own.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).into_iter();
        let asking = self.server.descriptors().into_iter().map(|(fd, writes)| {
            let output = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFd::new(fd, PollFlags::POLLIN | output)
        });
        let mut fds: Vec<PollFd> = own.chain(asking).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context(|| "cannot wait for events".into()),
        }
    }

    /// Looks how the backups stand: at the start, after each cycle, and when something becomes overdue.
    fn take_stock(&mut self) {
        match list::status(&self.site, Timestamp::now()) {
            Ok(status) => {
                self.newest = status.newest.and_then(|listed| listed.started);
                self.green_until = status.green_until;
                self.overdue = !status.green;
            }
            Err(error) => log::error!("{}", error.report()),
        }
    }

    fn on_signal(&mut self, signal: OsSignal) {
        log::info!("{signal}: ending");
        self.stop_at = Some(Instant::now() + STOP_MAX);
        if let Some(cancel) = &self.cycle {
            cancel.cancel();
        }
    }

    fn is_over(&self) -> bool {
        self.stop_at.is_some_and(|at| self.cycle.is_none() || at <= Instant::now())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Looked(key, looked) => self.looked(&key, looked),
            Message::Progress(key, event) => {
                if let Event::Begin { stage, .. } = &event {
                    self.stage = Some(*stage);
                }
                self.hand_on(key, event);
            }
            Message::Copied(key, copied, stale) => self.copied(&key, *copied, stale),
            Message::CycleOver(ended) => self.cycle_over(ended),
            Message::Answer(client, reply) => self.server.answer(client, &reply),
            Message::Note(line) => log::info!("{line}"),
            Message::Died(name) => {
                return Err(Error::new(Kind::Io, format!("the thread {name:?} of the agent died")));
            }
        }
        Ok(())
    }

    fn plugs(&self) -> MutexGuard<'_, Plugs> {
        self.plugs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What we mounted is taken away at the end: nobody would unmount it when its stick is pulled.
    fn hide_all(&self) {
        let shown: Vec<_> = self.plugs().iter().filter_map(|(_, plug)| plug.shown_at.clone()).collect();
        for at in shown {
            match shown::give_up(&self.site.config.state, &at) {
                Ok(how) => log::info!("unmounted {at:?} ({how:?})"),
                Err(error) => log::error!("{}", error.report()),
            }
        }
    }
}
