//! A command of the box's owner that must be over before we go on: without a shell, with a clean environment, in a time.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::child::PATH;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Run;

/// How much of what it says is kept, in bytes. What it leaves running must not fill the memory, nor die of a closed pipe.
const SAID_MAX: u64 = 4096;
/// How often a running one is looked at.
const EVERY: Duration = Duration::from_millis(20);
/// How long one that is asked to end may take until it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A command and how it is run.
#[derive(Debug, Clone)]
pub struct Hook<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// Its environment, beside `PATH`.
    pub env: &'a [(&'static str, String)],
    /// It is killed after this time.
    pub timeout: Duration,
    /// It ends with us. What must go on when we are killed does not.
    pub ends_with_us: bool,
}

impl Hook<'_> {
    /// Runs it to its end; an error says what it said. With a `run`, it is ended when that is cancelled.
    pub fn run(&self, run: Option<&Run>) -> Result<()> {
        match self.status(run)? {
            (status, _) if status.success() => Ok(()),
            (status, said) => Err(self.failed(&format!("{status}"), &said)),
        }
    }

    /// Whether it ends with success; an error only when it could not be asked.
    pub fn succeeds(&self, run: Option<&Run>) -> Result<bool> {
        Ok(self.status(run)?.0.success())
    }

    fn status(&self, run: Option<&Run>) -> Result<(ExitStatus, File)> {
        let said = mailbox().context(|| "cannot make room for what a command says".into())?;
        let child = self.start(&said)?;
        let pid = Pid::from_raw(child.id() as i32);
        match self.wait(child, run) {
            Ok(status) => Ok((status, said)),
            Err((mut child, error)) => {
                end(&mut child, pid);
                match error {
                    Some(error) => Err(error),
                    None => {
                        let took = format!("it took longer than {} s and was ended", self.timeout.as_secs_f64());
                        Err(self.failed(&took, &said))
                    }
                }
            }
        }
    }

    fn start(&self, said: &File) -> Result<Child> {
        let Some((program, args)) = self.argv.split_first() else {
            return Err(Error::new(Kind::Usage, "no program is named"));
        };
        let out = || said.try_clone().map(Stdio::from).context(|| format!("cannot start {program:?}"));
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", PATH).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(out()?).stderr(out()?).current_dir("/").process_group(0);
        if self.ends_with_us {
            // SAFETY: one system call, which takes no pointers and no locks.
            unsafe {
                command.pre_exec(|| {
                    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                    Ok(())
                });
            }
        }
        command.spawn().context(|| format!("cannot start {program:?}"))
    }

    /// The error is `None` when it was late.
    fn wait(&self, mut child: Child, run: Option<&Run>) -> Result<ExitStatus, (Child, Option<Error>)> {
        let until = Instant::now() + self.timeout;
        loop {
            match child.try_wait().context(|| format!("cannot wait for {:?}", self.argv[0])) {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) => return Err((child, Some(error))),
            }
            if let Some(Err(stopped)) = run.map(Run::check) {
                return Err((child, Some(stopped)));
            }
            if Instant::now() >= until {
                return Err((child, None));
            }
            thread::sleep(EVERY);
        }
    }

    fn failed(&self, how: &str, said: &File) -> Error {
        let error = Error::new(Kind::Io, format!("{:?} failed: {how}", self.argv.join(" ")));
        match what_was_said(said) {
            said if said.is_empty() => error,
            said => error.because(said),
        }
    }
}

/// A file in memory that does not grow.
fn mailbox() -> std::io::Result<File> {
    let file: File = memfd_create("said", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?.into();
    file.set_len(SAID_MAX)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK))?;
    Ok(file)
}

fn what_was_said(mut said: &File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read was not said; the exit status counts.
    let _ = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(3);
    lines[from..].join("; ").chars().filter(|letter| !letter.is_control()).take(400).collect()
}

fn end(child: &mut Child, group: Pid) {
    let _ = killpg(group, Signal::SIGTERM);
    let until = Instant::now() + GRACE;
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(EVERY);
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

/// Runs a command of the person at the terminal, who sees and types to it; it is ended after `timeout` or when `run` is
/// cancelled. Gives its exit status as a shell would.
pub fn attended(argv: &[String], timeout: Duration, run: &Run) -> Result<u8> {
    let Some((program, args)) = argv.split_first() else {
        return Err(Error::new(Kind::Usage, "no program is named"));
    };
    let mut child = Command::new(program).args(args).spawn().context(|| format!("cannot start {program:?}"))?;
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().context(|| format!("cannot wait for {program:?}"))? {
            use std::os::unix::process::ExitStatusExt;
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        let late = Instant::now() >= until;
        if late || run.cancel.is_cancelled() {
            let _ = nix::sys::signal::kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
            let grace = Instant::now() + GRACE;
            while Instant::now() < grace && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(EVERY);
            }
            let _ = child.kill();
            let _ = child.wait();
            run.check()?;
            return Err(Error::new(Kind::Io, format!("{program:?} took longer than {} s", timeout.as_secs()))
                .help("allow more time with --for"));
        }
        thread::sleep(EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn hook<'a>(argv: &'a [String], millis: u64) -> Hook<'a> {
        Hook { argv, env: &[], timeout: Duration::from_millis(millis), ends_with_us: true }
    }

    #[test]
    fn what_a_command_said_is_told_when_it_fails() {
        let words = argv(&["/bin/sh", "-c", "echo no such unit >&2; env | grep -c = ; exit 5"]);
        let report = hook(&words, 20_000).run(None).unwrap_err().report();
        assert!(report.contains("exit status: 5") && report.contains("no such unit"), "{report}");
        let words = argv(&["/bin/sh", "-c", "head -c 100000 /dev/zero; exit 0"]);
        hook(&words, 20_000).run(None).unwrap();
    }

    #[test]
    fn a_late_command_is_ended_with_what_it_started_and_told() {
        let words = argv(&["/bin/sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600"]);
        let before = Instant::now();
        let report = hook(&words, 100).run(None).unwrap_err().report();
        assert!(report.contains("longer than 0.1 s"), "{report}");
        assert!(before.elapsed() < Duration::from_secs(60));
    }
}
