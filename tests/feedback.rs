//! Light and beeper, over a fake tree: plain files stand for /sys/class/leds and /dev/input, because no machine that
//! tests run on has either. What a kernel does with them is shown on the emulated box.
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tillstick::config::{Device, FeedbackConfig};
use tillstick::feedback::Player;
use tillstick::policy::signal::Signal;

/// A box with these lights (name, the triggers it has) and a beeper as `event1`.
fn fake_box(leds: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, triggers) in leds {
        let led = dir.path().join("sys/class/leds").join(name);
        fs::create_dir_all(&led).unwrap();
        for (file, text) in [("trigger", *triggers), ("brightness", "7"), ("max_brightness", "255")] {
            fs::write(led.join(file), text).unwrap();
        }
    }
    for (event, sounds) in [("event0", "0"), ("event1", "6")] {
        let capabilities = dir.path().join("sys/class/input").join(event).join("device/capabilities");
        fs::create_dir_all(&capabilities).unwrap();
        fs::write(capabilities.join("snd"), sounds).unwrap();
    }
    fs::create_dir_all(dir.path().join("dev/input")).unwrap();
    fs::write(dir.path().join("dev/input/event1"), "").unwrap();
    dir
}

fn led(root: &TempDir, name: &str, file: &str) -> String {
    fs::read_to_string(root.path().join("sys/class/leds").join(name).join(file)).unwrap_or_default()
}

