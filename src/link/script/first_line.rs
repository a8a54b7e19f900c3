//! Scripts: the first line, read as Linux reads it (`fs/binfmt_script.c`, 6.12).

use crate::link::files::HEAD;
use crate::report::Code;

/// The interpreter of a script does not exist.
pub const SCRIPT_INTERP_MISSING: Code = Code("script-interp-missing");
/// A carriage return belongs to the interpreter's name.
pub const SCRIPT_CRLF: Code = Code("script-crlf");
/// A byte order mark precedes `#!`.
pub const SCRIPT_BOM: Code = Code("script-bom");
/// An executable text does not start with `#!`.
pub const SCRIPT_NO_SHEBANG: Code = Code("script-no-shebang");
/// An executable file is empty.
pub const SCRIPT_EMPTY: Code = Code("script-empty");
/// The interpreter's path does not end within the bytes that the kernel reads.
pub const SCRIPT_LINE_TOO_LONG: Code = Code("script-line-too-long");
/// The user may execute a script, but not read it.
pub const SCRIPT_UNREADABLE: Code = Code("script-unreadable");
/// The interpreters of scripts are scripts themselves, at too many levels or in a cycle.
pub const SCRIPT_DEPTH: Code = Code("script-depth");
/// The program that `env` starts is not in PATH.
pub const ENV_COMMAND_MISSING: Code = Code("env-command-missing");
/// `env` gets several words as one argument, or options with which it does not run the script.
pub const ENV_SPLIT: Code = Code("env-split");
/// `env` runs the script itself again, forever.
pub const ENV_LOOP: Code = Code("env-loop");

/// The shell refuses the argument of the first line.
pub const SCRIPT_ARGUMENT: Code = Code("script-argument");

/// The most levels of scripts: five work, the sixth is `ELOOP`.
pub const SCRIPTS_MAX: usize = 5;

/// How the kernel reads the first 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// Does not start with `#!`.
    None,
    /// An interpreter, whose name may be empty, and the rest of the line as one argument.
    Interpreter {
        /// The interpreter's path, as written in the line.
        path: Vec<u8>,
        /// The rest of the line, if there is one.
        argument: Option<Vec<u8>>,
    },
    /// The line has no name: `ENOEXEC`.
    Nameless,
    /// The name does not end within the buffer: `ENOEXEC`.
    TooLong,
}

impl FirstLine {
    /// Reads the beginning of a file.
    pub fn read(head: &[u8]) -> FirstLine {
        if !head.starts_with(b"#!") {
            return FirstLine::None;
        }
        // The kernel's buffer is padded with zeros.
        let mut buffer = [0; HEAD];
        let length = head.len().min(HEAD);
        buffer[..length].copy_from_slice(&head[..length]);
        let line = &buffer[2..];
        let blank = |byte: u8| byte == b' ' || byte == b'\t';
        let end_of_line = line.iter().take_while(|byte| **byte != 0).position(|&byte| byte == b'\n');
        let end = match end_of_line {
            Some(end) => end,
            None => {
                let Some(start) = line.iter().position(|&byte| !blank(byte)) else { return FirstLine::TooLong };
                if !line[start..].iter().any(|&byte| blank(byte) || byte == 0) {
                    return FirstLine::TooLong;
                }
                line.len() - 1
            }
        };
        let trimmed = line[..end].iter().rposition(|&byte| !blank(byte)).map_or(0, |last| last + 1);
        let Some(start) = line[..trimmed].iter().position(|&byte| !blank(byte)) else { return FirstLine::Nameless };
        let rest = &line[start..trimmed];
        let cut = rest.iter().position(|&byte| blank(byte) || byte == 0).unwrap_or(rest.len());
        let path = rest[..cut].to_vec();
        let argument = match rest.get(cut) {
            Some(byte) if blank(*byte) => {
                let argument = &rest[cut..];
                let start = argument.iter().position(|&byte| !blank(byte)).unwrap_or(argument.len());
                Some(crate::elf::cut_at_nul(&argument[start..]).to_vec())
            }
            Some(_) | None => None,
        };
        FirstLine::Interpreter { path, argument }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> FirstLine {
        FirstLine::read(text)
    }

    fn found(path: &[u8], argument: Option<&[u8]>) -> FirstLine {
        FirstLine::Interpreter { path: path.to_vec(), argument: argument.map(<[u8]>::to_vec) }
    }

    #[test]
    fn the_line_is_taken_apart_as_the_kernel_does() {
        let table: &[(&[u8], FirstLine)] = &[
            (b"#!/bin/sh\necho\n", found(b"/bin/sh", None)),
            (b"#! \t/bin/sh \t\n", found(b"/bin/sh", None)),
            (b"#!/bin/sh", found(b"/bin/sh", None)),
            (b"#!/usr/bin/env  a  b \n", found(b"/usr/bin/env", Some(b"a  b"))),
            (b"#!/bin/sh\0x y\n", found(b"/bin/sh", None)),
            (b"#!/bin/sh\r\n", found(b"/bin/sh\r", None)),
            (b"#!/bin/sh -e\r\n", found(b"/bin/sh", Some(b"-e\r"))),
            (b"#!sh\n", found(b"sh", None)),
            (b"#!\n", FirstLine::Nameless),
            (b"#!  \t \n", FirstLine::Nameless),
            (b"#!", found(b"", None)),
            (b"\xef\xbb\xbf#!/bin/sh\n", FirstLine::None),
            (b" #!/bin/sh\n", FirstLine::None),
            (b"", FirstLine::None),
        ];
        for (text, expected) in table {
            assert_eq!(&line(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_path_must_end_by_byte_255() {
        let script = |length: usize, end: &[u8]| [b"#!", vec![b'a'; length].as_slice(), end].concat();
        assert_eq!(line(&script(253, b"\n")), found(&[b'a'; 253], None));
        assert_eq!(line(&script(254, b"\n")), FirstLine::TooLong);
        assert_eq!(line(&script(253, b"")), found(&[b'a'; 253], None));
        assert_eq!(line(&script(254, b"")), FirstLine::TooLong);
        assert_eq!(line(&script(250, b" bcdefghi\n")), found(&[b'a'; 250], Some(b"bc")), "the argument is cut");
        assert_eq!(line(&[b"#!".as_slice(), &[b' '; 300]].concat()), FirstLine::TooLong);
    }
}
