//! What the process that reads strange sticks may still do: this program starts itself, confines itself, and tries. Each
//! attempt is also made unconfined, where it must succeed: otherwise its failure would show nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong, and tells")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getppid;
use tillstick::host::confine::{allow_reading_alone, become_nobody, confine, deny_paths, limit};

const MEMORY: u64 = 128 << 20;
const CPU: Duration = Duration::from_secs(1);
/// A descriptor that a careless parent left open.
const LEFT_OPEN: i32 = 9;

/// The layers that refuse an attempt, each by itself.
#[derive(Clone, Copy)]
struct Refused {
    landlock: bool,
    limits: bool,
    seccomp: bool,
}

const BY_ALL: Refused = Refused { landlock: true, limits: true, seccomp: true };
const BY_SECCOMP: Refused = Refused { landlock: false, limits: false, seccomp: true };
const BY_LIMITS: Refused = Refused { landlock: false, limits: true, seccomp: false };
/// By `confine` as a whole.
const BY_ITSELF: Refused = Refused { landlock: false, limits: false, seccomp: false };

/// Something that a process does, with a folder of its own at hand.
type Act = fn(&Path) -> io::Result<()>;

struct Attempt {
    name: &'static str,
    refused: Refused,
    make: Act,
}

const ATTEMPTS: &[Attempt] = &[
    Attempt { name: "open a file for writing", refused: BY_ALL, make: |dir| open_for_writing(&dir.join("file")) },
    Attempt { name: "make a file", refused: BY_ALL, make: |dir| File::create(dir.join("new")).map(drop) },
    Attempt { name: "open a file for reading", refused: BY_ALL, make: |_| File::open("/etc/passwd").map(drop) },
    Attempt { name: "open a folder", refused: BY_ALL, make: |dir| fs::read_dir(dir).map(drop) },
    Attempt {
        name: "make a folder",
        refused: Refused { limits: false, ..BY_ALL },
        make: |dir| fs::create_dir(dir.join("d")),
    },
    Attempt {
        name: "delete a file",
        refused: Refused { limits: false, ..BY_ALL },
        make: |dir| fs::remove_file(dir.join("file")),
    },
    Attempt { name: "cut a file off", refused: BY_SECCOMP, make: |_| stdin().set_len(0) },
    Attempt {
        name: "write through the handed file",
        refused: Refused { limits: true, ..BY_SECCOMP },
        make: |_| stdin().write_all(b"x"),
    },
    Attempt {
        name: "write somewhere in the handed file",
        refused: Refused { limits: true, ..BY_SECCOMP },
        make: |_| stdin().write_all_at(b"x", 5_000_000),
    },
    Attempt { name: "map the handed file for writing", refused: BY_SECCOMP, make: |_| map_shared() },
    Attempt {
        name: "make a network socket",
        refused: Refused { limits: true, ..BY_SECCOMP },
        make: |_| UdpSocket::bind("127.0.0.1:0").map(drop),
    },
    Attempt { name: "listen on a port", refused: BY_ALL, make: |_| TcpListener::bind("127.0.0.1:0").map(drop) },
    Attempt {
        name: "make a local socket",
        refused: Refused { limits: true, ..BY_SECCOMP },
        make: |_| UnixDatagram::unbound().map(drop),
    },
    Attempt {
        name: "start a program",
        refused: BY_ALL,
        make: |_| Command::new("/bin/true").stdin(Stdio::inherit()).status().map(drop),
    },
    Attempt {
        name: "start a thread",
        refused: BY_SECCOMP,
        make: |_| std::thread::Builder::new().spawn(|| ()).map(drop),
    },
    Attempt { name: "signal its parent", refused: BY_SECCOMP, make: |_| Ok(kill(getppid(), Signal::SIGCONT)?) },
    Attempt { name: "ask a device for something", refused: BY_SECCOMP, make: |_| ask_device() },
    Attempt { name: "use what a careless parent left open", refused: BY_ITSELF, make: |_| read_left_open() },
    Attempt { name: "take 256 MiB", refused: BY_LIMITS, make: |_| take_memory() },
];

/// What the probe needs.
const NEEDED: &[(&str, Act)] = &[
    ("read the handed file", |_| stdin().read_exact_at(&mut [0; 4096], 8192)),
    ("take 16 MiB", |_| {
        let taken = vec![1_u8; 16 << 20];
        if std::hint::black_box(&taken).iter().all(|byte| *byte == 1) {
            Ok(())
        } else {
            Err(io::ErrorKind::Other.into())
        }
    }),
    ("ask for the time", |_| if Instant::now().elapsed() < CPU { Ok(()) } else { Err(io::ErrorKind::Other.into()) }),
    ("make a table", |_| {
        let table: std::collections::HashMap<u32, u32> = (0..1000).map(|number| (number, number)).collect();
        if table[&7] == 7 { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    }),
];

fn open_for_writing(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}

/// Standard input as the file that it is.
fn stdin() -> std::mem::ManuallyDrop<File> {
    // SAFETY: standard input is open, and the `File` is never dropped.
    std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(0) })
}

