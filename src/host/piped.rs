//! A program that we talk to through pipes: a database's own dump or client program. Started without a shell, with a clean
//! environment, and killed with what it started when we give it up or die ourselves.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Pid;

use crate::error::{Context, Error, Kind, Result};
use crate::model::Run;

/// What of a program's complaints is kept, in bytes.
const COMPLAINTS_MAX: usize = 16 << 10;

/// How long a cancelled run may wait for a pipe before it notices, in milliseconds.
const LOOK: u16 = 50;

/// Text for a program's eyes alone: a file in memory that only this program's child can open, by [`path`](Self::path).
/// Nothing of it reaches a disk, a command line or an environment, and nothing is left when we are killed.
#[derive(Debug)]
pub struct Secret(OwnedFd);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: &[u8]) -> Result<Self> {
        let what = || "cannot keep a password in memory".to_owned();
        let fd = memfd_create(c"tillstick", MFdFlags::MFD_CLOEXEC).context(what)?;
        // Both MariaDB's and PostgreSQL's programs look whether others may read it.
        fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR).context(what)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(text).context(what)?;
        Ok(Self(file.into()))
    }

    /// Where the program finds it.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// A program and how it is started.
#[derive(Debug, Default)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment, all of it.
    pub env: Vec<(&'static str, OsString)>,
    /// What it may open by its path.
    pub secret: Option<Secret>,
    /// User and group that it becomes before it begins.
    pub run_as: Option<(u32, u32)>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to stderr; of a lot, its beginning and its end.
    pub complaints: String,
}

/// A program at work. Dropping it kills it.
#[derive(Debug)]
pub struct Piped {
    child: Child,
    name: String,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    complaints: Option<JoinHandle<Vec<u8>>>,
    _secret: Option<Secret>,
}

