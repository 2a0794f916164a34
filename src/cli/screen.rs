//! The terminal: results on stdout, progress and complaints on stderr, for people or as JSON.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::{Context, Error, Kind, Result};
use crate::host::terminal;
use crate::model::{Cancel, Event, Monitor, Quiet, Run, Stage};

/// Where a verb writes.
pub(super) struct Screen {
    json: bool,
    quiet: bool,
    cancel: Cancel,
    bar: Mutex<Option<ProgressBar>>,
    /// When the last line of progress was printed.
    last_line: Mutex<Option<Instant>>,
}

/// The least time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_millis(200);

impl Screen {
    pub(super) fn new(json: bool, quiet: bool, cancel: Cancel) -> Self {
        Self { json, quiet, cancel, bar: Mutex::new(None), last_line: Mutex::new(None) }
    }

    /// Whether the reader is a program.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result: as JSON, or as the lines that `text` makes of it.
    pub(super) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> Vec<String>) -> Result<()> {
        self.finish();
        if self.json {
            let json = serde_json::to_string_pretty(value)
                .map_err(|cause| Error::new(Kind::Io, "cannot write the result as JSON").because(cause))?;
            return put(&json);
        }
        if self.quiet {
            return Ok(());
        }
        match &text(value)[..] {
            [] => Ok(()),
            lines => put(&lines.join("\n")),
        }
    }

    /// Prints what was asked for, whatever the flags say: a manual page, a configuration.
    pub(super) fn text(&self, text: &str) -> Result<()> {
        put(text.trim_end_matches('\n'))
    }

    /// Asks a question that somebody has asked for with a flag.
    pub(super) fn confirm_as_told(&self, question: &str) -> Result<bool> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(Kind::Usage, "--ask asks at a terminal, and there is no terminal here")
                .help("leave --ask out where nobody is asked"));
        }
        self.confirm(question)
    }

    /// Asks a question that is answered with yes or no; without a terminal the answer is no.
    pub(super) fn confirm(&self, question: &str) -> Result<bool> {
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(answer.is_some_and(|answer| {
            matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "j" | "ja" | "s" | "si" | "sí")
        }))
    }

    /// Asks for a line; `None` without a terminal or at its end.
    pub(super) fn ask(&self, prompt: &str) -> Result<Option<String>> {
        self.finish();
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let mut err = std::io::stderr();
        write!(err, "{prompt}").and_then(|()| err.flush()).context(|| "cannot write to the terminal".into())?;
        terminal::wait_for_input(&Run { monitor: &Quiet, cancel: &self.cancel })?;
        let mut line = String::new();
        let read = stdin.read_line(&mut line).context(|| "cannot read the answer".into())?;
        Ok((read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// A line for the person at the terminal beside the result.
    pub(super) fn note(&self, line: &str) {
        if !self.quiet && !self.json {
            self.complain(line);
        }
    }

    /// Prints an error, also when quiet.
    pub(super) fn error(&self, error: &Error) {
        self.finish();
        if self.json {
            let document = serde_json::json!({ "error": error.to_string(), "kind": format!("{:?}", error.kind()).to_lowercase(),
                "report": error.report() });
            self.complain(&document.to_string());
        } else {
            self.complain(&format!("error: {}", error.report()));
        }
    }

    /// Takes the progress bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// A line on stderr, also when quiet.
    pub(super) fn complain(&self, line: &str) {
        // Nowhere is left to report that stderr is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Progress comes with every chunk; a program that reads it wants a few lines a second.
    fn is_time_for_a_line(&self) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    fn draw(&self, event: Event) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begin { stage, what, total } => *bar = Some(new_bar(stage, &what, total)),
            Event::Progress { done } => {
                if let Some(bar) = &*bar {
                    // The total of a dump is an estimate: the bar grows rather than claim that it is over.
                    if bar.length().is_some_and(|length| length < done) {
                        bar.set_length(done);
                    }
                    bar.set_position(done);
                }
            }
            Event::End { .. } => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
            Event::Warning { message } => {
                let line = format!("warning: {message}");
                match &*bar {
                    Some(bar) => bar.suspend(|| self.complain(&line)),
                    None => self.complain(&line),
                }
            }
        }
    }
}

impl Monitor for Screen {
    fn event(&self, event: Event) {
        if self.json {
            if matches!(event, Event::Progress { .. }) && !self.is_time_for_a_line() {
                return;
            }
            if let Ok(line) = serde_json::to_string(&event) {
                self.complain(&line);
            }
        } else if !self.quiet {
            self.draw(event);
        }
    }
}

fn new_bar(stage: Stage, what: &str, total: u64) -> ProgressBar {
    let doing = match stage {
        Stage::Snapshot => "copying",
        Stage::Dump => "dumping",
        Stage::Verify => "verifying",
        Stage::Seal => "encrypting",
        Stage::Copy => "writing to the stick",
        Stage::ReadBack => "reading back",
        Stage::Load => "loading",
        Stage::Compare => "comparing",
        Stage::Format => "formatting",
    };
    let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let form = if total == 0 {
        "{spinner} {msg}  {bytes}  {binary_bytes_per_sec}"
    } else {
        "{msg}  [{bar:30}] {bytes}/{total_bytes}  {binary_bytes_per_sec}, {eta} left"
    };
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(format!("{doing} {what}"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        // The reader has seen enough (`| head`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context(|| "cannot write the result to stdout".into()),
    }
}
