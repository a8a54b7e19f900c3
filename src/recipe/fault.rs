//! What is wrong with a recipe, as data: every fault with the bytes that it is about.

use std::fmt;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use crate::failure::{Failure, FailureKind};
use crate::path::display_bytes;

/// One file of a recipe.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What messages call it.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Where each line starts: a generated recipe has many, and each of its entries asks for its line.
    starts: Arc<[usize]>,
}

impl SourceFile {
    /// A file that messages call `name`.
    pub fn new(name: Arc<str>, text: Arc<str>) -> SourceFile {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        SourceFile { name, text, starts }
    }

    /// The line of a byte offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The byte offsets of some lines, counted from 1; lines that the file does not have are left out.
    pub fn lines(&self, lines: RangeInclusive<usize>) -> Range<usize> {
        let start = |line: usize| self.starts.get(line).copied().unwrap_or(self.text.len());
        start(lines.start().saturating_sub(1))..start(*lines.end())
    }
}

/// Bytes of one file of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which of [`Faults::files`].
    pub file: usize,
    /// Byte offsets.
    pub span: Range<usize>,
}

/// One thing that is wrong. Its words may quote the recipe, so control characters in them are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where.
    pub place: Position,
    /// What is wrong, as a sentence without its end.
    pub message: String,
    /// The label of the marked bytes; empty for none.
    pub label: String,
    /// What to do, where it is known.
    pub help: Option<String>,
    /// A second place that belongs to it, and its label.
    pub related: Option<(Position, String)>,
}

impl Fault {
    /// A fault with nothing but its place and its message.
    pub fn new(place: &Position, message: impl Into<String>) -> Fault {
        let message = display_bytes(message.into().as_bytes());
        Fault { place: place.clone(), message, label: String::new(), help: None, related: None }
    }

    /// The same fault with words beside the marked bytes.
    pub fn label(mut self, label: impl Into<String>) -> Fault {
        self.label = display_bytes(label.into().as_bytes());
        self
    }

    /// The same fault with what to do.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(display_bytes(help.into().as_bytes()));
        self
    }

    /// The same fault with a second place.
    pub fn related(mut self, place: &Position, label: impl Into<String>) -> Fault {
        self.related = Some((place.clone(), display_bytes(label.into().as_bytes())));
        self
    }
}

/// Everything that is wrong with a recipe, in the order of its files and lines. Never empty.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The files of the recipe, the recipe itself first.
    pub files: Vec<SourceFile>,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    /// One line for each fault: `recipe.toml:3: unknown key …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            match self.files.get(fault.place.file) {
                Some(file) => {
                    write!(f, "{separator}{}:{}: {}", file.name, file.line(fault.place.span.start), fault.message)?
                }
                None => write!(f, "{separator}{}", fault.message)?,
            }
        }
        Ok(())
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read: an input that is missing, not a recipe that is wrong.
    #[error("cannot read the recipe {path}: {1}", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The recipe is wrong.
    #[error("{0}")]
    Faults(Faults),
}

impl Failure for RecipeError {
    fn kind(&self) -> FailureKind {
        match self {
            RecipeError::Read(..) => FailureKind::Input,
            RecipeError::Faults(_) => FailureKind::Recipe,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RecipeError::Read(_, error) if error.kind() == io::ErrorKind::NotFound => {
                Some("a recipe is a .toml file, or a directory with a recipe.toml".into())
            }
            RecipeError::Read(..) | RecipeError::Faults(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_has_its_line() {
        let file = SourceFile::new("a".into(), "one\n\nthree\nfour".into());
        let lines: Vec<usize> = (0..=file.text.len() + 3).map(|offset| file.line(offset)).collect();
        let counted = |offset: usize| file.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        assert_eq!(lines, (0..lines.len()).map(counted).collect::<Vec<_>>());
        assert_eq!(&file.text[file.lines(2..=3)], "\nthree\n");
        assert_eq!(&file.text[file.lines(4..=9)], "four");
        assert_eq!(&file.text[file.lines(7..=9)], "");
    }
}
