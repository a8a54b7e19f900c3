//! The one place that prints. Standard output carries only the result; everything else goes to standard error.

#![expect(clippy::disallowed_methods, reason = "this is the part of the program that knows environment and terminal")]

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::builder::StyledStr;
use sazare::progress::{Action, Event, Progress, Step};
use sazare::render::{self, Paint, Text};

use super::args::{Global, ProgressForm, When};
use super::error::CliError;
use super::out::{self, Out};

/// How many bytes are read between two changes of the progress line.
const STEP_BYTES: u64 = 8 << 20;

/// Standard output and standard error, and how they are to be used.
pub struct Console {
    quiet: bool,
    verbose: bool,
    colour: bool,
    progress: Form,
    line: Mutex<Line>,
}

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Changing,
    Plain,
    None,
}

/// The progress line, as it stands on the terminal.
#[derive(Default)]
struct Line {
    step: String,
    bytes: u64,
    total: Option<u64>,
    shown: u64,
    open: bool,
}

impl Console {
    /// As the flags and the environment say.
    pub fn new(global: &Global) -> Console {
        let terminal = io::stderr().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // A dumb terminal does not understand escapes.
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        let progress = match global.progress {
            _ if global.quiet => Form::None,
            ProgressForm::None => Form::None,
            ProgressForm::Plain => Form::Plain,
            ProgressForm::Auto if terminal && !set("CI") && !dumb => Form::Changing,
            ProgressForm::Auto => Form::Plain,
        };
        Console { quiet: global.quiet, verbose: global.verbose, colour, progress, line: Mutex::default() }
    }

    /// For a message before the flags are known.
    fn plain() -> Console {
        Console { quiet: false, verbose: false, colour: false, progress: Form::None, line: Mutex::default() }
    }

    /// Whether texts on standard error may have colour.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Whether more is to be printed.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Writes the result, for people.
    pub fn print(&self, text: &Text) -> Result<(), CliError> {
        self.result(text)
    }

    /// Writes the result in a form for programs.
    pub fn result(&self, text: &str) -> Result<(), CliError> {
        self.clear();
        write_out(text)
    }

    /// Prints something that is not the result.
    pub fn say(&self, text: &Text) {
        if !self.quiet {
            self.say_always(text);
        }
    }

    /// Prints something that must not be missed, such as why a build was refused.
    pub fn say_always(&self, text: &Text) {
        self.clear();
        // Nowhere to say it: then it stays unsaid, and the exit code speaks.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Prints why the program ends; gives the exit code.
    pub fn fail(&self, error: &CliError) -> ExitCode {
        if error.is_closed_pipe() {
            out::end_by_pipe();
        }
        match error {
            CliError::Faults(faults) => self.say_always(&render::draw_faults(faults, self.colour)),
            error => {
                let message = without_numbers(&error.to_string());
                let mut text = self.error(message);
                if let Some(hint) = error.hint() {
                    text.append(&Text::headed(self.paint(Paint::Note), "hint", hint));
                }
                self.say_always(&text);
            }
        }
        ExitCode::from(error.exit_code())
    }

    /// A line that says what went wrong.
    pub fn error(&self, message: impl Display) -> Text {
        Text::headed(self.paint(Paint::Error), "error", message)
    }

    /// A colour, where colour is wanted.
    fn paint(&self, paint: Paint) -> Paint {
        if self.colour { paint } else { Paint::Plain }
    }

    fn clear(&self) {
        if let Ok(mut line) = self.line.lock()
            && line.open
        {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
            line.open = false;
        }
    }

    fn show(&self, line: &mut Line) {
        let _ = write!(io::stderr().lock(), "\r\x1b[K{}{}", line.step, counter(line.bytes, line.total));
        line.open = true;
        line.shown = line.bytes;
    }
}

/// How far a step is: a bar where the total is known, otherwise the number of bytes.
fn counter(bytes: u64, total: Option<u64>) -> String {
    const WIDTH: usize = 20;
    match total {
        Some(total) if total > 0 => {
            let done = bytes.min(total);
            let percent = u128::from(done) * 100 / u128::from(total);
            let full = usize::try_from(percent).unwrap_or(100) * WIDTH / 100;
            format!(" [{}{}] {percent}%", "#".repeat(full), " ".repeat(WIDTH - full))
        }
        _ if bytes > 0 => format!(" ({})", render::size(bytes)),
        _ => String::new(),
    }
}

/// A step as a sentence.
fn sentence(step: &Step) -> String {
    let text = match &step.action {
        Action::ReadPlace(place) => format!("reading {place}"),
        Action::ReadSource(path) => format!("reading {}", path.display()),
        Action::Collect(place) => format!("collecting programs from {place}"),
        Action::Stage => "staging".to_string(),
        Action::Verify => "verifying".to_string(),
        Action::VerifyInitramfs => "verifying the initramfs".to_string(),
        Action::VerifyProgram(path) => format!("verifying {path}"),
        Action::PackLayer(Some(name)) => format!("writing layer {name}"),
        Action::PackLayer(None) => "writing a layer".to_string(),
        Action::CopyBase => "copying the layers of the base image".to_string(),
        Action::Write(place) => format!("writing {place}"),
        Action::Run(program) => format!("running {}", program.display()),
        other => format!("{other:?}"),
    };
    match &step.platform {
        Some(platform) => format!("{platform}: {text}"),
        None => text,
    }
}

fn write_out(text: &str) -> Result<(), CliError> {
    Out.write_all(text.as_bytes()).map_err(|error| CliError::Output("standard output".into(), error))
}

/// Prints help or the version, in colour where standard output shows it; gives the exit code.
pub fn print(text: &StyledStr) -> ExitCode {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !io::stdout().is_terminal();
    match write_out(&if plain { text.to_string() } else { text.ansi().to_string() }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Console::plain().fail(&error),
    }
}

/// A message without the numbers that std puts behind the texts of system errors: they are noise for people.
fn without_numbers(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        out.push_str(before);
        rest = match after.split_once(')') {
            Some((number, after)) if number.bytes().all(|digit| digit.is_ascii_digit()) => after,
            _ => {
                out.push_str(" (os error ");
                after
            }
        };
    }
    out + rest
}