/// Waits for something that happens soon; how soon is not the question.
fn comes(what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn start(root: &Path) -> Player {
    Player::start(&FeedbackConfig::default(), root)
}

#[test]
fn the_light_is_steady_when_a_stick_is_safe_and_as_it_was_when_the_agent_ends() {
    let root = fake_box(&[("tillstick", "none [heartbeat] timer"), ("somebody-else", "[none] timer")]);
    let player = start(root.path());
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick", "brightness") == "255"));
    assert_eq!(led(&root, "tillstick", "trigger"), "none");
    drop(player);
    assert_eq!(led(&root, "tillstick", "trigger"), "heartbeat");
    assert_eq!(led(&root, "somebody-else", "brightness"), "7");
}

#[test]
fn a_light_that_nothing_drove_gets_its_brightness_back() {
    let root = fake_box(&[("tillstick:green:status", "[none]")]);
    let player = start(root.path());
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick:green:status", "brightness") == "255"));
    drop(player);
    assert_eq!(led(&root, "tillstick:green:status", "brightness"), "7");
}

#[test]
fn the_kernel_blinks_the_light_where_it_can() {
    let root = fake_box(&[("tillstick", "[none] timer")]);
    let player = start(root.path());
    player.show(Signal::Working);
    assert!(comes(|| led(&root, "tillstick", "delay_off") == "500"));
    assert_eq!(led(&root, "tillstick", "trigger"), "timer");
    assert_eq!(led(&root, "tillstick", "delay_on"), "500");
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick", "trigger") == "none" && led(&root, "tillstick", "brightness") == "255"));
}

#[test]
fn where_the_kernel_cannot_blink_the_light_we_do() {
    let root = fake_box(&[("tillstick", "[none]")]);
    let player = start(root.path());
    player.show(Signal::Failed);
    for _ in 0..4 {
        assert!(comes(|| led(&root, "tillstick", "brightness") == "255"));
        assert!(comes(|| led(&root, "tillstick", "brightness") == "0"));
    }
    drop(player);
}

#[test]
fn a_red_light_shows_alarms_and_nothing_else() {
    let root = fake_box(&[("tillstick:green:ok", "[none] timer"), ("tillstick:red:alarm", "[none] timer")]);
    let player = start(root.path());
    player.show(Signal::Warning);
    assert!(comes(|| led(&root, "tillstick:red:alarm", "delay_on") == "1500"));
    assert_eq!(led(&root, "tillstick:green:ok", "brightness"), "0");
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick:green:ok", "brightness") == "255"));
    assert!(comes(|| led(&root, "tillstick:red:alarm", "brightness") == "0"));
    assert_eq!(led(&root, "tillstick:red:alarm", "trigger"), "none");
}

#[test]
fn a_moment_passes_and_what_was_shown_before_is_shown_again() {
    let root = fake_box(&[("tillstick", "[none] timer")]);
    let player = start(root.path());
    player.show(Signal::Safe);
    player.flash(Signal::TseIgnored);
    assert!(comes(|| led(&root, "tillstick", "delay_on") == "50"));
    assert!(comes(|| led(&root, "tillstick", "trigger") == "none" && led(&root, "tillstick", "brightness") == "255"));
}

/// The sounds written to the beeper: (code, value).
fn sounds(root: &TempDir) -> Vec<(u16, u32)> {
    let bytes = fs::read(root.path().join("dev/input/event1")).unwrap();
    let event = 2 * size_of::<std::ffi::c_ulong>() + 8;
    let fields = |event: &[u8]| {
        let at = event.len() - 8;
        assert_eq!(event[at..at + 2], 0x12_u16.to_ne_bytes());
        let code = u16::from_ne_bytes(event[at + 2..at + 4].try_into().unwrap());
        (code, u32::from_ne_bytes(event[at + 4..].try_into().unwrap()))
    };
    bytes.chunks_exact(event).map(fields).collect()
}

#[test]
fn two_short_beeps_say_that_the_stick_may_be_pulled() {
    let root = fake_box(&[]);
    let player = start(root.path());
    player.sound(Signal::Safe);
    assert!(comes(|| sounds(&root).len() == 4));
    assert_eq!(sounds(&root), [(2, 2000), (2, 0), (2, 2000), (2, 0)]);
}

#[test]
fn an_agent_that_ends_in_mid_beep_leaves_silence() {
    let root = fake_box(&[]);
    let player = start(root.path());
    player.sound(Signal::Failed);
    assert!(comes(|| !sounds(&root).is_empty()));
    drop(player);
    assert_eq!(sounds(&root).last(), Some(&(2, 0)));
}

#[test]
fn a_box_without_light_and_beeper_is_served_in_silence() {
    let root = tempfile::tempdir().unwrap();
    let named = Device::Named("not-there".into());
    let config = FeedbackConfig { led: named.clone(), beeper: named, ..FeedbackConfig::default() };
    for config in [config, FeedbackConfig::default()] {
        let player = Player::start(&config, root.path());
        player.show(Signal::Working);
        player.sound(Signal::Safe);
        drop(player);
    }
}

/// A program that writes what it is told into a file, with this script.
fn with_command(root: &TempDir, script: &str) -> (Player, std::path::PathBuf) {
    let told = root.path().join("told");
    let script = format!("told={}; {script}", told.display());
    let command = ["/bin/sh", "-c", &script, "command"].map(str::to_owned).to_vec();
    let player = Player::start(&FeedbackConfig { command, ..FeedbackConfig::default() }, root.path());
    (player, told)
}

#[test]
fn a_program_is_started_for_each_signal_and_told_its_name_and_no_more() {
    let root = fake_box(&[]);
    let script = "echo \"$1 $TILLSTICK_SIGNAL $TILLSTICK_ALARM $#\" >> $told; env | grep -v -e ^TILLSTICK_ -e ^PATH= -e ^PWD= -e ^SHLVL= -e ^_= >> $told";
    let (player, told) = with_command(&root, script);
    player.show(Signal::Working);
    player.flash(Signal::TseIgnored);
    player.show(Signal::Failed);
    let expected = "working working 0 1\ntse-ignored tse-ignored 0 1\nfailed failed 1 1\n";
    let read = || fs::read_to_string(&told).unwrap_or_default();
    assert!(comes(|| read().lines().count() >= 3), "{}", read());
    drop(player);
    assert_eq!(read(), expected);
}

#[test]
fn a_program_that_fails_or_is_not_there_hinders_nothing() {
    let root = fake_box(&[("tillstick", "[none] timer")]);
    let command = vec!["/nowhere/at/all".to_owned()];
    let player = Player::start(&FeedbackConfig { command, ..FeedbackConfig::default() }, root.path());
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick", "brightness") == "255"));
    drop(player);
    let (player, told) = with_command(&root, "echo $1 >> $told; exit 3");
    player.show(Signal::Safe);
    player.show(Signal::Failed);
    assert!(comes(|| fs::read_to_string(&told).is_ok_and(|text| text == "safe\nfailed\n")));
}

#[test]
fn nobody_waits_for_a_program_that_never_ends_and_it_does_not_outlive_the_agent() {
    let root = fake_box(&[("tillstick", "[none] timer")]);
    let (player, told) = with_command(&root, "echo $$ >> $told; sleep 600");
    let before = Instant::now();
    player.show(Signal::Safe);
    assert!(comes(|| led(&root, "tillstick", "brightness") == "255"));
    assert!(comes(|| fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n'))));
    for _ in 0..1000 {
        player.show(Signal::Working);
        player.show(Signal::Safe);
    }
    drop(player);
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    let text = fs::read_to_string(&told).unwrap();
    for pid in text.lines() {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} lives on");
    }
}

#[test]
fn a_late_program_is_killed_and_the_next_signal_has_its_turn() {
    let root = fake_box(&[]);
    let (player, told) = with_command(&root, "echo $1 >> $told; test $1 = safe || sleep 600");
    player.show(Signal::Working);
    player.show(Signal::Safe);
    let before = Instant::now();
    assert!(comes(|| fs::read_to_string(&told).is_ok_and(|text| text == "working\nsafe\n")));
    assert!(before.elapsed() > Duration::from_secs(3), "the first one had its time: {:?}", before.elapsed());
    drop(player);
}
