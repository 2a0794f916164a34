//! Work on an open file that is done in a process of its own, by this same program: the child has the file as its standard
//! input, nothing else of ours, and answers in one text. What it answers is as little to be trusted as what it read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::{Context, Error, Kind, Result};

/// This program as it is, even when an update has put another one in its place.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long the end of a child is waited for that was killed: one that hangs in a device cannot even be killed.
const END_MAX: Duration = Duration::from_millis(200);

/// How much longer than its time a child may take that is at work; how long it may then be idle, and how often it is looked at.
const MORE_MAX: Duration = Duration::from_secs(9);
const IDLE_MAX: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Has a child work on `file`, and gives its answer.
///
/// # Errors
/// That there is none: it could not be started, took longer than `time` (or a while longer when it is at work all the time), answered more than `answer_max` bytes, or ended
/// before it answered. The child is dead then, or cannot die before its device lets go of it.
pub fn ask(program: &Path, args: &[String], file: &File, time: Duration, answer_max: usize) -> Result<Vec<u8>> {
    let until = Instant::now() + time;
    let file = file.try_clone().context(|| "cannot hand the medium to a process of its own".into())?;
    let mut command = Command::new(program);
    // A group of its own: Ctrl-C is for us, and we say what becomes of the child.
    command.args(args).env_clear().stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().context(|| format!("cannot start {program:?} for the medium"))?;
    drop(command);
    let answer = match child.stdout.take() {
        Some(mut pipe) => hear(&mut pipe, child.id(), until, answer_max),
        None => Err(io::Error::from(ErrorKind::BrokenPipe)),
    };
    // Whatever it still does is of no use to anybody, nor is what it has started.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let ended = end(child);
    match answer {
        Ok(answer) if !answer.is_empty() => Ok(answer),
        Ok(_) => Err(Error::new(Kind::Io, format!("the process that reads the medium {}", how(ended)))),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            let seconds = time.as_secs_f32();
            Err(Error::new(Kind::Io, format!("the process that reads the medium did not answer within {seconds} s")))
        }
        Err(error) => Err(error).context(|| "cannot hear the process that reads the medium".into()),
    }
}

/// Reads until the other end is closed. A child that is at work when its time is over, and has only too little of the processor, gets
/// more; its own limit of processor time ends it. One that waits, for a medium that hangs above all, gets none.
fn hear(pipe: &mut ChildStdout, child: u32, until: Instant, most: usize) -> io::Result<Vec<u8>> {
    let (mut heard, mut buffer, last) = (Vec::new(), [0; 16 << 10], until + MORE_MAX);
    let mut worked = Instant::now();
    loop {
        let now = Instant::now();
        if is_at_work(child) {
            worked = now;
        }
        if now >= last || now >= until && now.duration_since(worked) >= IDLE_MAX {
            return Err(ErrorKind::TimedOut.into());
        }
        let timeout = PollTimeout::try_from(LOOK_EVERY).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match pipe.read(&mut buffer)? {
            0 => return Ok(heard),
            read => heard.extend_from_slice(&buffer[..read]),
        }
        if heard.len() > most {
            return Err(io::Error::other(format!("it says more than {most} bytes")));
        }
    }
}

/// Whether the process runs, or would if it had the processor.
fn is_at_work(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Its name stands before, in parentheses, and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('R'))
}

/// Waits for a moment; a child that takes longer is waited for by a thread, so that it leaves no trace when it ends.
fn end(mut child: Child) -> Option<ExitStatus> {
    let until = Instant::now() + END_MAX;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_micros(200)),
            Ok(ended) => return ended,
            Err(_) => return None,
        }
    }
    let _ = thread::Builder::new().name("reap".into()).spawn(move || child.wait());
    None
}

fn how(ended: Option<ExitStatus>) -> String {
    match ended.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("ended with exit code {code} and said nothing"),
        Some((_, Some(signal))) => {
            let name = Signal::try_from(signal).map_or("a signal", |signal| signal.as_str());
            format!("was ended by {name} ({signal})")
        }
        _ => "said nothing and does not end".into(),
    }
}

/// The medium, in the child: its standard input, read by position.
pub struct Handed(ManuallyDrop<File>);

impl Handed {
    /// Takes standard input.
    pub fn take() -> Self {
        // SAFETY: standard input is open in this child, and nobody closes it: the `File` is never dropped.
        Self(ManuallyDrop::new(unsafe { File::from_raw_fd(0) }))
    }

    /// Reads at most `buf.len()` bytes at `offset`; 0 means the end.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
}

/// Gives the parent the child's answer.
pub fn answer(answer: &[u8]) -> io::Result<()> {
    // SAFETY: standard output is open in this child, and nobody closes it: the `File` is never dropped.
    let mut pipe = ManuallyDrop::new(unsafe { File::from_raw_fd(1) });
    pipe.write_all(answer)
}
