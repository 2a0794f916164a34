//! The card to print and stick on the box: every signal with its light and its sound, drawn from the very patterns that are
//! played. A6, as SVG; one unit is a tenth of a millimetre.

use std::fmt::Write as _;

use crate::lang::Lang;
use crate::policy::signal::{Blink, SIGNALS, Signal, Tone};

const WIDTH: u32 = 1050;
const HEIGHT: u32 = 1480;
const MARGIN: u32 = 40;
/// Where the first row begins, and how high each is.
const ROWS_AT: u32 = 190;
const ROW: u32 = 166;
/// Where the strips begin, and how many milliseconds they show.
const STRIP_AT: u32 = 716;
const STRIP: u32 = 290;
const SHOWN_MS: u32 = 2900;
/// How high the strip of the light is, and the highest tone.
const LIGHT_HIGH: u32 = 40;
const TONE_HIGH: u32 = 46;
/// As many letters fit beside the strips.
const LETTERS: usize = 38;

const GOOD: &str = "#15803d";
const ALARM: &str = "#c81e1e";
const DARK: &str = "#d7dce2";
const INK: &str = "#16202c";
const GREY: &str = "#5b6673";

/// The card in a language.
pub fn svg(lang: Lang) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"105mm\" height=\"148mm\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
        font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\">\n"
    );
    let title = lang.pick("Sicherung auf USB-Stick", "Backup to a USB stick", "Respaldo en memoria USB");
    let subtitle = lang.pick("Was Licht und Ton bedeuten", "What light and sound mean", "Qué dicen la luz y el sonido");
    rect(&mut out, (0, 0, WIDTH, HEIGHT), 0, "#ffffff");
    rect(&mut out, (0, 0, WIDTH, 160), 0, INK);
    text(&mut out, (MARGIN, 78), 52, "#ffffff", true, title);
    text(&mut out, (MARGIN, 128), 32, "#c9d2dc", false, subtitle);
    let told = SIGNALS.into_iter().filter(|signal| *signal != Signal::Idle);
    for (y, signal) in (ROWS_AT..).step_by(ROW as usize).zip(told) {
        row(&mut out, y, signal, lang);
    }
    foot(&mut out, lang);
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, y: u32, signal: Signal, lang: Lang) {
    let (pattern, words) = (signal.pattern(), signal.words(lang));
    let colour = if pattern.alarm { ALARM } else { GOOD };
    let panel = match signal {
        Signal::Safe => "#e3f4e8",
        Signal::Working => "#fff3d1",
        _ => "#f4f6f8",
    };
    rect(out, (MARGIN - 14, y, WIDTH - 2 * MARGIN + 28, ROW - 12), 16, panel);
    rect(out, (MARGIN - 14, y, 12, ROW - 12), 6, colour);
    text(out, (MARGIN + 18, y + 46), 36, INK, true, words.title);
    for (number, line) in (0..).zip(wrap(words.text, LETTERS)) {
        text(out, (MARGIN + 18, y + 80 + number * 31), 25, INK, false, &line);
    }
    light(out, y + 18, pattern.light, colour);
    sound(out, y + 78, pattern.sound, lang);
}

/// The light as it is seen in the first seconds.
fn light(out: &mut String, y: u32, blinks: &[Blink], colour: &str) {
    icon_of_light(out, y + LIGHT_HIGH / 2, colour);
    rect(out, (STRIP_AT, y, STRIP, LIGHT_HIGH), 8, DARK);
    if let [Blink { off_ms: 0, .. }] = blinks {
        return rect(out, (STRIP_AT, y, STRIP, LIGHT_HIGH), 8, colour);
    }
    let mut at = 0;
    for blink in blinks.iter().cycle() {
        let on = blink.on_ms.min(SHOWN_MS - at);
        rect(out, (STRIP_AT + wide(at), y, wide(on), LIGHT_HIGH), 4, colour);
        at += on + blink.off_ms;
        if at >= SHOWN_MS {
            break;
        }
    }
}

