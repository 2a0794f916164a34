//! The beeper: an input device that takes tones, such as a PC speaker or a buzzer on a PWM pin.

use std::ffi::c_ulong;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::Device;

/// As in linux/input-event-codes.h.
const EV_SND: u16 = 0x12;
const SND_BELL: u16 = 1;
const SND_TONE: u16 = 2;

/// Bytes of the kernel's `struct input_event`: two long words of time, type, code, value.
const EVENT_LEN: usize = 2 * size_of::<c_ulong>() + 8;

/// An open beeper.
#[derive(Debug)]
pub(super) struct Beeper {
    file: File,
    /// It knows pitches, not just on and off.
    has_tones: bool,
}

impl Beeper {
    /// The beeper to be used, below `root` (`/` on a box).
    pub(super) fn find(which: &Device, root: &Path) -> Option<Self> {
        match which {
            Device::Off => None,
            Device::Named(name) => Self::open(root, name),
            Device::Auto => {
                let entries = fs::read_dir(root.join("sys/class/input")).ok()?.flatten();
                let mut numbers: Vec<u32> = entries
                    .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("event")?.parse().ok())
                    .collect();
                numbers.sort_unstable();
                numbers.into_iter().find_map(|number| Self::open(root, &format!("event{number}")))
            }
        }
    }

    fn open(root: &Path, name: &str) -> Option<Self> {
        let sounds = sounds(&root.join("sys/class/input").join(name));
        let has = |code: u16| sounds & (1 << code) != 0;
        if !has(SND_BELL) && !has(SND_TONE) {
            return None;
        }
        let path: PathBuf = root.join("dev/input").join(name);
        let file = OpenOptions::new().write(true).open(path).ok()?;
        Some(Self { file, has_tones: has(SND_TONE) })
    }

    /// Begins to sound; 0 ends it.
    pub(super) fn sound(&mut self, hz: u32) -> io::Result<()> {
        let (code, value) = match self.has_tones {
            true => (SND_TONE, hz),
            false => (SND_BELL, hz.min(1)),
        };
        let mut event = [0; EVENT_LEN];
        let fields = &mut event[EVENT_LEN - 8..];
        fields[..2].copy_from_slice(&EV_SND.to_ne_bytes());
        fields[2..4].copy_from_slice(&code.to_ne_bytes());
        fields[4..].copy_from_slice(&value.to_ne_bytes());
        self.file.write_all(&event)
    }
}

/// The sounds an input device can make, as bits.
fn sounds(event: &Path) -> u64 {
    let text = fs::read_to_string(event.join("device/capabilities/snd")).unwrap_or_default();
    text.split_whitespace().next_back().and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(0)
}
