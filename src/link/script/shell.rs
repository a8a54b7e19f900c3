//! How shells read the argument in a script's first line: dash 0.5.12, bash 5.2, BusyBox 1.35 and 1.37.

use crate::path::{ImagePath, display_bytes};

/// A shell whose options and messages are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    BusyBox,
    Dash,
    Bash,
}

/// What a shell does with `SHELL ARGUMENT SCRIPT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShellCall {
    /// Runs the script, or does something that is not predicted.
    Runs,
    /// Refuses the argument with this message.
    Refused(String),
    /// Runs the script as a command, which runs it again.
    Itself,
}

impl Shell {
    /// Recognises a shell by the name with which it is called and the name of the file that this leads to. BusyBox is a shell
    /// under some of its names only.
    pub fn of(called: &[u8], found: &ImagePath) -> Option<Shell> {
        let name = found.file_name()?;
        match name.as_bytes() {
            b"dash" => Some(Shell::Dash),
            b"bash" => Some(Shell::Bash),
            name if crate::elf::contains(name, b"busybox") => {
                let called = called.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                [&b"sh"[..], b"ash"].contains(&called).then_some(Shell::BusyBox)
            }
            _ => None,
        }
    }

    /// The letters of its options that have no value.
    fn letters(self) -> &'static [u8] {
        match self {
            Shell::Dash => b"abefilmnpsuvxCEIV",
            Shell::Bash => b"abefhiklmnprstuvxBCDEHPT",
            Shell::BusyBox => b"abefilmnsuvxCEI",
        }
    }

    /// What the shell does if it is called with this path, and with this argument before the script.
    pub fn call(self, path: &[u8], argument: &[u8], script: &ImagePath) -> ShellCall {
        let shown = display_bytes(path);
        let Some((sign, letters)) = argument.split_first().filter(|(sign, _)| matches!(**sign, b'-' | b'+')) else {
            // The name of a file, which the shell runs instead of the script.
            let file = display_bytes(argument);
            return ShellCall::Refused(match self {
                Shell::Dash => format!("{shown}: 0: cannot open {file}: No such file (exit code 2)"),
                Shell::Bash => format!("{shown}: {file}: No such file or directory (exit code 127)"),
                Shell::BusyBox => format!("{shown}: can't open '{file}': No such file or directory (exit code 2)"),
            });
        };
        let sign = char::from(*sign);
        if letters.is_empty() || letters == b"-" {
            return ShellCall::Runs;
        }
        if letters.starts_with(b"-") && self != Shell::Dash {
            // BusyBox skips what it does not know.
            const LONG: [&[u8]; 9] = [
                b"-login",
                b"-posix",
                b"-norc",
                b"-noprofile",
                b"-verbose",
                b"-restricted",
                b"-noediting",
                b"-debug",
                b"-debugger",
            ];
            if self == Shell::BusyBox || LONG.contains(&letters) || !letters.contains(&b' ') {
                return ShellCall::Runs;
            }
            return ShellCall::Refused(format!("{shown}: {}: invalid option (exit code 2)", display_bytes(argument)));
        }
        for (at, letter) in letters.iter().enumerate() {
            let bad = display_bytes(&[*letter]);
            match letter {
                b'c' if sign == '-' => return ShellCall::Itself,
                // The next word is its value: the script.
                b'o' => {
                    return ShellCall::Refused(match self {
                        Shell::Dash => format!("{shown}: 0: Illegal option {sign}o {script} (exit code 2)"),
                        Shell::Bash => format!("{shown}: line 0: {shown}: {script}: invalid option name (exit code 2)"),
                        Shell::BusyBox => format!("{shown}: illegal option {sign}o {script}"),
                    });
                }
                b'O' if self == Shell::Bash => {
                    let words = format!("{shown}: line 0: {script}: invalid shell option name (exit code 2)");
                    return ShellCall::Refused(words);
                }
                letter if self.letters().contains(letter) => {}
                _ => {
                    return ShellCall::Refused(match self {
                        Shell::Dash => format!("{shown}: 0: Illegal option -{bad} (exit code 2)"),
                        // With -e the shell ends on its own.
                        Shell::Bash if sign == '-' && letters[..at].contains(&b'e') => {
                            format!("{shown}: {sign}{bad}: invalid option (exit code 1)")
                        }
                        Shell::Bash => format!("{shown}: {sign}{bad}: invalid option (exit code 2)"),
                        Shell::BusyBox => format!("{shown}: illegal option {sign}{bad} (exit code 2)"),
                    });
                }
            }
        }
        ShellCall::Runs
    }
}
