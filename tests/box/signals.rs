//! When the lights and the speaker changed, from the log in which qemu notes what the hardware was told, one line each
//! with the seconds since 1970: `28403@1795553735.080246:ps2_set_ledstate 0x5625ecf21c00 ledstate 4`.

use std::fs;
use std::path::Path;

/// The three lights of the keyboard, each in a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lights(u8);

impl Lights {
    pub fn num_lock(self) -> bool {
        self.0 & 2 != 0
    }

    pub fn caps_lock(self) -> bool {
        self.0 & 4 != 0
    }
}

/// From this time on, in seconds since 1970, the lights were so.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub at: f64,
    pub lights: Lights,
}

/// Every change of the lights.
pub fn lights(log: &Path) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (at, what) in events(log) {
        let Some((_, state)) = what.rsplit_once("ledstate ").filter(|_| what.starts_with("ps2_set_ledstate")) else {
            continue;
        };
        // qemu's threads write without a lock: a line may have been torn by another.
        let Ok(state) = state.parse() else { continue };
        let lights = Lights(state);
        // The kernel tells all three again when it changes one.
        if changes.last().is_none_or(|last| last.lights != lights) {
            changes.push(Change { at, lights });
        }
    }
    changes
}

/// From when to when the speaker sounded; the last may sound still.
pub fn sounds(log: &Path) -> Vec<(f64, Option<f64>)> {
    let mut sounds: Vec<(f64, Option<f64>)> = Vec::new();
    for (at, what) in events(log) {
        if what.starts_with("audio_timer_start") {
            sounds.push((at, None));
        } else if what.starts_with("audio_timer_stop")
            && let Some((_, end)) = sounds.last_mut()
        {
            *end = Some(at);
        }
    }
    sounds
}

fn events(log: &Path) -> Vec<(f64, String)> {
    let text = fs::read_to_string(log).unwrap();
    let event = |line: &str| {
        let (at, what) = line.split_once('@')?.1.split_once(':')?;
        Some((at.parse().ok()?, what.to_owned()))
    };
    // The last line may be half written.
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).filter_map(event).collect()
}