impl Piped {
    /// Starts the program. What it writes must be [`read`](Self::read) when `answers`, else it is thrown away.
    pub fn begin(program: Program, answers: bool) -> Result<Self> {
        let Program { path, args, env, secret, run_as } = program;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new(&path);
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").envs(env);
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).current_dir("/").process_group(0);
        command.stdout(if answers { Stdio::piped() } else { Stdio::null() });
        let fd = secret.as_ref().map(|secret| secret.0.as_raw_fd());
        let prepare = move || {
            // SAFETY: these calls are allowed between fork and exec; the descriptor is open in the child as well.
            unsafe {
                if let Some((uid, gid)) = run_as
                    && (libc::setgroups(0, std::ptr::null()) == -1
                        || libc::setgid(gid) == -1
                        || libc::setuid(uid) == -1)
                {
                    return Err(std::io::Error::last_os_error());
                }
                if let Some(fd) = fd
                    && libc::fcntl(fd, libc::F_SETFD, 0) == -1
                {
                    return Err(std::io::Error::last_os_error());
                }
                // After the change of user, which forgets it. Nobody would read what it writes when we were killed, and half a restore must not end as a whole one.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
            Ok(())
        };
        // SAFETY: the closure allocates nothing and takes no lock.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn().context(|| format!("cannot start {path:?}"))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let Some(stdin) = &stdin {
            let flags = fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            flags.context(|| format!("cannot talk to {name:?}"))?;
        }
        let listen = move || {
            let mut kept = Vec::new();
            let mut buffer = [0; 4096];
            let mut stderr = stderr;
            // Read to its end, so that a talkative program never waits for us.
            while let Some(read) = stderr.as_mut().and_then(|pipe| pipe.read(&mut buffer).ok()).filter(|read| *read > 0)
            {
                kept.extend_from_slice(&buffer[..read]);
                // Of a long complaint the beginning and the end: some programs first repeat what they were given.
                let excess = kept.len().saturating_sub(COMPLAINTS_MAX);
                if excess > 0 {
                    kept.drain(COMPLAINTS_MAX / 2..COMPLAINTS_MAX / 2 + excess);
                }
            }
            kept
        };
        let listener = std::thread::Builder::new().name("stderr".into()).spawn(listen);
        let complaints = Some(listener.context(|| format!("cannot listen to {name:?}"))?);
        Ok(Self { child, name, stdin, stdout, complaints, _secret: secret })
    }

    /// The program's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads of what it writes; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8], run: &Run) -> Result<usize> {
        let Some(stdout) = &mut self.stdout else { return Ok(0) };
        loop {
            run.check()?;
            if !is_ready(&*stdout, PollFlags::POLLIN)? {
                continue;
            }
            match stdout.read(buffer) {
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                read => return read.context(|| format!("cannot read what {:?} writes", self.name)),
            }
        }
    }

    /// Hands it all of `bytes`; `false` when it no longer listens, which its end explains.
    pub fn write(&mut self, mut bytes: &[u8], run: &Run) -> Result<bool> {
        while !bytes.is_empty() {
            run.check()?;
            let Some(stdin) = &mut self.stdin else { return Ok(false) };
            match stdin.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                    is_ready(&*stdin, PollFlags::POLLOUT)?;
                }
                Err(cause) if cause.kind() == ErrorKind::BrokenPipe => return Ok(false),
                Err(cause) => return Err(cause).context(|| format!("cannot write to {:?}", self.name)),
            }
        }
        Ok(true)
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> Result<bool> {
        let status = self.child.try_wait().context(|| format!("cannot wait for {:?}", self.name))?;
        Ok(status.is_some())
    }

    /// What one that has ended complained about.
    pub fn said(&mut self) -> String {
        let kept = self.complaints.take().and_then(|listener| listener.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&kept).trim().to_owned()
    }

    /// Tells it that nothing more comes.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end, which is told whatever it is.
    pub fn finish(mut self, run: &Run) -> Result<Ended> {
        self.close();
        self.stdout = None;
        let mut pause = Duration::from_millis(1);
        let status = loop {
            match self.child.try_wait().context(|| format!("cannot wait for {:?}", self.name))? {
                Some(status) => break status,
                None => run.check()?,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(u64::from(LOOK)));
        };
        Ok(Ended { status, complaints: self.said() })
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        if self.complaints.is_some() {
            let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn is_ready(pipe: &impl AsFd, what: PollFlags) -> Result<bool> {
    let mut wanted = [PollFd::new(pipe.as_fd(), what)];
    match poll(&mut wanted, PollTimeout::from(LOOK)) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(cause) => Err(Error::new(Kind::Io, "cannot wait for a pipe").because(cause)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{Cancel, Quiet};

    fn shell(script: &str, secret: Option<Secret>) -> Program {
        Program { path: "/bin/sh".into(), args: vec!["-c".into(), script.into()], secret, ..Program::default() }
    }

    fn all(program: Program, input: &[u8], run: &Run) -> Result<(Vec<u8>, Ended)> {
        let mut piped = Piped::begin(program, true)?;
        piped.write(input, run)?;
        piped.close();
        let (mut all, mut buffer) = (Vec::new(), [0; 100]);
        loop {
            match piped.read(&mut buffer, run)? {
                0 => return Ok((all, piped.finish(run)?)),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[test]
    fn a_program_answers_and_its_end_and_complaints_are_told() {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let secret = Secret::new(b"pass word").unwrap();
        let script = format!("cat; cat {}; env | grep -c . >&2; exit 3", secret.path());
        let (text, ended) = all(shell(&script, Some(secret)), b"in ", &run).unwrap();
        assert_eq!(text, b"in pass word");
        assert_eq!(ended.status.code(), Some(3));
        assert!(ended.complaints.parse::<u32>().unwrap() <= 5, "{}", ended.complaints);
    }

    #[test]
    fn of_a_long_complaint_the_beginning_and_the_end_are_kept() {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let script = "{ echo first; head -c 500000 /dev/zero | tr '\\0' x; echo; echo last; } >&2";
        let (_, ended) = all(shell(script, None), b"", &run).unwrap();
        assert!(
            ended.complaints.starts_with("first\n") && ended.complaints.ends_with("\nlast"),
            "{}",
            ended.complaints
        );
        assert!(ended.complaints.len() <= COMPLAINTS_MAX);
    }

    #[test]
    fn a_program_that_hangs_ends_with_the_run() {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let stop = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            stop.cancel();
        });
        let begun = Instant::now();
        let error = all(shell("sleep 600 & sleep 600", None), b"", &run).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread.join().unwrap();
    }
}
