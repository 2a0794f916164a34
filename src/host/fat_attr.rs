//! The attributes of a file on a mounted FAT: read-only, hidden, system and so on, which no portable call knows.

use std::fs::File;
use std::os::fd::AsRawFd;

mod ioctl {
    nix::ioctl_read!(get, b'r', 0x10, u32);
    nix::ioctl_write_ptr!(set, b'r', 0x11, u32);
}

/// A file's attribute bits, or `None` when its file system has none.
pub fn get(file: &File) -> nix::Result<Option<u32>> {
    let mut attributes = 0;
    // SAFETY: the descriptor is open, and the kernel writes one u32 to where the pointer points.
    match unsafe { ioctl::get(file.as_raw_fd(), &raw mut attributes) } {
        Ok(_) => Ok(Some(attributes)),
        Err(nix::Error::ENOTTY | nix::Error::EINVAL | nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets a file's attribute bits; the caller has them from [`get`].
pub fn set(file: &File, attributes: u32) -> nix::Result<()> {
    // SAFETY: the descriptor is open, and the kernel reads one u32 from where the pointer points.
    unsafe { ioctl::set(file.as_raw_fd(), &raw const attributes) }.map(drop)
}
