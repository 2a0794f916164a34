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
mod format;
mod plugs;
mod post;
mod senders;
mod status;
mod teller;
mod timetable;

pub use status::{AgentStatus, Live, Stick, StickStatus};

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal as OsSignal;

use crate::config::{Config, Key};
use crate::error::{Context, Error, Kind, Result};
use crate::host::keys::Keys;
use crate::host::notify::Manager;
use crate::host::wake::{Alarm, Signals, Waker};
use crate::job::status::status;
use crate::job::stores::worker::Workers;
use crate::job::{Site, quiesce};
use crate::model::{Cancel, Event, Quiet, Run, Stage};
use crate::policy::signal::Signal;
use crate::stick::mount as shown;
use crate::stick::watch::{Disks, Watch};
use control::{ClientId, Reply, Server};
use plugs::Plugs;
use post::{Message, Post};
use teller::Teller;
use timetable::Timetable;

/// How long a run that was asked to end may take; then the process ends all the same, and nothing is lost by it.
const STOP_MAX: Duration = Duration::from_millis(4500);

/// How long a stop waits for what was stopped for a backup to be started again.
const HELD_MAX: Duration = Duration::from_secs(75);
/// How often it looks meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Somebody wants a stick to be enrolled.
struct WantedStick {
    /// The one at this node, or the next one.
    node: Option<PathBuf>,
    until: Instant,
}

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
    keys: Keys,
    manager: Manager,
    /// When to tell the service manager that the loop still turns.
    alive_at: Option<Instant>,
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
    enrol: Option<WantedStick>,
    /// Those who send to the stores.
    senders: Arc<Workers>,
    /// The stick that is being formatted.
    formatting: Option<Cancel>,
    /// What the last person who did something should know.
    trouble: Option<String>,
    /// Why the box needs somebody, as long as the agent runs.
    problem: Option<String>,
    /// When to end at the latest, once it was asked for.
    stop_at: Option<Instant>,
    /// When to end even though something that was stopped was not started again yet.
    stop_last: Option<Instant>,
}

/// Runs the agent until a signal ends it. `problem` is told to all who ask: the box needs somebody, although it works.
///
/// # Errors
/// That it cannot start, or that it must end because one of its threads died.
pub fn run(site: Site, problem: Option<String>) -> Result<()> {
    // Before any thread is there: they inherit it.
    let signals = Signals::take()?;
    let (post, mail, waker) = Post::new()?;
    let manager = Manager::of_environment();
    let config = &site.config;
    let server = Server::open(&config.agent.socket, config.agent.group.as_deref())?;
    for line in shown::sweep(&config.state)? {
        log::warn!("{line}");
    }
    let mut agent = Agent {
        watch: Watch::open()?,
        alarm: Alarm::new()?,
        keys: Keys::open(&key_codes(config), Path::new("/")),
        alive_at: manager.alive_every.map(|every| Instant::now() + every),
        manager,
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
        enrol: None,
        senders: Arc::default(),
        formatting: None,
        trouble: None,
        problem,
        stop_at: None,
        stop_last: None,
    };
    agent.settle()?;
    agent.take_stock();
    agent.start_senders()?;
    agent.look(false);
    agent.manager.ready();
    log::info!("box {:?} is ready", agent.site.config.box_name.as_str());
    let ended = agent.turn(&signals);
    agent.manager.stopping();
    agent.hide_all();
    ended
}

fn key_codes(config: &Config) -> Vec<u16> {
    [config.agent.backup_key, config.agent.enroll_key].into_iter().flatten().map(|Key(code)| code).collect()
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
            for code in self.keys.pressed() {
                self.on_key(code);
            }
            // Whoever asks now is told what is shown now.
            self.show();
            self.serve()?;
            self.tell_alive();
        }
    }

    /// Returns when something happened, or a deadline passed.
    fn sleep(&self, signals: &Signals) -> Result<()> {
        let next = [self.look_at, self.ask_at, self.alive_at, self.stop_at].into_iter().flatten().min();
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
        let keys = self.keys.descriptors().map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let mut fds: Vec<PollFd> = own.chain(keys).chain(asking).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context(|| "cannot wait for events".into()),
        }
    }

    /// Looks how the backups stand: at the start, after each cycle, and when something becomes overdue.
    fn take_stock(&mut self) {
        let cancel = Cancel::default();
        match status(&self.site, Timestamp::now(), &Run { monitor: &Quiet, cancel: &cancel }) {
            Ok(status) => {
                self.newest = status.newest.and_then(|listed| listed.started);
                self.green_until = status.green_until;
                self.overdue = !status.green;
            }
            Err(error) => log::error!("{}", error.report()),
        }
    }

    fn tell_alive(&mut self) {
        if self.alive_at.is_some_and(|at| at <= Instant::now()) {
            self.manager.alive();
            self.alive_at = self.manager.alive_every.map(|every| Instant::now() + every);
        }
    }

    fn on_key(&mut self, code: u16) {
        let agent = &self.site.config.agent;
        let is = |key: Option<Key>| key == Some(Key(code));
        if is(agent.backup_key) {
            log::info!("a backup is asked for by the key {code}");
            self.wanted = true;
            self.plugs().renew(true);
        } else if is(agent.enroll_key) {
            log::info!("a stick is to be enrolled, by the key {code}");
            self.enroll(None);
            self.teller.sound(Signal::Detected);
        }
    }

    fn on_signal(&mut self, signal: OsSignal) {
        log::info!("{signal}: ending");
        let now = Instant::now();
        self.stop_at = Some(now + STOP_MAX);
        self.stop_last.get_or_insert(now + HELD_MAX);
        for cancel in self.cycle.iter().chain(&self.formatting) {
            cancel.cancel();
        }
        self.senders.cancel.cancel();
        self.senders.wake();
    }

    fn is_over(&mut self) -> bool {
        let idle = self.cycle.is_none() && self.formatting.is_none() && self.senders.are_idle();
        let now = Instant::now();
        let (Some(at), Some(last)) = (self.stop_at, self.stop_last) else { return false };
        // A shop whose web server stays down is worse than a stop that takes longer.
        if !idle && at <= now && now < last && quiesce::is_owed(&self.site.config.state) {
            self.stop_at = Some(now + LOOK_AGAIN);
            return false;
        }
        idle || at <= now
    }

    /// What a run that died had stopped is started again.
    fn settle(&self) -> Result<()> {
        if !quiesce::is_owed(&self.site.config.state) {
            return Ok(());
        }
        let site = Arc::clone(&self.site);
        self.post.spawn("owed", move |_| Message::Note(quiesce::settle(&site, false).join("; ")))
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
            Message::FormatOver(key, client, reply) => self.format_over(&key, client, &reply),
            Message::Formatting(client, event) => self.server.answer(client, &Reply::Progress { stick: None, event }),
            Message::LookAgain(node) => {
                let key = self.plugs().at(&node);
                if let Some(key) = key {
                    self.look_again(&key, false);
                }
            }
            Message::Sender(name, did) => self.sent(&name, &did),
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
