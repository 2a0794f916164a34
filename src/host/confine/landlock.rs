//! Landlock with an empty set of rules: from then on no path can be opened, whoever this process is. The `landlock` crate
//! is for programs that have rules; here there is nothing but the three calls.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `struct landlock_ruleset_attr`. Older kernels take the whole of it as long as what they do not know is 0.
#[repr(C)]
#[derive(Default)]
struct Ruleset {
    files: u64,
    net: u64,
    scoped: u64,
}

const VERSION: libc::c_uint = 1;

impl Ruleset {
    /// All that the kernel's version can refuse: bits are added from version to version.
    fn all_of(version: u32) -> Self {
        let files = match version {
            1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        let two = |since| if version >= since { 0b11 } else { 0 };
        Self { files: (1 << files) - 1, net: two(4), scoped: two(6) }
    }
}

/// The version of Landlock that the kernel has and that is switched on.
pub(super) fn version() -> Option<u32> {
    // SAFETY: with this flag the call reads nothing and gives a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0_usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Refuses every path, connection and signal to others that the kernel's version knows of; `None` when it has no Landlock.
/// Takes `no_new_privs`, and a descriptor for a moment.
pub fn deny_paths() -> io::Result<Option<u32>> {
    let Some(version) = version() else { return Ok(None) };
    let rules = Ruleset::all_of(version);
    // SAFETY: the kernel reads the struct of the length that it is told.
    let created = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rules, size_of::<Ruleset>(), 0 as libc::c_uint)
    };
    let created = i32::try_from(created).map_err(io::Error::other)?;
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call gave us this descriptor.
    let set = unsafe { OwnedFd::from_raw_fd(created) };
    // SAFETY: the call takes two numbers.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, set.as_raw_fd(), 0 as libc::c_uint) };
    if done == 0 { Ok(Some(version)) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_asked_for_no_more_than_it_knows() {
        let bits = |version| {
            let rules = Ruleset::all_of(version);
            (rules.files, rules.net, rules.scoped)
        };
        assert_eq!(bits(1), (0x1fff, 0, 0));
        assert_eq!(bits(3), (0x7fff, 0, 0));
        assert_eq!(bits(4), (0x7fff, 3, 0));
        assert_eq!(bits(5), (0xffff, 3, 0));
        assert_eq!(bits(99), (0xffff, 3, 3));
    }
}
