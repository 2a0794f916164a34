//! What people near the box are told: the light follows the state, and sounds follow what somebody did.

use std::path::Path;

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::Agent;
use crate::config::{FeedbackConfig, QuietHours};
use crate::feedback::Player;
use crate::policy::signal::{BoxSigns, Signal, shown};

/// Shows and sounds signals.
pub(super) struct Teller {
    player: Player,
    quiet: Option<QuietHours>,
    zone: TimeZone,
    shown: Signal,
}

impl Teller {
    pub(super) fn new(config: &FeedbackConfig, zone: TimeZone) -> Self {
        let player = Player::start(config, Path::new("/"));
        Self { player, quiet: config.quiet_hours, zone, shown: Signal::Idle }
    }

    /// What the light shows.
    pub(super) fn shown(&self) -> Signal {
        self.shown
    }

    fn show(&mut self, signal: Signal) {
        if self.shown != signal {
            log::debug!("signal: {signal:?}");
            self.shown = signal;
            self.player.show(signal);
        }
    }

    /// Sounds, unless it is the time of day for silence.
    pub(super) fn sound(&self, signal: Signal) {
        let now = Zoned::now().with_time_zone(self.zone.clone()).time();
        if !self.quiet.is_some_and(|hours| hours.contain(now)) {
            self.player.sound(signal);
        }
    }
}

impl Agent {
    /// Lets the light follow what has changed.
    pub(super) fn show(&mut self) {
        let signs = BoxSigns {
            sticks: self.plugs().iter().map(|(_, plug)| plug.sign()).collect(),
            working: self.cycle.is_some(),
            trouble: self.trouble.is_some(),
            overdue: self.overdue || self.problem.is_some(),
        };
        self.teller.show(shown(&signs));
    }

    /// Tells of a stick whose state has just changed.
    pub(super) fn tell_of(&mut self, key: &str) {
        let Some((signal, audible)) = self.plugs().get(key).and_then(|plug| Some((plug.sound()?, plug.audible))) else {
            return;
        };
        if signal == Signal::TseIgnored {
            self.teller.player.flash(signal);
        }
        if audible {
            self.teller.sound(signal);
        }
    }

    /// Tells that somebody pulled a stick too early.
    pub(super) fn tell_of_trouble(&mut self, audible: bool) {
        if audible {
            self.teller.sound(Signal::Failed);
        }
    }
}
