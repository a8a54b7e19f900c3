//! Text for people, in which foreign text can add neither lines nor terminal escapes.
//!
//! Text from an image, an archive or a recipe (dates, users, tags, media types, names) may contain terminal escapes, line breaks, or
//! characters that change the direction of the text; GitHub's runner even reads commands from logs. So all text for people is a
//! [`Text`], to which only whole lines can be added. In a line, all of these characters are written as `\xNN`.

use std::fmt::{self, Display};
use std::ops::Deref;

use crate::path::display_text;

/// Some lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

/// A colour of the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// None.
    Plain,
    /// Bold red.
    Error,
    /// Bold yellow.
    Warning,
    /// Bold cyan.
    Note,
}

impl Paint {
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Paint::Plain => ("", ""),
            Paint::Error => ("\x1b[1;31m", "\x1b[0m"),
            Paint::Warning => ("\x1b[1;33m", "\x1b[0m"),
            Paint::Note => ("\x1b[1;36m", "\x1b[0m"),
        }
    }
}

impl Text {
    /// No line.
    pub fn new() -> Text {
        Text::default()
    }

    /// One line.
    pub fn of(line: impl Display) -> Text {
        let mut text = Text::new();
        text.line(line);
        text
    }

    /// One line that begins with a word in colour: `error: …`.
    pub fn headed(paint: Paint, word: &str, line: impl Display) -> Text {
        let mut text = Text::new();
        text.painted(paint, word, format_args!(": {line}"));
        text
    }

    /// What escapes by itself: recipes with their faults.
    #[cfg(feature = "cli")]
    pub(super) fn drawn(text: String) -> Text {
        Text(text)
    }

    /// A page of the documentation.
    pub fn page(text: &'static str) -> Text {
        Text(text.to_string())
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl Display) {
        let line = plain(&line.to_string());
        self.0.push_str(line.trim_end_matches(' '));
        self.0.push('\n');
    }

    /// Adds a line whose beginning has a colour.
    pub fn painted(&mut self, paint: Paint, word: &str, line: impl Display) {
        let (before, after) = paint.codes();
        self.0.push_str(before);
        self.0.push_str(&plain(word));
        self.0.push_str(after);
        self.line(line);
    }

    /// Adds the lines of another text.
    pub fn append(&mut self, other: &Text) {
        self.0.push_str(&other.0);
    }
}

/// One line that nothing can be hidden in.
pub fn plain(line: &str) -> String {
    let line = display_text(line).replace("##[", "\\x23#[");
    match line.trim_start().strip_prefix("::") {
        Some(rest) => format!("{}\\x3a:{rest}", &line[..line.len() - rest.len() - 2]),
        None => line,
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line_and_says_nothing_to_terminals_and_runners() {
        let mut text = Text::new();
        text.line("a\x1b[2J\r\nb\u{202e}c\u{9b}größe");
        text.line("  ::error::forged");
        text.line("::add-mask::a");
        text.line("a ::error:: ##[error]b");
        text.painted(Paint::Error, "e\n", ": x\ny");
        let expected = "a\\x1b[2J\\x0d\\x0ab\\xe2\\x80\\xaec\\xc2\\x9bgröße\n  \\x3a:error::forged\n\\x3a:add-mask::a\n\
                        a ::error:: \\x23#[error]b\n\x1b[1;31me\\x0a\x1b[0m: x\\x0ay\n";
        assert_eq!(text, expected);
        assert_eq!(Text::headed(Paint::Plain, "note", "a"), "note: a\n");
    }
}
