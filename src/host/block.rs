//! Block devices: size, who has one mounted, opening one for us alone, and reading past the cache.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{major, makedev, minor};

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;

mod ioctl {
    // The number of BLKGETSIZE64 is made with the size of a size_t, although it always writes 64 bits.
    nix::ioctl_read_bad!(get_size, nix::request_code_read!(0x12, 114, size_of::<usize>()), u64);
    nix::ioctl_none!(flush, 0x12, 97);
    nix::ioctl_none!(reread, 0x12, 95);
}

/// The longest mount table that is read, in bytes.
const MOUNTINFO_MAX: u64 = 16 << 20;
/// How long somebody may have the device who only looks at it, and how often it is tried meanwhile. A child that is being
/// started has, for a moment, all that we had open ourselves.
const LOOK_MAX: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes of a sector as sysfs counts, whatever the device's own sector size is.
const SYSFS_SECTOR: u64 = 512;

/// One mounted file system, from `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The device number.
    pub dev: u64,
    /// Where it is mounted.
    pub at: PathBuf,
    /// Its type, such as `vfat`.
    pub kind: String,
    /// What was mounted, as the mounter named it: usually the device's path.
    pub from: PathBuf,
}

/// All mounts that this process sees.
pub fn mounts() -> Result<Vec<Mount>> {
    let table = durable::read(Path::new("/proc/self/mountinfo"), MOUNTINFO_MAX)?;
    Ok(parse_mountinfo(&table))
}

/// Reads the text of a mountinfo table; lines of another form are passed over.
pub fn parse_mountinfo(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_mount).collect()
}

fn parse_mount(line: &[u8]) -> Option<Mount> {
    // 36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/root rw: optional fields end with a lone `-`.
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let numbers = text(fields.nth(2)?);
    let (major, minor) = numbers.split_once(':')?;
    let at = unescape(fields.nth(1)?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, from) = (text(rest.next()?), unescape(rest.next()?));
    Some(Mount { dev: makedev(major.parse().ok()?, minor.parse().ok()?), at, kind, from })
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| matches!(d, b'0'..=b'7')));
        match octal {
            Some(digits) => {
                bytes.push(digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

/// A block device and the whole disk it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The device number.
    pub dev: u64,
    /// The whole disk's device number: its own when it is no partition.
    pub disk: u64,
    /// The whole disk's node, such as `/dev/sdb`.
    pub disk_path: PathBuf,
    /// Where it begins on the disk, in bytes; `None` when it is the whole disk.
    pub start: Option<u64>,
}

/// What sysfs knows about the block device with this number; `None` when there is no such block device.
pub fn node(dev: u64) -> Result<Option<Node>> {
    let link = PathBuf::from(format!("/sys/dev/block/{}:{}", major(dev), minor(dev)));
    if !link.exists() {
        return Ok(None);
    }
    let own = fs::canonicalize(&link).context(|| format!("cannot follow {link:?}"))?;
    let is_part = own.join("partition").exists();
    let disk = if is_part { own.parent().unwrap_or(&own) } else { &own };
    let numbers = attribute(disk, "dev").and_then(|text| {
        let (major, minor) = text.split_once(':')?;
        Some(makedev(major.parse().ok()?, minor.parse().ok()?))
    });
    let name = disk.file_name().map(|name| PathBuf::from(name.to_string_lossy().replace('!', "/")));
    let (Some(disk_dev), Some(name)) = (numbers, name) else {
        return Err(Error::new(Kind::Io, format!("{disk:?} does not describe a disk")));
    };
    let start = is_part.then(|| attribute(&own, "start")?.parse::<u64>().ok()?.checked_mul(SYSFS_SECTOR)).flatten();
    if is_part && start.is_none() {
        return Err(Error::new(Kind::Io, format!("{own:?} does not tell where the partition begins")));
    }
    Ok(Some(Node { dev, disk: disk_dev, disk_path: Path::new("/dev").join(name), start }))
}

/// The node of what begins `offset` bytes into the disk: the disk itself, or the partition that the kernel sees there.
pub fn at_offset(disk: &Node, offset: u64) -> Option<PathBuf> {
    if offset == 0 {
        return Some(disk.disk_path.clone());
    }
    let parts = fs::read_dir(sysfs(disk.disk)).ok()?.flatten();
    let begins_there = |dir: &Path| attribute(dir, "start")?.parse::<u64>().ok()?.checked_mul(SYSFS_SECTOR);
    let mut found = parts.filter(|part| begins_there(&part.path()) == Some(offset));
    Some(Path::new("/dev").join(found.next()?.file_name()))
}

/// Whether a folder's device number is that of a disk, though there is no such disk any more: the mount of a stick that
/// was pulled stays. File systems without a disk have numbers of the major 0. Without sysfs nothing is known.
pub fn was_a_device(dev: u64) -> bool {
    major(dev) != 0 && Path::new("/sys/dev/block").exists() && !sysfs(dev).exists()
}

/// One attribute of a sysfs folder, without the newline at its end.
pub fn attribute(dir: &Path, name: &str) -> Option<String> {
    let bytes = durable::read(&dir.join(name), 4096).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The sysfs folder of the block device with this number.
pub fn sysfs(dev: u64) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{}:{}", major(dev), minor(dev)))
}

/// Where the device, or a partition of it when it is a whole disk, is mounted first.
pub fn is_mounted(dev: u64) -> Result<Option<Mount>> {
    for mount in mounts()? {
        if mount.dev == dev || node(mount.dev)?.is_some_and(|node| node.disk == dev) {
            return Ok(Some(mount));
        }
    }
    Ok(None)
}

/// Size in bytes of an open block device or regular file.
pub fn size(file: &File) -> Result<u64> {
    let meta = file.metadata().context(|| "cannot ask for the size of the medium".to_owned())?;
    if !meta.file_type().is_block_device() {
        return Ok(meta.len());
    }
    let mut bytes = 0;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and BLKGETSIZE64 writes one u64 to `bytes`.
    unsafe { ioctl::get_size(file.as_raw_fd(), &raw mut bytes) }
        .context(|| "cannot ask for the size of the device".into())?;
    Ok(bytes)
}

/// Opens an image file or block device for us alone; on a block device nobody else can then mount it or open it so.
///
/// Fails with [`Kind::Busy`], naming the mount point, when somebody has it mounted.
pub fn open_exclusive(path: &Path, writable: bool) -> Result<File> {
    let meta = fs::metadata(path).context(|| format!("cannot open {path:?}"))?;
    let is_device = meta.file_type().is_block_device();
    if is_device && let Some(mount) = is_mounted(meta.rdev())? {
        return Err(mounted(path, &mount));
    }
    if !is_device
        && writable
        && let Some(device) = loop_over(path)
    {
        return Err(Error::new(Kind::Busy, format!("{path:?} is attached to the loop device {device:?}"))
            .help("detach it with `losetup -d`, or name the loop device"));
    }
    // O_EXCL without O_CREAT has a meaning for block devices alone.
    let flags = libc::O_CLOEXEC | if is_device { libc::O_EXCL } else { 0 };
    let until = Instant::now() + LOOK_MAX;
    loop {
        match OpenOptions::new().read(true).write(writable).custom_flags(flags).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                if Instant::now() < until {
                    thread::sleep(LOOK_EVERY);
                    continue;
                }
                return Err(Error::new(Kind::Busy, format!("{path:?} is in use by another program"))
                    .because(error)
                    .help("close the program that uses the stick, then try again"));
            }
            other => return other.context(|| format!("cannot open {path:?}")),
        }
    }
}

