//! What happens inside the machine: commands over a virtio-serial port, which no kernel message can disturb.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// The document that it printed.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in: {}", self.out))
    }

    /// Its complaint has all these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
        self
    }
}

/// A command that runs while the scenario goes on.
#[must_use = "a job is joined, so that its end is seen"]
pub struct Job {
    number: u32,
    pub pid: u32,
}

/// The control channel: one command at a time, answered when it has ended.
pub struct Guest {
    out: UnixStream,
    input: BufReader<UnixStream>,
    log: File,
    begun: Instant,
    number: u32,
}

impl Guest {
    /// All that is said is also written to `log`.
    pub fn new(stream: UnixStream, log: File) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { input: BufReader::new(stream.try_clone().unwrap()), out: stream, log, begun: Instant::now(), number: 0 }
    }

    /// Waits until the machine has booted; whether it did.
    pub fn is_ready(&mut self, within: Duration) -> bool {
        self.out.set_read_timeout(Some(within)).unwrap();
        let greeted = self.input.read_line(&mut String::new());
        self.out.set_read_timeout(Some(PATIENCE)).unwrap();
        greeted.is_ok_and(|len| len > 0)
    }

    /// Runs a line of shell.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Ran {
        self.number += 1;
        let tag = format!("tag{}", self.number);
        assert!(!command.contains('\n'), "a command is one line: {command:?}");
        let _ = writeln!(self.log, "{:.1} s $ {command}", self.begun.elapsed().as_secs_f32());
        self.out.write_all(format!("{tag} {command}\n").as_bytes()).unwrap();
        let [code, out, err] = self.answer_to(&tag, command);
        let ran = Ran { code: code as i32, out: self.text(out), err: self.text(err) };
        let _ = writeln!(self.log, "{}{}[{}]", ran.out, ran.err, ran.code);
        ran
    }

    /// Runs a line of shell that must succeed; gives what it printed.
    #[track_caller]
    pub fn must(&mut self, command: &str) -> String {
        let ran = self.run(command);
        assert_eq!(ran.code, 0, "{command}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Starts a line of shell; its end is waited for with [`Guest::join`].
    #[track_caller]
    pub fn start(&mut self, command: &str) -> Job {
        let number = self.number;
        let pid = self.must(&format!("sh -c '{command}' >/run/{number}.out 2>/run/{number}.err </dev/null & echo $!"));
        Job { number, pid: pid.trim().parse().unwrap() }
    }

    /// Waits for the end of what was started.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "a job ends once")]
    pub fn join(&mut self, job: Job) -> Ran {
        let Job { number, pid } = job;
        self.run(&format!("wait {pid}; code=$?; cat /run/{number}.out; cat /run/{number}.err >&2; (exit $code)"))
    }

    /// The exit code and the lengths of both outputs; an earlier channel's last words are passed over.
    #[track_caller]
    fn answer_to(&mut self, tag: &str, command: &str) -> [usize; 3] {
        loop {
            let mut line = String::new();
            let read = self.input.read_line(&mut line);
            assert!(read.is_ok_and(|len| len > 0), "the machine did not answer to: {command}");
            let mut words = line.split_whitespace();
            if words.next() == Some(tag) {
                let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number in the answer");
                return [number(), number(), number()];
            }
        }
    }

    fn text(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.input.read_exact(&mut bytes).expect("the machine sends what it announced");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
