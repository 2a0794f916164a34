//! A connection to a server. Its silence is borne for as long as was agreed and no longer than the run lasts: whoever waits
//! looks every so often whether the run was asked to end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::net;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Cancel;

/// So often is looked whether the run was asked to end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So long a server that is there may take for what is under way when the run is asked to end.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait for one thing.
#[derive(Debug)]
pub struct Patience<'c> {
    cancel: &'c Cancel,
    until: Instant,
    asked: Option<Instant>,
}

impl<'c> Patience<'c> {
    /// Lasts for `silence`, but no longer than the run and a bit.
    pub fn new(silence: Duration, cancel: &'c Cancel) -> Self {
        Self { cancel, until: Instant::now() + silence, asked: None }
    }

    /// How long to wait before looking again. An error once there is no more patience: of the kind `TimedOut`, or the
    /// one of a run that was asked to end.
    pub fn some_more(&mut self) -> io::Result<Duration> {
        let now = Instant::now();
        if let Err(error) = self.cancel.check()
            && *self.asked.get_or_insert(now) + GRACE <= now
        {
            return Err(error.into());
        }
        match self.until.saturating_duration_since(now) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left.min(LOOK_EVERY)),
        }
    }
}

/// A connection by TCP. Reading and writing fail with `TimedOut` when nothing is heard for the agreed time.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    silence: Duration,
    cancel: Cancel,
}

impl Socket {
    /// Connects to the first address of `host` that answers.
    pub fn connect(host: &str, port: u16, silence: Duration, cancel: &Cancel) -> Result<Self> {
        let doing = || format!("cannot reach {host}:{port}");
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let name = (host.to_owned(), port);
        let found = beside(cancel, move || name.to_socket_addrs().map(Vec::from_iter));
        let no_name = |error: Error| match error.kind() {
            Kind::Cancelled => error,
            _ => error.help(net::NOBODY_THERE),
        };
        for address in found.context(doing).map_err(no_name)? {
            match Self::to(address, silence, cancel) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        cancel.check().context(doing)?;
        Err(Error::new(Kind::Io, doing()).because(last).help(net::NOBODY_THERE))
    }

    /// Connects to one address.
    pub fn to(address: SocketAddr, silence: Duration, cancel: &Cancel) -> io::Result<Self> {
        let tcp = beside(cancel, move || TcpStream::connect_timeout(&address, silence))?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { tcp, silence, cancel: cancel.clone() })
    }

    /// From now on silence is borne for so long.
    pub fn wait_for(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// Where the other end is.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// Says that no more comes.
    pub fn no_more(&self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)
    }

    /// Whether the other end has neither hung up nor said anything.
    #[cfg(feature = "web")]
    pub fn is_quiet(&self) -> bool {
        matches!(self.tcp.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The connection itself; it does not block.
    #[cfg(feature = "sftp")]
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    fn wait(&self, patience: &mut Patience<'_>, what: PollFlags) -> io::Result<()> {
        let wait = PollTimeout::try_from(patience.some_more()?).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.tcp.as_fd(), what)], wait) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn when_ready<T>(&self, what: PollFlags, mut work: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        let mut patience = None;
        loop {
            match work(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(patience.get_or_insert_with(|| Patience::new(self.silence, &self.cancel)), what)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::POLLIN, |mut tcp| tcp.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::POLLOUT, |mut tcp| tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` comes to in a thread of its own, for it cannot be told to end; nobody waits for it once the run was asked to.
pub(super) fn beside<T: Send + 'static>(
    cancel: &Cancel,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = mpsc::channel();
    // Whoever no longer waits takes no result.
    thread::Builder::new().name("connect".into()).spawn(move || sender.send(work()).unwrap_or_default())?;
    loop {
        match done.recv_timeout(LOOK_EVERY) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the thread that connects has died")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that takes connections and says nothing.
    fn mute() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn silence_is_borne_for_as_long_as_was_agreed() {
        let (_listener, address) = mute();
        let mut socket = Socket::to(address, Duration::from_millis(300), &Cancel::default()).unwrap();
        assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let written = (0..).find_map(|_| socket.write(&[0; 1 << 16]).err());
        assert_eq!(written.unwrap().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn nobody_waits_for_a_silent_server_once_the_run_was_asked_to_end() {
        let (listener, address) = mute();
        let cancel = Cancel::default();
        let mut socket = Socket::to(address, Duration::from_secs(3600), &cancel).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        cancel.cancel();
        other.write_all(b"so").unwrap();
        let mut said = [0; 8];
        assert_eq!(socket.read(&mut said).unwrap(), 2, "one that is there may finish");
        let error: Result<usize> = socket.read(&mut said).context(|| "reading".into());
        assert_eq!(error.unwrap_err().kind(), Kind::Cancelled);
    }

    #[test]
    fn nobody_waits_for_a_server_that_answers_no_connection_once_the_run_was_asked_to_end() {
        let (_listener, address) = mute();
        let (cancel, soon) = (Cancel::default(), Duration::from_millis(100));
        // Until its queue is full: then it answers nobody any more.
        let _queue: Vec<Socket> = (0..).map_while(|_| Socket::to(address, soon, &cancel).ok()).collect();
        cancel.cancel();
        let refused = Socket::connect("127.0.0.1", address.port(), Duration::from_secs(3600), &cancel);
        assert_eq!(refused.unwrap_err().kind(), Kind::Cancelled);
    }
}
