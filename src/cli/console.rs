//! The one place that prints. Standard output carries only the result; everything else goes to standard error.

#![expect(clippy::disallowed_methods, reason = "this is the part of the program that knows environment and terminal")]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;

use sazare::progress::{Event, Progress};
use sazare::render;

use super::args::{Global, ProgressForm, When};
use super::trouble::Trouble;

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
    shown: u64,
    open: bool,
}

impl Console {
    /// As the flags and the environment say.
    pub fn new(global: &Global) -> Console {
        let terminal = io::stderr().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let colour = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !set("NO_COLOR"),
        };
        let progress = match global.progress {
            _ if global.quiet => Form::None,
            ProgressForm::None => Form::None,
            ProgressForm::Plain => Form::Plain,
            ProgressForm::Auto if terminal && !set("CI") => Form::Changing,
            ProgressForm::Auto => Form::Plain,
        };
        Console { quiet: global.quiet, verbose: global.verbose, colour, progress, line: Mutex::default() }
    }

    /// Whether texts on standard error may have colour.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Whether more is to be told.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Writes the result. A reader that has seen enough (a closed pipe) is no error.
    pub fn result(&self, text: &str) -> Result<(), Trouble> {
        self.clear();
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Trouble::Output("standard output".into(), error))
            }
            _ => Ok(()),
        }
    }

    /// Tells something that is not the result.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.tell(text);
        }
    }

    /// Tells something that must not be missed, such as why a build was refused.
    pub fn tell(&self, text: &str) {
        self.clear();
        // Nowhere to say it: then it stays unsaid, and the exit code speaks.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Tells why the program ends; gives the exit code.
    pub fn fail(&self, trouble: &Trouble) -> ExitCode {
        match trouble {
            Trouble::Faults(faults) => self.tell(&render::draw_faults(faults, self.colour)),
            trouble => {
                let message = without_numbers(&trouble.to_string());
                let mut text = format!("{}: {message}\n", self.paint("1;31", "error"));
                if let Some(hint) = trouble.hint() {
                    text += &format!("{}: {hint}\n", self.paint("1;36", "hint"));
                }
                self.tell(&text);
            }
        }
        ExitCode::from(trouble.exit_code())
    }

    /// A word in colour, where colour is wanted.
    pub fn paint(&self, code: &str, word: &str) -> String {
        if self.colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_string() }
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
        let text = match line.bytes {
            0 => line.step.clone(),
            bytes => format!("{} ({})", line.step, render::size(bytes)),
        };
        let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
        line.open = true;
        line.shown = line.bytes;
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
    fn event(&self, event: Event<'_>) {
        if let Event::Note(text) = event {
            return self.say(&format!("{}: {text}\n", self.paint("1;36", "note")));
        }
        if self.progress == Form::None {
            return;
        }
        let Ok(mut line) = self.line.lock() else { return };
        match event {
            Event::Step(step) if self.progress == Form::Plain => {
                let _ = writeln!(io::stderr().lock(), "{step}");
            }
            Event::Step(step) => {
                (line.step, line.bytes) = (step.to_string(), 0);
                self.show(&mut line);
            }
            Event::Read(bytes) => {
                line.bytes += bytes;
                if self.progress == Form::Changing && line.bytes - line.shown.min(line.bytes) >= STEP_BYTES {
                    self.show(&mut line);
                }
            }
            Event::Note(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
