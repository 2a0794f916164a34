//! Takes from this process whatever reading foreign bytes does not need. Each layer holds without the others, because
//! a till's kernel may lack any of them.

mod landlock;
mod seccomp;

use std::fmt;
use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};

pub use landlock::deny_paths;
pub use seccomp::allow_reading_alone;

/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// What holds a process back beside its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// The version of Landlock by which the kernel refuses every path.
    pub landlock: Option<u32>,
    /// The kernel refuses every system call but the few that reading takes.
    pub seccomp: bool,
}

impl Confinement {
    /// What this kernel has for it.
    pub fn available() -> Self {
        Self { landlock: landlock::version(), seccomp: seccomp::is_available() }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.landlock, self.seccomp) {
            (None, false) => write!(f, "limits alone: this kernel has neither landlock nor seccomp"),
            (None, true) => write!(f, "seccomp"),
            (Some(version), false) => write!(f, "landlock {version}"),
            (Some(version), true) => write!(f, "landlock {version} and seccomp"),
        }
    }
}

/// Confines this process for the rest of its life: standard input can be read and standard output written, and memory
/// be asked for.
///
/// # Errors
/// That a layer which every kernel has could not be put on. One that the kernel lacks is told in the result.
pub fn confine(memory_bytes: u64, cpu: Duration) -> io::Result<Confinement> {
    close_others()?;
    become_nobody()?;
    nix::sys::prctl::set_dumpable(false)?;
    // After the change of user, which takes it back.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    nix::sys::prctl::set_no_new_privs()?;
    let landlock = deny_paths()?;
    limit(memory_bytes, cpu)?;
    Ok(Confinement { landlock, seccomp: allow_reading_alone()? })
}

/// Closes all but the standard three: what a careless parent of our parent left open.
fn close_others() -> io::Result<()> {
    // SAFETY: this process is about to be confined; it keeps no file but the standard ones.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == 0 {
        return Ok(());
    }
    // A kernel before 5.9. The list is read before anything is closed, so its own descriptor is among them.
    let open = std::fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for descriptor in open.filter(|descriptor: &i32| *descriptor > 2).collect::<Vec<_>>() {
        // SAFETY: as above.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Bounds memory and the processor; no file grows, none is opened, no process is started.
#[allow(clippy::unnecessary_cast, reason = "the C library's type has 32 bits on some boxes")]
pub fn limit(memory_bytes: u64, cpu: Duration) -> io::Result<()> {
    let set = |what, most| Ok::<_, io::Error>(setrlimit(what, most, most)?);
    set(Resource::RLIMIT_AS, memory_bytes.min(libc::RLIM_INFINITY as u64) as libc::rlim_t)?;
    set(Resource::RLIMIT_CPU, cpu.as_secs().max(1) as libc::rlim_t)?;
    for what in [Resource::RLIMIT_NOFILE, Resource::RLIMIT_NPROC, Resource::RLIMIT_FSIZE, Resource::RLIMIT_CORE] {
        set(what, 0)?;
    }
    Ok(())
}

/// Root becomes nobody, which also ends root's exemption from limits; any other user loses what it was lent of root's rights.
///
/// A container may have no nobody: then the capabilities go alone.
pub fn become_nobody() -> io::Result<()> {
    if Uid::effective().is_root() {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        // Once the user has changed, the other two could not.
        let changed = setgroups(&[]).and_then(|()| setresgid(group, group, group));
        if let Err(error) = changed.and_then(|()| setresuid(user, user, user)) {
            log::debug!("cannot become nobody: {error}");
        }
    }
    drop_capabilities()
}

fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    // _LINUX_CAPABILITY_VERSION_3: two triples of 32 bits each.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: both point to what capset(2) reads, of the length that this version has.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
