//! What is told to others about runs: pings, and what the runs had to say. A thread does it, one thing after the other, so
//! that no run waits for it; that it fails is a warning and nothing more.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::record::one_line;
use super::runlog::{self, Untold};
use super::{Site, StoreAt};
use crate::config::{Mode, SecretAt};
use crate::error::{Context, Result};
use crate::host::{durable, secret, web};
use crate::journal::{Ended, Outcome, RunKind};
use crate::model::{Cancel, FileName, Quiet, Run};
use crate::policy::redact::redact;
use crate::policy::retry::{self, Try};
use crate::policy::telling;
use crate::store::{self, logs};

/// How long whoever leaves waits for what is still to be told, and when somebody wants it to leave.
const LEAVE: Duration = Duration::from_secs(15);
const HURRY: Duration = Duration::from_secs(2);
/// So many runs are told of at once.
const AT_ONCE: usize = 20;
/// When it was last tried.
const LAST: &str = "runs-told";

/// Something that is to be told.
enum Message {
    Ping(Ping),
    Runs(Box<Runs>, bool),
    /// All before it was told.
    Flush(Sender<()>),
}

/// Asks for the URL that is in `at`, with `path` behind it.
struct Ping {
    at: SecretAt,
    ca_file: Option<PathBuf>,
    path: &'static str,
    body: String,
}

/// Where what runs had to say goes.
struct Runs {
    state: PathBuf,
    store: Option<StoreAt>,
    post: Option<SecretAt>,
    ca_file: Option<PathBuf>,
    of: (FileName, FileName),
}

static WORKER: Mutex<Option<Sender<Message>>> = Mutex::new(None);

fn hand_in(message: Message) {
    let mut worker = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = worker.get_or_insert_with(|| {
        let (sender, messages) = channel();
        let work = move || {
            while let Ok(message) = messages.recv() {
                tell(message);
            }
        };
        if let Err(error) = thread::Builder::new().name("outbox".into()).spawn(work) {
            log::warn!("nothing is told to others: cannot start a thread: {error}");
        }
        sender
    });
    // Without a worker nobody listens, as was said.
    let _ = sender.send(message);
}

/// Waits a while until all is told, and not for long once `cancel` is set.
pub fn settle(cancel: &Cancel) {
    if WORKER.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        return;
    }
    let (done, all_told) = channel();
    hand_in(Message::Flush(done));
    let wait = if cancel.is_cancelled() { HURRY } else { LEAVE };
    if all_told.recv_timeout(wait).is_err() {
        log::warn!("not all is told to others yet: they take long to answer; it is told after the next run");
    }
}

/// A run begins.
pub(super) fn begins(site: &Site, kind: RunKind) {
    ping(site, kind, "/start", String::new());
}

/// A run is over.
pub(super) fn over(site: &Site, kind: RunKind, ended: &Ended) {
    let path = match ended.outcome {
        // The backup was made; a store that gets no copies for too long is told by `status`.
        Outcome::Done | Outcome::Partly => "",
        Outcome::Failed | Outcome::Died => "/fail",
        Outcome::Stopped => "/log",
    };
    let backup = ended.backup.as_ref().map_or(String::new(), |id| format!(" {id}"));
    let why = ended.error.as_ref().map_or(String::new(), |why| format!(": {}", redact(why)));
    ping(site, kind, path, format!("{}{backup} {}{why}\n", kind.name(), ended.outcome.name()));
    if let Some(runs) = Runs::of(site) {
        hand_in(Message::Runs(Box::new(runs), ended.outcome == Outcome::Failed));
    }
}

fn ping(site: &Site, kind: RunKind, path: &'static str, body: String) {
    if let (Some(at), RunKind::Backup, Mode::OffSite) = (&site.config.log.ping_file, kind, site.config.mode) {
        let ca_file = site.config.log.ca_file.clone();
        hand_in(Message::Ping(Ping { at: at.clone(), ca_file, path, body }));
    }
}

