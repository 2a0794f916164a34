//! The overlay in many hands: what `fatfs` takes for a disk, and the files that are open on it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::overlay::Overlay;

/// The overlay, shared by the file system and the files that are open on it; they may be used on other threads.
#[derive(Clone)]
pub(super) struct SharedOverlay(Arc<Mutex<Overlay>>);

impl SharedOverlay {
    pub(super) fn new(overlay: Overlay) -> Self {
        Self(Arc::new(Mutex::new(overlay)))
    }

    /// The overlay for one step; never held across another call of this.
    pub(super) fn lock(&self) -> MutexGuard<'_, Overlay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `fatfs` takes for a disk.
pub(super) struct Handle {
    pub(super) overlay: SharedOverlay,
    pub(super) pos: u64,
}

impl Read for Handle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.overlay.lock().read(self.pos, buf)?;
        self.pos += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.overlay.lock().write(self.pos, bytes)?;
        self.pos += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let pos = match to {
            SeekFrom::Start(pos) => Some(pos),
            SeekFrom::Current(by) => self.pos.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.pos = pos.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.pos)
    }
}