impl Progress for Console {
    fn event(&self, event: Event) {
        if let Event::Note { platform, about, text } = event {
            let platform = platform.map(|platform| format!("{platform}: ")).unwrap_or_default();
            let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
            return self.say(&Text::headed(self.paint(Paint::Note), "note", format_args!("{platform}{about}{text}")));
        }
        if self.progress == Form::None {
            return;
        }
        let Ok(mut line) = self.line.lock() else { return };
        match event {
            Event::Step(step) if self.progress == Form::Plain => {
                let _ = io::stderr().lock().write_all(Text::of(sentence(&step)).as_bytes());
            }
            Event::Step(step) => {
                *line = Line {
                    step: render::plain(&sentence(&step)),
                    total: step.bytes,
                    open: line.open,
                    ..Line::default()
                };
                self.show(&mut line);
            }
            Event::Total(bytes) => {
                line.total = Some(bytes);
                line.bytes = 0;
                line.shown = 0;
            }
            Event::Bytes(bytes) => {
                line.bytes = line.bytes.saturating_add(bytes);
                let often = line.total.map_or(STEP_BYTES, |total| (total / 100).clamp(1 << 16, STEP_BYTES));
                if self.progress == Form::Changing && line.bytes - line.shown.min(line.bytes) >= often {
                    self.show(&mut line);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_how_far_a_step_is_where_the_total_is_known() {
        assert_eq!(counter(0, Some(200)), " [                    ] 0%");
        assert_eq!(counter(101, Some(200)), " [##########          ] 50%");
        assert_eq!(counter(999, Some(200)), " [####################] 100%");
        assert_eq!(counter(u64::MAX, Some(u64::MAX)), " [####################] 100%");
        assert_eq!(counter(2_000, None), " (2.0 kB)");
        assert_eq!(counter(0, Some(0)) + &counter(0, None), "");
    }

    #[test]
    fn a_step_is_a_sentence() {
        let platform = "linux/arm64".parse().unwrap();
        let step = Step::new(Action::PackLayer(Some("base".into()))).of(&platform).sized(10);
        assert_eq!(sentence(&step), "linux/arm64: writing layer base");
        assert_eq!(sentence(&Step::new(Action::ReadPlace("oci:l".into()))), "reading oci:l");
    }

    #[test]
    fn system_errors_lose_their_numbers_and_nothing_else() {
        let shorter = [
            ("cannot read a: No such file or directory (os error 2)", "cannot read a: No such file or directory"),
            ("a (os error 2): b (os error 13)", "a: b"),
            ("a (os error x) b", "a (os error x) b"),
            ("a (os error ", "a (os error "),
        ];
        for (message, text) in shorter {
            assert_eq!(without_numbers(message), text);
        }
    }
}