/// The tones as they are heard, once: the higher the bar, the higher the tone.
fn sound(out: &mut String, y: u32, tones: &[Tone], lang: Lang) {
    let base = y + TONE_HIGH;
    icon_of_sound(out, y + TONE_HIGH / 2 + 6);
    if tones.is_empty() {
        let none = lang.pick("kein Ton", "no sound", "sin sonido");
        return text(out, (STRIP_AT, base - 8), 24, GREY, false, none);
    }
    rect(out, (STRIP_AT, base, STRIP, 4), 0, DARK);
    let mut at = 0;
    for tone in tones {
        let high = TONE_HIGH * tone.hz.min(2000) / 2000;
        // A very short tone must still be seen on paper.
        rect(out, (STRIP_AT + wide(at), base - high, wide(tone.on_ms).max(8), high), 2, INK);
        at += tone.on_ms + tone.off_ms;
    }
}

/// Milliseconds as width: ten of them are a tenth of a millimetre.
fn wide(ms: u32) -> u32 {
    ms * STRIP / SHOWN_MS
}

fn icon_of_light(out: &mut String, y: u32, colour: &str) {
    let x = STRIP_AT - 36;
    let _ = writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"15\" fill=\"{colour}\"/>");
}

/// A loudspeaker.
fn icon_of_sound(out: &mut String, y: u32) {
    let x = STRIP_AT - 52;
    let (top, bottom) = (y - 16, y + 16);
    let _ = writeln!(
        out,
        "<path d=\"M{x} {} h9 L{} {top} V{bottom} L{} {} h-9 z\" fill=\"{INK}\"/>\
        <path d=\"M{} {} q10 10 0 20\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"4\" stroke-linecap=\"round\"/>",
        y - 7,
        x + 21,
        x + 9,
        y + 7,
        x + 28,
        y - 10,
    );
}

fn foot(out: &mut String, lang: Lang) {
    let y = ROWS_AT + 7 * ROW + 36;
    let (dark, scale) = (
        lang.pick(
            "Licht aus: nichts zu tun. Eigene Dateien auf dem Stick bleiben, wie sie sind.",
            "Light off: nothing to do. Your own files on the stick stay as they are.",
            "Luz apagada: nada que hacer. Sus archivos en la memoria no se tocan.",
        ),
        lang.pick(
            "Streifen: die ersten drei Sekunden. Rot: leuchtet rot, wo die Kasse ein rotes Licht hat.",
            "Strips: the first three seconds. Red: shown in red where the till has a red light.",
            "Franjas: los tres primeros segundos. Rojo: luz roja, si la caja la tiene.",
        ),
    );
    text(out, (MARGIN, y), 23, INK, false, dark);
    text(out, (MARGIN, y + 36), 20, GREY, false, scale);
}

fn rect(out: &mut String, (x, y, width, height): (u32, u32, u32, u32), round: u32, colour: &str) {
    let round = if round == 0 { String::new() } else { format!(" rx=\"{round}\"") };
    let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{round} fill=\"{colour}\"/>");
}

fn text(out: &mut String, (x, y): (u32, u32), size: u32, colour: &str, bold: bool, words: &str) {
    let weight = if bold { " font-weight=\"bold\"" } else { "" };
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{weight} fill=\"{colour}\">{words}</text>");
}

/// Breaks between words, for SVG does not.
fn wrap(words: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_fits_its_place() {
        for lang in [Lang::De, Lang::En, Lang::Es] {
            for signal in SIGNALS {
                let words = signal.words(lang);
                assert!(words.title.chars().count() <= 25, "{}", words.title);
                let lines = wrap(words.text, LETTERS);
                assert!(lines.len() <= 3 && lines.iter().all(|line| line.chars().count() <= LETTERS), "{lines:?}");
                // They go into the drawing as they are.
                assert!(!words.title.contains(['<', '&']) && !words.text.contains(['<', '&']));
            }
        }
    }

    #[test]
    fn the_light_is_drawn_as_long_as_it_is_lit() {
        for signal in SIGNALS {
            let mut out = String::new();
            let blinks = signal.pattern().light;
            light(&mut out, 0, blinks, "lit");
            let lit = |rect: &str| rect.split("width=\"").nth(1)?.split('"').next()?.parse::<u32>().ok();
            let drawn: u32 =
                out.lines().filter(|line| line.contains("rect") && line.contains("fill=\"lit\"")).filter_map(lit).sum();
            let mut seen = 0;
            let mut at = 0;
            for blink in blinks.iter().cycle() {
                if at >= SHOWN_MS {
                    break;
                }
                seen += blink.on_ms.min(SHOWN_MS - at);
                at += blink.on_ms + blink.off_ms;
            }
            assert!(drawn.abs_diff(wide(seen)) <= 15, "{signal:?}: {drawn} drawn, {} lit", wide(seen));
        }
    }
}
