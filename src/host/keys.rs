//! Keys of the box: input devices that have one of those that were asked for. Whatever else is pressed is not looked at.

use std::ffi::c_ulong;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// As in linux/input-event-codes.h.
const EV_KEY: u16 = 1;

/// Bytes of the kernel's `struct input_event`: two long words of time, type, code, value.
const EVENT_LEN: usize = 2 * size_of::<c_ulong>() + 8;

/// Events that are read in one go.
const BATCH: usize = 64;

/// The devices that have at least one of the keys.
#[derive(Debug, Default)]
pub struct Keys {
    codes: Vec<u16>,
    devices: Vec<File>,
}

impl Keys {
    /// Opens them, below `root` (`/` on a box). That a box has none is no error.
    pub fn open(codes: &[u16], root: &Path) -> Self {
        let mut devices = Vec::new();
        let names = fs::read_dir(root.join("sys/class/input")).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let capabilities = root.join("sys/class/input").join(&name).join("device/capabilities/key");
            let bits = fs::read_to_string(capabilities).unwrap_or_default();
            if name.starts_with("event") && codes.iter().any(|code| has(&bits, *code)) {
                let path = root.join("dev/input").join(name);
                devices.extend(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok());
            }
        }
        Self { codes: codes.to_vec(), devices }
    }

    /// What to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.devices.iter().map(File::as_fd)
    }

    /// The keys among those asked for that were pressed since the last look. A device that is gone is closed.
    pub fn pressed(&mut self) -> Vec<u16> {
        let mut pressed = Vec::new();
        let codes = &self.codes;
        self.devices.retain_mut(|device| {
            let mut bytes = [0; BATCH * EVENT_LEN];
            loop {
                match device.read(&mut bytes) {
                    Ok(0) => return true,
                    Ok(read) => {
                        let codes_of = bytes[..read].chunks_exact(EVENT_LEN).filter_map(press);
                        pressed.extend(codes_of.filter(|code| codes.contains(code)));
                    }
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        pressed
    }
}

/// The key of an event that says "pressed"; not of one that says "released" or "still held".
fn press(event: &[u8]) -> Option<u16> {
    let fields = &event[EVENT_LEN - 8..];
    let number = |at: usize| u16::from_ne_bytes([fields[at], fields[at + 1]]);
    let value = i32::from_ne_bytes([fields[4], fields[5], fields[6], fields[7]]);
    (number(0) == EV_KEY && value == 1).then(|| number(2))
}

/// Whether a sysfs bitmap, long words in hex with the highest first, has this bit.
fn has(bits: &str, code: u16) -> bool {
    let width = u16::try_from(c_ulong::BITS).unwrap_or(64);
    let word = bits.split_whitespace().rev().nth((code / width).into());
    word.and_then(|word| u64::from_str_radix(word, 16).ok()).is_some_and(|word| word >> (code % width) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut bytes = vec![0; EVENT_LEN - 8];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        bytes
    }

    #[test]
    fn only_the_press_of_a_key_that_was_asked_for_counts() {
        // A fake tree of plain files: no machine that tests run on has such a key.
        let root = tempfile::tempdir().unwrap();
        for (name, bits) in [("event0", "10 0 0"), ("event1", "0")] {
            let device = root.path().join("sys/class/input").join(name).join("device/capabilities");
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("key"), bits).unwrap();
        }
        fs::create_dir_all(root.path().join("dev/input")).unwrap();
        let code = 2 * u16::try_from(c_ulong::BITS).unwrap() + 4;
        let events = [
            event(EV_KEY, code, 1),
            event(EV_KEY, code, 2),
            event(EV_KEY, code, 0),
            event(EV_KEY, 30, 1),
            event(0, 0, 0),
        ];
        for name in ["event0", "event1"] {
            fs::write(root.path().join("dev/input").join(name), events.concat()).unwrap();
        }
        let mut keys = Keys::open(&[code], root.path());
        assert_eq!(keys.descriptors().count(), 1);
        assert_eq!(keys.pressed(), [code]);
        assert!(keys.pressed().is_empty());
    }
}