fn tell(message: Message) {
    let (told, what) = match message {
        Message::Ping(ping) => (ping.send(), "the ping was not sent"),
        Message::Runs(runs, failed) => (runs.send(failed), "what runs had to say was not told"),
        Message::Flush(done) => {
            // Whoever asked may have left.
            let _ = done.send(());
            return;
        }
    };
    if let Err(error) = told {
        log::warn!("{what}: {}", one_line(&redact(&error.report())));
    }
}

impl Ping {
    fn send(&self) -> Result<()> {
        let url = secret::read(&self.at)?;
        // What is asked of it stays at the end.
        let (place, question) =
            url.split_once('?').map_or((&*url, String::new()), |(place, q)| (place, format!("?{q}")));
        let url = format!("{}{}{question}", place.trim_end_matches('/'), self.path);
        let kind = [("content-type", "text/plain; charset=utf-8")];
        web::post(&url, self.ca_file.as_deref(), &kind, self.body.as_bytes())
    }
}

impl Runs {
    /// Where it goes now. `None` when it goes nowhere, or not at this hour: what is told to one is told to all.
    fn of(site: &Site) -> Option<Self> {
        let config = &site.config;
        let leaves_the_house = config.mode == Mode::OffSite;
        let store = config.log.upload.as_ref().and_then(|name| StoreAt::of(site, name).ok());
        let store = store.filter(|at| at.config.enabled && (leaves_the_house || !at.config.kind.is_off_site()));
        let post = config.log.post_file.clone().filter(|_| leaves_the_house);
        if store.is_none() && post.is_none() {
            return None;
        }
        let hours = store.as_ref().and_then(|at| at.config.hours.as_ref());
        let zone = config.zone().ok()?;
        let now = retry::next(Timestamp::now(), None, hours, &zone) == Try::Now;
        let of = (config.customer.clone(), config.box_name.clone());
        let (state, ca_file) = (config.state.clone(), config.log.ca_file.clone());
        now.then_some(Self { state, store, post, ca_file, of })
    }

    fn send(&self, failed: bool) -> Result<()> {
        let (path, now) = (self.state.join(LAST), Timestamp::now());
        let last = durable::read(&path, 100).ok().and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        if !telling::is_due(now, last, failed) {
            return Ok(());
        }
        let untold = runlog::untold(&self.state, AT_ONCE)?;
        if untold.is_empty() {
            return Ok(());
        }
        durable::write(&path, format!("{now}\n").as_bytes(), 0o600)?;
        self.to_store(&untold)?;
        self.post(&untold)?;
        untold.iter().try_for_each(Untold::is_told)
    }

    fn to_store(&self, untold: &[Untold]) -> Result<()> {
        let Some(at) = &self.store else { return Ok(()) };
        let (of, cancel) = ((&self.of.0, &self.of.1), Cancel::default());
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let mut store = store::open(&at.config, &cancel).context(|| format!("cannot open the store `{}`", at.name))?;
        for run_log in untold {
            logs::put(store.as_mut(), of, &run_log.name, packed(&run_log.lines)?, &run)?;
        }
        match at.config.append_only {
            true => Ok(()),
            false => logs::clear(store.as_mut(), of, &run),
        }
    }

    fn post(&self, untold: &[Untold]) -> Result<()> {
        let Some(at) = &self.post else { return Ok(()) };
        let url = secret::read(at)?;
        let lines: Vec<u8> = untold.iter().flat_map(|run_log| run_log.lines.iter().copied()).collect();
        let kind = [("content-type", "application/x-ndjson"), ("content-encoding", "gzip")];
        web::post(&url, self.ca_file.as_deref(), &kind, &packed(&lines)?)
    }
}

fn packed(lines: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(lines).and_then(|()| gzip.finish()).context(|| "cannot compress what runs had to say".into())
}
