//! Mounting and unmounting a stick. No program is started, and no option comes from a device.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::{Context, Error, Kind, Result};

/// A damaged file system turns read-only rather than go on; names are UTF-8; everybody may read.
const OPTIONS: &str = "errors=remount-ro,utf8=1,umask=022";

/// Mounts a FAT volume for reading; nothing on it can be run, and no device node or set-user-id bit on it counts.
///
/// Read-only, because mounting FAT for writing is itself a write (its mark "not put away properly"), and a stick that
/// was called safe must stay so.
pub fn fat(device: &Path, at: &Path) -> Result<()> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let failed = || format!("cannot mount {device:?} at {at:?}");
    mount(Some(device), at, Some("vfat"), flags, Some(OPTIONS)).context(failed).map_err(|error| {
        match std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
            Some(cause) if cause.raw_os_error() == Some(libc::ENODEV) => {
                error.help("the kernel needs vfat and its code pages (CONFIG_VFAT_FS, CONFIG_NLS_UTF8)")
            }
            _ => error,
        }
    })
}

/// How an unmount went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmounted {
    /// Nobody uses it any more.
    Clean,
    /// It left its folder, and somebody who has a file open on it still has.
    Detached,
}

/// Unmounts what is mounted at `at`, even while it is in use.
pub fn detach(at: &Path) -> Result<Unmounted> {
    match release(at) {
        Ok(()) => Ok(Unmounted::Clean),
        Err(error) if error.kind() == Kind::Busy => {
            umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
                .context(|| format!("cannot detach what is mounted at {at:?}"))?;
            Ok(Unmounted::Detached)
        }
        Err(error) => Err(error),
    }
}

/// Unmounts what is mounted at `at`; fails with [`Kind::Busy`] while somebody uses it.
pub fn release(at: &Path) -> Result<()> {
    match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EBUSY) => {
            Err(Error::new(Kind::Busy, format!("what is mounted at {at:?} is in use by another program"))
                .help("close the program that uses the stick"))
        }
        other => other.context(|| format!("cannot unmount {at:?}")),
    }
}

/// Whether a mount may go here: there is nothing, or an empty folder. A file in the way, a link that leads elsewhere, or
/// files that would be hidden speak against it.
pub fn is_free_place(at: &Path) -> bool {
    match fs::symlink_metadata(at) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(meta) => meta.is_dir() && fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_or_an_empty_folder_is_a_free_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("empty")).unwrap();
        fs::create_dir_all(at("full/of")).unwrap();
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("empty", at("link")).unwrap();
        let free = ["empty", "full", "file", "link", "none"].map(|name| is_free_place(&at(name)));
        assert_eq!(free, [true, false, false, false, true]);
    }
}
