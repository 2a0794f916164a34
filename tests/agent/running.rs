//! A box with an agent that runs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::kit::Box;

/// Longer than anything here takes on the slowest machine; a test that waits so long has failed.
const NEVER: Duration = Duration::from_secs(60);

pub(crate) struct Agent {
    process: Child,
    socket: PathBuf,
}

pub(crate) fn socket(site: &Box) -> PathBuf {
    site.path("agent.sock")
}

/// The program as it runs on the box.
pub(crate) fn agent(site: &Box) -> Command {
    site.command(&["agent", &format!("--accepted={}", site.path("accepted.toml").display())])
}

/// Configures the box for an agent; `rest` are whole tables.
pub(crate) fn configure(site: &Box, rest: &str) {
    let agent = format!("[agent]\nsocket = {:?}\n{rest}", socket(site));
    site.configure("", &agent);
}

/// No backup unless somebody asks.
pub(crate) const BY_HAND: &str = "[schedule]\nenabled = false\n";

impl Agent {
    pub(crate) fn start(site: &Box) -> Self {
        Self::of(site, agent(site))
    }

    /// The same by another command.
    pub(crate) fn of(site: &Box, mut command: Command) -> Self {
        command.arg("-v");
        let log = std::fs::File::create(site.path("agent.log")).unwrap();
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut agent = Self { process, socket: socket(site) };
        let mut ended = None;
        let answers = comes(|| {
            ended = agent.process.try_wait().unwrap();
            ended.is_some() || UnixStream::connect(&agent.socket).is_ok()
        });
        assert!(answers && ended.is_none(), "{}", agent.log(site));
        agent
    }

    pub(crate) fn log(&self, site: &Box) -> String {
        std::fs::read_to_string(site.path("agent.log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap())
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    pub(crate) fn talk(&self) -> Talk {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(NEVER)).unwrap();
        Talk(BufReader::new(stream))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection of a program that is not ours.
pub(crate) struct Talk(BufReader<UnixStream>);

impl Talk {
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    /// The next line of the answer; `None` when the agent hung up.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    /// Hears until the answer is complete: what was told of progress, and the last line.
    pub(crate) fn answer(&mut self) -> (Vec<Value>, Value) {
        let mut progress = Vec::new();
        loop {
            let line = self.hear().expect("the agent answers");
            if line.get("progress").is_none() {
                return (progress, line);
            }
            progress.push(line);
        }
    }
}

/// Waits for something that happens soon; how soon is not the question.
pub(crate) fn comes(mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + NEVER;
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
