//! What was heard: the speaker's sound, which qemu records into a WAV file for as long as there is one.

use std::fs;
use std::path::Path;

use crate::signals;

/// The samples of a second, of which each has a left and a right half of 16 bits.
const RATE: f64 = 44_100.0;
const HEADER: usize = 44;

/// One sound between two silences.
#[derive(Debug, Clone, Copy)]
pub struct Beep {
    /// When it began, in seconds since 1970.
    pub at: f64,
    pub seconds: f64,
    pub hz: f64,
}

/// All that has ended. Silence is not recorded, so the log tells how the recording is divided.
pub fn beeps(log: &Path, wav: &Path) -> Vec<Beep> {
    let ended = |(at, end): (f64, Option<f64>)| Some((at, end? - at));
    let sounds: Vec<(f64, f64)> = signals::sounds(log).into_iter().filter_map(ended).collect();
    let bytes = fs::read(wav).unwrap();
    let left = |frame: &[u8]| i16::from_le_bytes([frame[0], frame[1]]);
    let samples: Vec<i16> = bytes.get(HEADER..).unwrap_or_default().chunks_exact(4).map(left).collect();
    let whole: f64 = sounds.iter().map(|(_, seconds)| seconds).sum();
    let mut before = 0.0;
    let mut beep = |(at, seconds): (f64, f64)| {
        let position = |time: f64| (time / whole * samples.len() as f64) as usize;
        // Its middle: the edges may belong to a neighbour.
        let middle = &samples[position(before + seconds / 4.0)..position(before + seconds * 3.0 / 4.0)];
        before += seconds;
        Beep { at, seconds, hz: pitch(middle) }
    };
    sounds.into_iter().map(&mut beep).collect()
}

/// How often the wave goes through zero, in periods a second.
fn pitch(samples: &[i16]) -> f64 {
    let crossings = samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    crossings as f64 / 2.0 / (samples.len() as f64 / RATE)
}
