//! A short-lived program of the box's owner: started without a shell, with a clean environment, and killed when it is late.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::error::{Context, Error, Kind, Result};

/// Where a program without a path in its name is looked for, by the program that is started and what it starts.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that was started.
#[derive(Debug)]
pub struct Started {
    child: Child,
    name: String,
}

impl Started {
    /// Starts `argv` in a process group of its own. It gets `env` and a `PATH`, nothing of our environment, and neither
    /// reads nor writes what we do.
    pub fn begin(argv: &[String], env: &[(&str, String)]) -> Result<Self> {
        let Some((program, args)) = argv.split_first() else {
            return Err(Error::new(Kind::Usage, "no program is named"));
        };
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", PATH).envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").process_group(0);
        let child = command.spawn().context(|| format!("cannot start {program:?}"))?;
        Ok(Self { child, name: program.clone() })
    }

    /// Calls `then` in a thread of its own when the program has ended; it must still be [`reap`](Self::reap)ed, so that until
    /// then its number is nobody else's.
    pub fn when_over(&self, then: impl FnOnce() + Send + 'static) -> Result<()> {
        let pid = self.pid();
        let wait = move || {
            // It stays waitable: another thread asks for its end.
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            then();
        };
        let thread = thread::Builder::new().name("wait".into()).spawn(wait);
        thread.map(drop).context(|| format!("cannot wait for {:?}", self.name))
    }

    /// Kills it, and what it has started in its group.
    pub fn kill(&self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
    }

    /// Asks for its end, waiting for it if need be; an error when it failed.
    pub fn reap(mut self) -> Result<()> {
        let status = self.child.wait().context(|| format!("cannot wait for {:?}", self.name))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::new(Kind::Io, format!("{:?} failed: {status}", self.name))),
        }
    }

    fn pid(&self) -> Pid {
        // A process number fits; the type is unsigned for no reason.
        Pid::from_raw(self.child.id() as i32)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_program_gets_what_it_is_given_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("env > {}; test \"$1\" = 'a b;$(c)'", file.path().display());
        let started = Started::begin(&argv(&["/bin/sh", "-c", &script, "x", "a b;$(c)"]), &[("SIGNAL", "safe".into())]);
        started.unwrap().reap().unwrap();
        let env = std::fs::read_to_string(file.path()).unwrap();
        let names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.contains(&"SIGNAL") && !names.contains(&"HOME") && !names.contains(&"CARGO"), "{env}");
    }

    #[test]
    fn a_late_program_is_killed_with_what_it_started() {
        let started = Started::begin(&argv(&["/bin/sh", "-c", "sleep 600 & sleep 600"]), &[]).unwrap();
        let (over, ended) = channel();
        started.when_over(move || over.send(()).unwrap()).unwrap();
        assert!(ended.recv_timeout(Duration::from_millis(100)).is_err());
        let (group, before) = (started.pid(), Instant::now());
        started.kill();
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(started.reap().unwrap_err().to_string().contains("signal: 9"));
        assert!(before.elapsed() < Duration::from_secs(30));
        while killpg(group, None).is_ok() {
            // Its child is being cleaned away by whoever inherits it.
            assert!(before.elapsed() < Duration::from_secs(30), "its child lives on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_cannot_be_started_or_fails_is_told() {
        let error = Started::begin(&argv(&["/nowhere/at/all"]), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert_eq!(Started::begin(&[], &[]).unwrap_err().kind(), Kind::Usage);
        let error = Started::begin(&argv(&["/bin/false"]), &[]).unwrap().reap().unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
    }
}