fn map_shared() -> io::Result<()> {
    // SAFETY: a new mapping that nobody uses.
    let mapped =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0, 0) };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An ioctl that files and devices alike have.
fn ask_device() -> io::Result<()> {
    let mut waiting: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let done = unsafe { libc::ioctl(0, libc::FIONREAD, &raw mut waiting) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn read_left_open() -> io::Result<()> {
    // SAFETY: the descriptor is never closed here; if it is not open, reading fails.
    let mut file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(LEFT_OPEN) });
    file.read(&mut [0; 1]).map(drop)
}

fn take_memory() -> io::Result<()> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(256 << 20).map_err(io::Error::other)
}

/// The child: puts the layers on and makes the attempt. Exit code 0: it succeeded, 7: it was refused.
fn attempt(layers: &str, name: &str, dir: &Path) -> ! {
    match layers {
        "none" => {}
        "all" => drop(confine(MEMORY, CPU).unwrap()),
        "landlock" => {
            nix::sys::prctl::set_no_new_privs().unwrap();
            assert!(deny_paths().unwrap().is_some(), "this kernel has no landlock");
        }
        "limits" => {
            become_nobody().unwrap();
            // Writing beyond the limit is a signal, unless it is ignored as this program's parent does.
            limit(MEMORY, CPU).unwrap();
        }
        "seccomp" => {
            nix::sys::prctl::set_no_new_privs().unwrap();
            assert!(allow_reading_alone().unwrap(), "this kernel has no seccomp");
        }
        other => panic!("no layer {other}"),
    }
    if name == "spin" {
        loop {
            std::hint::black_box(());
        }
    }
    let make = ATTEMPTS.iter().map(|attempt| (attempt.name, attempt.make)).chain(NEEDED.iter().copied());
    let (_, make) = make.into_iter().find(|(known, _)| *known == name).unwrap();
    std::process::exit(if make(dir).is_ok() { 0 } else { 7 });
}

fn run(layers: &str, name: &str) -> ExitStatus {
    let dir = tempfile::tempdir().unwrap();
    let open =
        |path: PathBuf| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    // Anybody may do anything here: what fails does not fail for want of rights.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let handed = open(dir.path().join("file"));
    handed.set_len(1 << 20).unwrap();
    fs::set_permissions(dir.path().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--attempt", layers, name]).arg(dir.path()).stdin(handed).stderr(Stdio::null()).status().unwrap()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, layers, name, dir] = &args[..]
        && flag == "--attempt"
    {
        attempt(layers, name, Path::new(dir));
    }
    // One that every child inherits, whatever it is told.
    let left = File::open("/etc/passwd").unwrap();
    // SAFETY: nobody here has this descriptor.
    assert_eq!(unsafe { libc::dup2(left.as_raw_fd(), LEFT_OPEN) }, LEFT_OPEN);
    // SAFETY: it was just made.
    fcntl(unsafe { std::os::fd::BorrowedFd::borrow_raw(LEFT_OPEN) }, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut wrong = Vec::new();
    let mut check = |layers: &str, name: &str, refused: bool| {
        let ended = run(layers, name);
        // A refusal may also be a signal: that of a file that may not grow.
        let is_refused = ended.code() == Some(7) || ended.signal().is_some();
        if is_refused != refused || (!refused && !ended.success()) {
            wrong.push(format!("{layers}: {name}: {ended}"));
        }
    };
    for Attempt { name, refused, .. } in ATTEMPTS {
        check("none", name, false);
        check("all", name, true);
        // Alone as well: a kernel may lack the others. What a layer leaves to others is not asked.
        for (layer, refuses) in
            [("landlock", refused.landlock), ("limits", refused.limits), ("seccomp", refused.seccomp)]
        {
            if refuses {
                check(layer, name, true);
            }
        }
    }
    for (name, _) in NEEDED {
        check("all", name, false);
    }
    let begun = Instant::now();
    let ended = run("all", "spin");
    if ended.signal() != Some(Signal::SIGKILL as i32) || begun.elapsed() < CPU {
        wrong.push(format!("a process that computes for ever: {ended} after {:?}", begun.elapsed()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("confined: {} attempts were refused, and what is needed was done", ATTEMPTS.len());
}
