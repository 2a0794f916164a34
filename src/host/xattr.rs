//! Extended attributes of open files and folders.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// The longest list of names, and the longest value, that Linux gives, in bytes.
const LONGEST: usize = 64 << 10;

/// The names of all attributes, sorted; none where the file system has none.
pub fn names(file: &impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = vec![0_u8; LONGEST];
    // SAFETY: the buffer is as long as is said.
    let got = unsafe { libc::flistxattr(file.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = match Errno::result(got) {
        Ok(length) => length as usize,
        Err(Errno::ENOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let all = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<Vec<u8>> = all.map(<[u8]>::to_vec).collect();
    names.sort_unstable();
    Ok(names)
}

/// The value of an attribute; `None` when it is not there, or not for us.
pub fn get(file: &impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let name = CString::new(name).map_err(|_| io::Error::from(Errno::EINVAL))?;
    let mut buffer = vec![0_u8; LONGEST];
    // SAFETY: the name ends in a zero and the buffer is as long as is said.
    let got =
        unsafe { libc::fgetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    match Errno::result(got) {
        Ok(length) => {
            buffer.truncate(length as usize);
            Ok(Some(buffer))
        }
        Err(Errno::ENODATA | Errno::ENOTSUP | Errno::EPERM | Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets an attribute.
pub fn set(file: &impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from(Errno::EINVAL))?;
    // SAFETY: the name ends in a zero and the value is as long as is said.
    let set =
        unsafe { libc::fsetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(set).map(drop).map_err(io::Error::from)
}
