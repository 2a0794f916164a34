//! A line that fails: a proxy in this process that cuts, stalls, throttles, changes a bit, and answers for a server that has
//! no time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const NEVER: i64 = i64::MAX;

/// What the line does. Bytes are counted both ways together over all connections.
struct Line {
    /// After so many bytes all connections are dropped.
    cut: AtomicI64,
    /// After so many bytes nothing passes any more.
    stall: AtomicI64,
    /// After so many bytes to the server one bit of them is changed.
    flip: AtomicI64,
    /// So many bytes pass in a second; 0: all.
    pace: AtomicU64,
    /// So many pass in a second on the way to the server, whatever was mended; 0: all.
    uplink: AtomicU64,
    /// So many requests are answered with 503 here.
    busy: AtomicI64,
    /// Connections are dropped at once.
    down: AtomicBool,
    /// How many requests with a condition were answered with 501 here; less than 0: they go on to the server.
    unconditional: AtomicI64,
    /// Bytes that clients have sent.
    sent: AtomicU64,
    /// Connections there were.
    connections: AtomicU64,
}

/// Listens until the process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: Arc<Line>,
}

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Self {
        Self::at("127.0.0.1", server)
    }

    /// Listens at this address of the machine.
    pub(crate) fn at(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Line::new();
        line.listen(listener, server);
        Self { port, line }
    }

    /// Stands at 127.0.0.2 for a server at 127.0.0.1 with these ports, the first of which is the one to ask.
    pub(crate) fn twin(ports: RangeInclusive<u16>) -> Self {
        let (port, line) = (*ports.start(), Line::new());
        for port in ports {
            line.listen(TcpListener::bind(("127.0.0.2", port)).unwrap(), SocketAddr::from(([127, 0, 0, 1], port)));
        }
        Self { port, line }
    }

    pub(crate) fn cut_after(&self, bytes: i64) {
        self.line.cut.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn stall_after(&self, bytes: i64) {
        self.line.stall.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn flip_after(&self, bytes: i64) {
        self.line.flip.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn pace(&self, bytes_a_second: u64) {
        self.line.pace.store(bytes_a_second, Ordering::SeqCst);
    }

    /// From now on it is a slow line on the way to the server, also once it is mended.
    pub(crate) fn is_slow(&self, bytes_a_second: u64) {
        self.line.uplink.store(bytes_a_second, Ordering::SeqCst);
    }

    pub(crate) fn busy_for(&self, requests: i64) {
        self.line.busy.store(requests, Ordering::SeqCst);
    }

    pub(crate) fn down(&self, down: bool) {
        self.line.down.store(down, Ordering::SeqCst);
    }

    /// From now on it answers for a service that knows no conditions.
    pub(crate) fn knows_no_conditions(&self) {
        self.line.unconditional.store(0, Ordering::SeqCst);
    }

    /// How often it did.
    pub(crate) fn conditions(&self) -> i64 {
        self.line.unconditional.load(Ordering::SeqCst)
    }

    /// The line is good again.
    pub(crate) fn mend(&self) {
        self.cut_after(NEVER);
        self.stall_after(NEVER);
        self.flip_after(NEVER);
        self.pace(0);
        self.busy_for(0);
        self.down(false);
    }

    /// Bytes that clients have sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.line.sent.load(Ordering::SeqCst)
    }

    /// Connections that there were so far.
    pub(crate) fn connections(&self) -> u64 {
        self.line.connections.load(Ordering::SeqCst)
    }
}

impl Line {
    fn new() -> Arc<Self> {
        let never = || AtomicI64::new(NEVER);
        Arc::new(Self {
            cut: never(),
            stall: never(),
            flip: never(),
            pace: AtomicU64::new(0),
            uplink: AtomicU64::new(0),
            busy: AtomicI64::new(0),
            down: AtomicBool::new(false),
            unconditional: AtomicI64::new(-1),
            sent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        })
    }

    fn listen(self: &Arc<Self>, listener: TcpListener, server: SocketAddr) {
        let shared = self.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let line = shared.clone();
                thread::spawn(move || line.serve(&client, server));
            }
        });
    }

    fn serve(self: &Arc<Self>, client: &TcpStream, server: SocketAddr) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return;
        }
        if self.busy.load(Ordering::SeqCst) > 0 {
            self.answer_busy(client);
            return;
        }
        let Ok(server) = TcpStream::connect(server) else { return };
        for stream in [client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (from, to, line) = (server.try_clone().unwrap(), client.try_clone().unwrap(), self.clone());
        thread::spawn(move || line.pass(from, to, false));
        self.pass(client.try_clone().unwrap(), server, true);
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, upwards: bool) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let len = i64::try_from(read).unwrap();
            if upwards {
                self.sent.fetch_add(read as u64, Ordering::SeqCst);
                if self.unconditional.load(Ordering::SeqCst) >= 0 && has_condition(&buffer[..read]) {
                    self.unconditional.fetch_add(1, Ordering::SeqCst);
                    answer_unknown(&from);
                    break;
                }
                let at = self.flip.fetch_sub(len, Ordering::SeqCst);
                if (0..len).contains(&at) {
                    buffer[usize::try_from(at).unwrap()] ^= 1;
                }
            }
            while self.stall.load(Ordering::SeqCst) < len {
                thread::sleep(Duration::from_millis(20));
            }
            self.stall.fetch_sub(len, Ordering::SeqCst);
            let uplink = if upwards { self.uplink.load(Ordering::SeqCst) } else { 0 };
            let pace = self.pace.load(Ordering::SeqCst).max(uplink);
            if pace > 0 {
                thread::sleep(Duration::from_secs_f64(read as f64 / pace as f64));
            }
            let left = self.cut.fetch_sub(len, Ordering::SeqCst).clamp(0, len);
            if to.write_all(&buffer[..usize::try_from(left).unwrap()]).is_err() || left < len {
                break;
            }
        }
        for stream in [&from, &to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Reads a request to its end, as a server does that answers with 503.
    fn answer_busy(&self, mut client: &TcpStream) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match client.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        let _ = std::io::copy(&mut client.take(length), &mut std::io::sink());
        let _ = client.write_all(b"HTTP/1.1 503 Slow Down\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
}

fn has_condition(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).to_ascii_lowercase().contains("if-none-match:")
}

/// Takes the rest of a short request, and answers as a service that knows no such header.
fn answer_unknown(mut client: &TcpStream) {
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = std::io::copy(&mut client, &mut std::io::sink());
    let _ = client.write_all(b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}
