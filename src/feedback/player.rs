//! Plays signals: one thread for the light and one for the sound, each asleep while nothing changes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::beeper::Beeper;
use super::command::Announcer;
use super::led::Led;
use crate::config::FeedbackConfig;
use crate::policy::signal::{Blink, Pattern, Signal, Tone};

/// How long a signal that tells of a moment is shown.
const FLASH: Duration = Duration::from_secs(3);

/// Plays signals until it is dropped; then light and beeper are as they were found.
pub struct Player {
    light: Option<Sender<Light>>,
    sound: Option<Sender<Signal>>,
    threads: Vec<JoinHandle<()>>,
    command: Option<Announcer>,
}

enum Light {
    /// From now on.
    Show(Signal),
    /// For a moment.
    Flash(Signal),
}

impl Player {
    /// Uses the devices that the configuration names, below `root` (`/` on a box).
    pub fn start(config: &FeedbackConfig, root: &Path) -> Self {
        let (light, lights) = channel();
        let (sound, sounds) = channel();
        let (leds, beeper) = (config.led.clone(), config.beeper.clone());
        let (led_root, beeper_root): (PathBuf, PathBuf) = (root.to_owned(), root.to_owned());
        let started = [
            thread::Builder::new().name("light".into()).spawn(move || {
                Lights { find: Box::new(move || Led::find(&leds, &led_root)), leds: Vec::new() }.play(&lights);
            }),
            thread::Builder::new().name("sound".into()).spawn(move || {
                play_sounds(|| Beeper::find(&beeper, &beeper_root), &sounds);
            }),
        ];
        // Without a thread there is no signal, and everything else goes on.
        let threads = started.into_iter().flatten().collect();
        Self { light: Some(light), sound: Some(sound), threads, command: Announcer::start(&config.command) }
    }

    /// Shows a signal until another one is shown.
    pub fn show(&self, signal: Signal) {
        self.announce(signal);
        self.tell_light(Light::Show(signal));
    }

    /// Shows a signal for a moment.
    pub fn flash(&self, signal: Signal) {
        self.announce(signal);
        self.tell_light(Light::Flash(signal));
    }

    /// Lets a signal be heard, after those that are being heard.
    pub fn sound(&self, signal: Signal) {
        if let Some(sound) = &self.sound {
            let _ = sound.send(signal);
        }
    }

    fn announce(&self, signal: Signal) {
        if let Some(command) = &self.command {
            command.tell(signal);
        }
    }

    fn tell_light(&self, light: Light) {
        if let Some(sender) = &self.light {
            let _ = sender.send(light);
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        (self.light, self.sound, self.command) = (None, None, None);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Lights {
    find: Box<dyn Fn() -> Vec<Led>>,
    leds: Vec<Led>,
}

impl Lights {
    fn play(mut self, news: &Receiver<Light>) {
        let mut shown = Signal::Idle;
        let mut flash: Option<(Signal, Instant)> = None;
        let mut last = None;
        loop {
            flash = flash.filter(|(_, end)| *end > Instant::now());
            let signal = flash.map_or(shown, |(signal, _)| signal);
            let fresh = last.replace(signal) != Some(signal);
            match self.until_news(signal.pattern(), fresh, flash.map(|(_, end)| end), news) {
                Ok(Some(Light::Show(signal))) => shown = signal,
                Ok(Some(Light::Flash(signal))) => flash = Some((signal, Instant::now() + FLASH)),
                Ok(None) => {}
                Err(Ended) => return,
            }
        }
    }

    /// Plays a pattern once, or until something else is to be shown, or until `end`.
    fn until_news(
        &mut self,
        pattern: Pattern,
        fresh: bool,
        end: Option<Instant>,
        news: &Receiver<Light>,
    ) -> Result<Option<Light>, Ended> {
        if self.leds.is_empty() {
            // Its driver may have come later than we.
            self.leds = (self.find)();
        }
        let steady = match pattern.light {
            [] => Some(false),
            [Blink { off_ms: 0, .. }] => Some(true),
            _ => None,
        };
        if let Some(on) = steady {
            if fresh {
                self.by_hand();
                self.set(pattern.alarm, on);
            }
            return wait(news, end);
        }
        if let [blink] = pattern.light
            && (!fresh || self.blink(pattern.alarm, *blink))
            && self.all_have_timers()
        {
            return wait(news, end);
        }
        self.by_hand();
        for blink in pattern.light {
            for (on, milliseconds) in [(true, blink.on_ms), (false, blink.off_ms)] {
                self.set(pattern.alarm, on);
                let until = Instant::now() + Duration::from_millis(milliseconds.into());
                if let Some(news) = wait(news, Some(until))? {
                    return Ok(Some(news));
                }
            }
        }
        Ok(None)
    }

    fn all_have_timers(&self) -> bool {
        self.leds.iter().all(|led| led.has_timer)
    }

    /// Has the kernel blink the lights of this kind, where it can, and darkens the others.
    fn blink(&self, alarm: bool, blink: Blink) -> bool {
        self.by_hand();
        self.set(alarm, false);
        self.chosen(alarm).all(|led| led.blink(blink))
    }

    fn by_hand(&self) {
        for led in &self.leds {
            let _ = led.by_hand();
        }
    }

    /// Turns the lights of this kind on or off, and the others off.
    fn set(&self, alarm: bool, on: bool) {
        let chosen: Vec<_> = self.chosen(alarm).map(std::ptr::from_ref).collect();
        for led in &self.leds {
            let _ = led.set(on && chosen.contains(&std::ptr::from_ref(led)));
        }
    }

    /// The red ones for an alarm and the others for all else; where there is but one kind, that one.
    fn chosen(&self, alarm: bool) -> impl Iterator<Item = &Led> {
        let exists = self.leds.iter().any(|led| led.is_red == alarm);
        self.leds.iter().filter(move |led| !exists || led.is_red == alarm)
    }
}

/// The player is being dropped.
struct Ended;

fn wait<T>(news: &Receiver<T>, until: Option<Instant>) -> Result<Option<T>, Ended> {
    let Some(until) = until else { return news.recv().map(Some).map_err(|_| Ended) };
    match news.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(news) => Ok(Some(news)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Ended),
    }
}

fn play_sounds(find: impl Fn() -> Option<Beeper>, news: &Receiver<Signal>) {
    let mut waiting = std::collections::VecDeque::new();
    while let Some(signal) = waiting.pop_front().or_else(|| news.recv().ok()) {
        let tones: &[Tone] = signal.pattern().sound;
        // Opened for each signal: another beeper may be there now, and an idle one is held by nobody.
        let Some(mut beeper) = find() else { continue };
        for tone in tones {
            for (hz, milliseconds) in [(tone.hz, tone.on_ms), (0, tone.off_ms)] {
                let _ = beeper.sound(hz);
                let until = Instant::now() + Duration::from_millis(milliseconds.into());
                loop {
                    match wait(news, Some(until)) {
                        Ok(Some(next)) => waiting.push_back(next),
                        Ok(None) => break,
                        Err(Ended) => {
                            let _ = beeper.sound(0);
                            return;
                        }
                    }
                }
            }
        }
    }
}