/// The loop device that an image file is attached to: two writers would not see each other.
fn loop_over(image: &Path) -> Option<PathBuf> {
    let image = fs::canonicalize(image).ok()?;
    let devices = fs::read_dir("/sys/block").ok()?.flatten();
    let mut attached = devices
        .filter(|device| attribute(&device.path(), "loop/backing_file").is_some_and(|file| Path::new(&file) == image));
    Some(Path::new("/dev").join(attached.next()?.file_name()))
}

/// Says who has a device mounted.
pub fn mounted(path: &Path, mount: &Mount) -> Error {
    Error::new(Kind::Busy, format!("{path:?} is mounted at {:?}", mount.at))
        .help("unmount it first, or name the folder where it is mounted")
}

/// Lets go of what the kernel keeps of the file's content, so that the next read comes from the medium. What was
/// written must be synced before: dirty pages stay.
pub fn drop_cache(file: &File) -> Result<()> {
    let meta = file.metadata().context(|| "cannot ask what the medium is".to_owned())?;
    if meta.file_type().is_block_device() {
        // SAFETY: the descriptor is open for as long as `file` is borrowed; BLKFLSBUF takes no argument.
        match unsafe { ioctl::flush(file.as_raw_fd()) } {
            Ok(_) => {}
            // It takes CAP_SYS_ADMIN; the advice below does the same for pages nobody else uses.
            Err(Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(errno).context(|| "cannot flush the device's buffers".into()),
        }
    }
    forget_clean(file)
}

/// Lets go of the cached pages of the file that nobody changed; sends nothing to the device itself.
pub fn forget_clean(file: &File) -> Result<()> {
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .context(|| "cannot drop the medium's cached pages".to_owned())
}

/// Has the kernel read the disk's partition table anew.
pub fn reread_partitions(file: &File) -> Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; BLKRRPART takes no argument.
    let done = unsafe { ioctl::reread(file.as_raw_fd()) };
    done.map(drop).context(|| "cannot have the kernel read the partition table anew".into())
}

/// Bytes of a sector as the device counts them.
pub fn sector(dev: u64) -> u32 {
    let told = attribute(&sysfs(dev), "queue/logical_block_size").and_then(|text| text.parse().ok());
    told.unwrap_or(SYSFS_SECTOR as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table_is_read_with_its_escapes_and_optional_fields() {
        let table = b"36 35 98:16 / /mnt/a\\040b\\134 rw shared:1 master:2 - vfat /dev/sd\\011b rw\n\
            nonsense\n\
            40 1 0:5 / /proc rw - proc proc rw\n";
        let mounts = parse_mountinfo(table);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].at, Path::new("/mnt/a b\\"));
        assert_eq!((mounts[0].dev, mounts[0].kind.as_str()), (makedev(98, 16), "vfat"));
        assert_eq!(mounts[0].from, Path::new("/dev/sd\tb"));
    }

    #[test]
    fn an_image_file_has_its_length_and_drops_its_cache() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(12_345).unwrap();
        assert_eq!(size(&file).unwrap(), 12_345);
        drop_cache(&file).unwrap();
    }
}
