//! A folder in which one machine has its sockets and leaves its logs.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// It stays when a scenario fails, and goes when all pass.
pub struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    /// An empty one in place of what an earlier run left here.
    pub fn new(path: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let handle = File::open(&path).unwrap();
        Self { path, handle }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn log(&self, name: &str) -> File {
        File::create(self.file(name)).unwrap()
    }

    /// A name for a socket in it: the path itself may be longer than the 107 bytes that a socket's address holds.
    pub fn socket(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd()))
    }

    /// Removes the sticks of a scenario that has passed.
    pub fn remove_images(&self) {
        for path in fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().path()) {
            let kind = path.extension().and_then(std::ffi::OsStr::to_str);
            if matches!(kind, Some("img" | "nbd" | "sfdisk" | "put" | "read" | "volume")) {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Gives it another place.
    pub fn keep_at(self, path: &Path) {
        let _ = fs::remove_dir_all(path);
        fs::rename(&self.path, path).unwrap();
    }

    pub fn remove(self) {
        fs::remove_dir_all(&self.path).unwrap();
    }
}
