//! One light of the box: /sys/class/leds/<name>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Device;
use crate::policy::signal::Blink;

/// What a light of ours is called, alone or with a colour and a function behind it: `tillstick:red:alarm`.
const OURS: &str = "tillstick";

/// A light, and how we found it.
#[derive(Debug)]
pub(super) struct Led {
    dir: PathBuf,
    max: u32,
    /// What drove it before, and how bright it was.
    found: (String, String),
    /// The kernel can blink it by itself.
    pub(super) has_timer: bool,
    pub(super) is_red: bool,
}

impl Led {
    /// The lights to be used, below `root` (`/` on a box). A light that cannot be used is left out.
    pub(super) fn find(which: &Device, root: &Path) -> Vec<Self> {
        let leds = root.join("sys/class/leds");
        let names = match which {
            Device::Off => Vec::new(),
            Device::Named(name) => vec![name.clone()],
            Device::Auto => {
                let entries = fs::read_dir(&leds).into_iter().flatten().flatten();
                let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
                names.retain(|name| name.split(':').next() == Some(OURS));
                names.sort();
                names
            }
        };
        names.iter().filter_map(|name| Self::take(&leds.join(name), name).ok()).collect()
    }

    fn take(dir: &Path, name: &str) -> io::Result<Self> {
        let read = |file: &str| fs::read_to_string(dir.join(file)).map(|text| text.trim().to_owned());
        let triggers = read("trigger").unwrap_or_default();
        let active = triggers.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let led = Self {
            dir: dir.to_owned(),
            max: read("max_brightness")?.parse().unwrap_or(1).max(1),
            found: (active.unwrap_or("none").to_owned(), read("brightness")?),
            has_timer: triggers.split_whitespace().any(|word| word.trim_matches(['[', ']']) == "timer"),
            is_red: name.split(':').nth(1) == Some("red"),
        };
        led.write("trigger", "none")?;
        led.set(false)?;
        Ok(led)
    }

    /// Turns it on or off.
    pub(super) fn set(&self, on: bool) -> io::Result<()> {
        self.write("brightness", &(if on { self.max } else { 0 }).to_string())
    }

    /// Has the kernel blink it; `false` when it cannot.
    pub(super) fn blink(&self, blink: Blink) -> bool {
        let start = || -> io::Result<()> {
            self.write("trigger", "timer")?;
            self.write("delay_on", &blink.on_ms.to_string())?;
            self.write("delay_off", &blink.off_ms.to_string())
        };
        self.has_timer && start().is_ok()
    }

    /// Stops the kernel from blinking it.
    pub(super) fn by_hand(&self) -> io::Result<()> {
        if self.has_timer { self.write("trigger", "none") } else { Ok(()) }
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.dir.join(file), text)
    }
}

impl Drop for Led {
    /// Whoever used the light before goes on.
    fn drop(&mut self) {
        let (trigger, brightness) = &self.found;
        let _ = self.write("trigger", trigger);
        if trigger == "none" {
            let _ = self.write("brightness", brightness);
        }
    }
}
