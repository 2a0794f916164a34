//! QMP, the language in which qemu is told to plug something in, and tells that it is gone.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::PATIENCE;

/// A connection to one qemu.
pub struct Qmp {
    out: UnixStream,
    answers: Receiver<Value>,
    events: Arc<Events>,
}

#[derive(Default)]
struct Events {
    seen: Mutex<VecDeque<Value>>,
    came: Condvar,
}

impl Qmp {
    /// Starts the conversation; all that is said is also written to `log`.
    ///
    /// Fails when qemu ends before it has answered.
    pub fn new(stream: UnixStream, mut log: File) -> Result<Self, String> {
        let (send, answers) = channel();
        let events = Arc::new(Events::default());
        let (input, sink) = (BufReader::new(stream.try_clone().unwrap()), Arc::clone(&events));
        thread::spawn(move || {
            for line in input.lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                let message: Value = serde_json::from_str(&line).expect("qemu writes JSON");
                if message.get("event").is_some() {
                    sink.seen.lock().unwrap().push_back(message);
                    sink.came.notify_all();
                } else if message.get("QMP").is_none() && send.send(message).is_err() {
                    return;
                }
            }
        });
        let qmp = Self { out: stream, answers, events };
        qmp.ask("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command that must succeed.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "it is made for the call")]
    pub fn run(&self, command: &str, arguments: Value) -> Value {
        self.ask(command, &arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    fn ask(&self, command: &str, arguments: &Value) -> Result<Value, String> {
        let line = json!({ "execute": command, "arguments": arguments });
        let failed = |why: String| format!("qemu does not {line}: {why}");
        (&self.out).write_all(format!("{line}\n").as_bytes()).map_err(|error| failed(error.to_string()))?;
        let mut answer = self.answers.recv_timeout(PATIENCE).map_err(|error| failed(error.to_string()))?;
        if answer.get("error").is_some() { Err(failed(answer.to_string())) } else { Ok(answer["return"].take()) }
    }

    /// Waits for an event of this name whose data pass, and takes it away.
    #[track_caller]
    pub fn wait_for(&self, event: &str, wanted: impl Fn(&Value) -> bool) {
        let matches = |message: &Value| message["event"] == event && wanted(&message["data"]);
        let seen = self.events.seen.lock().unwrap();
        let missing = |seen: &mut VecDeque<Value>| !seen.iter().any(matches);
        let (mut seen, late) = self.events.came.wait_timeout_while(seen, PATIENCE, missing).unwrap();
        assert!(!late.timed_out(), "qemu did not tell of {event}");
        if let Some(at) = seen.iter().position(matches) {
            seen.remove(at);
        }
    }
}
