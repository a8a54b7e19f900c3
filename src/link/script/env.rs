//! How `env` reads its arguments: that of GNU coreutils (9.1, 9.7) and that of BusyBox (1.35, 1.37), with their messages.

/// Which implementation of `env` it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Env {
    Coreutils,
    /// BusyBox, and Toybox as far as it does the same.
    BusyBox,
}

/// What `env` will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EnvCall {
    /// Runs this program.
    Command(Command),
    /// Runs the script again.
    Itself,
    /// Looks up a program with blanks in its name.
    Blanks(Vec<u8>),
    /// Does not know the option `-S`.
    NoSplit,
    /// Ends with this message and exit code.
    Refused(String, u8),
    /// Uses the path of the script as the value of an option, prints its variables and ends with 0.
    Prints,
    /// Something that is not predicted, such as the values of variables.
    Other,
}

/// A program that `env` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub word: Vec<u8>,
    /// The arguments before the script.
    pub arguments: Vec<Vec<u8>>,
    /// PATH, if `env` changes it.
    pub path: Option<Vec<u8>>,
    /// The directory that `env` changes to, if any.
    pub directory: Option<Vec<u8>>,
}

/// The search path of execvp(3) if PATH is not set.
const NO_PATH: &[u8] = b"/bin:/usr/bin";

/// Long options with no value or an optional one, and those that need a value.
const LONG: [&[u8]; 9] = [
    b"ignore-environment",
    b"null",
    b"debug",
    b"block-signal",
    b"default-signal",
    b"ignore-signal",
    b"list-signal-handling",
    b"help",
    b"version",
];
const LONG_WITH_VALUE: [&[u8]; 3] = [b"unset", b"chdir", b"split-string"];

/// The state of one call.
#[derive(Default)]
struct Call {
    null: bool,
    path: Option<Vec<u8>>,
    directory: Option<Vec<u8>>,
}

/// Why the reading of options ends.
enum End {
    Call(EnvCall),
    /// The arguments after a split, to be read from the beginning.
    Split(Vec<Vec<u8>>),
    Operands(usize),
}

impl Env {
    /// What `env ARGUMENTS SCRIPT` does.
    pub fn call(self, arguments: &[Vec<u8>]) -> EnvCall {
        let mut arguments = arguments.to_vec();
        let mut call = Call::default();
        // The result of a split may contain another split. Each one removes an option, so this ends.
        for _ in 0..16 {
            match self.options(&arguments, &mut call) {
                End::Call(end) => return end,
                End::Split(words) => arguments = words,
                End::Operands(at) => return self.operands(&arguments, at, call),
            }
        }
        EnvCall::Other
    }

    fn operands(self, arguments: &[Vec<u8>], mut at: usize, mut call: Call) -> EnvCall {
        if arguments.get(at).is_some_and(|argument| argument == b"-") {
            call.path = Some(NO_PATH.to_vec());
            at += 1;
        }
        while let Some(argument) = arguments.get(at).filter(|argument| argument.contains(&b'=')) {
            if let Some(path) = argument.strip_prefix(b"PATH=".as_slice()) {
                call.path = Some(path.to_vec());
            }
            at += 1;
        }
        if call.null && self == Env::Coreutils {
            return EnvCall::Refused("cannot specify --null (-0) with command".into(), 125);
        }
        match arguments.get(at) {
            None => EnvCall::Itself,
            Some(word) if word.iter().any(|byte| b" \t".contains(byte)) => EnvCall::Blanks(word.clone()),
            Some(word) => EnvCall::Command(Command {
                word: word.clone(),
                arguments: arguments[at + 1..].to_vec(),
                path: call.path,
                directory: call.directory,
            }),
        }
    }

    fn options(self, arguments: &[Vec<u8>], call: &mut Call) -> End {
        let mut at = 0;
        while let Some(argument) = arguments.get(at).filter(|argument| argument.starts_with(b"-") && argument.len() > 1)
        {
            if argument == b"--" {
                return End::Operands(at + 1);
            }
            let rest = arguments.get(at + 1..).unwrap_or_default();
            let (option, value) = match argument.strip_prefix(b"--".as_slice()) {
                Some(long) => match self.long(long) {
                    Ok(found) => found,
                    Err(end) => return End::Call(end),
                },
                None => match self.short(&argument[1..], call) {
                    Ok(Some(found)) => found,
                    Ok(None) => {
                        at += 1;
                        continue;
                    }
                    Err(end) => return End::Call(end),
                },
            };
            let (value, used) = match (value, takes_value(option)) {
                (Some(value), _) => (Some(value), 1),
                (None, false) => (None, 1),
                // The script itself is the value.
                (None, true) if rest.is_empty() => return End::Call(self.script_as_value(option)),
                (None, true) => (rest.first().cloned(), 2),
            };
            let after = arguments.get(at + used..).unwrap_or_default();
            match (option, value) {
                (b'S', Some(text)) => return self.split(&text, after),
                (b'C', Some(directory)) => call.directory = Some(directory),
                (b'i', _) => call.path = Some(NO_PATH.to_vec()),
                (b'0', _) => call.null = true,
                (b'h', _) => return End::Call(EnvCall::Prints),
                (b'u', Some(name)) if name == b"PATH" => call.path = Some(NO_PATH.to_vec()),
                _ => {}
            }
            at += used;
        }
        End::Operands(at)
    }

    /// The letters of one argument: the first with a value, if there is one; the others are noted.
    #[expect(clippy::type_complexity, reason = "an option and its value, taken apart at once")]
    fn short(self, letters: &[u8], call: &mut Call) -> Result<Option<(u8, Option<Vec<u8>>)>, EnvCall> {
        for (at, letter) in letters.iter().enumerate() {
            match (letter, self) {
                (b'i', _) => call.path = Some(NO_PATH.to_vec()),
                (b'0', _) => call.null = true,
                (b'v', Env::Coreutils) => {}
                (b'u', _) | (b'C' | b'S', Env::Coreutils) => {
                    let value = Some(letters[at + 1..].to_vec()).filter(|value| !value.is_empty());
                    return Ok(Some((*letter, value)));
                }
                (b'S', Env::BusyBox) => return Err(EnvCall::NoSplit),
                _ => {
                    let shown = crate::path::display_bytes(&[*letter]);
                    return Err(EnvCall::Refused(format!("invalid option -- '{shown}'"), self.usage()));
                }
            }
        }
        Ok(None)
    }

    fn long(self, text: &[u8]) -> Result<(u8, Option<Vec<u8>>), EnvCall> {
        let (name, value) = match text.iter().position(|&byte| byte == b'=') {
            Some(at) => (&text[..at], Some(text[at + 1..].to_vec())),
            None => (text, None),
        };
        let mut known = LONG.iter().chain(&LONG_WITH_VALUE).filter(|known| known.starts_with(name) && !name.is_empty());
        let exact = LONG.iter().chain(&LONG_WITH_VALUE).find(|known| **known == name);
        let option = exact.or_else(|| known.next().filter(|_| known.next().is_none()));
        match (option.copied(), self) {
            (Some(b"split-string"), Env::BusyBox) => Err(EnvCall::NoSplit),
            (Some(b"ignore-environment"), _) => Ok((b'i', value)),
            (Some(b"null"), _) => Ok((b'0', value)),
            (Some(b"unset"), _) => Ok((b'u', value)),
            (Some(b"help"), _) | (Some(b"version"), Env::Coreutils) => Ok((b'h', value)),
            (Some(b"chdir"), Env::Coreutils) => Ok((b'C', value)),
            (Some(b"split-string"), Env::Coreutils) => Ok((b'S', value)),
            (Some(_), Env::Coreutils) => Ok((b'v', value)),
            _ => {
                let shown = crate::path::display_bytes(text);
                Err(EnvCall::Refused(format!("unrecognized option '--{shown}'"), self.usage()))
            }
        }
    }

    fn script_as_value(self, option: u8) -> EnvCall {
        match option {
            b'C' => EnvCall::Refused("must specify command with --chdir (-C)".into(), 125),
            b'S' => EnvCall::Other,
            _ => EnvCall::Prints,
        }
    }

    /// The exit code for a wrong option.
    fn usage(self) -> u8 {
        match self {
            Env::Coreutils => 125,
            Env::BusyBox => 1,
        }
    }

    /// Splits the text of `-S` (`split_at_arg` in `env.c`).
    fn split(self, text: &[u8], after: &[Vec<u8>]) -> End {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut word: Option<Vec<u8>> = None;
        let mut quote = None;
        let mut bytes = text.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match (byte, quote) {
                (b'\'' | b'"', None) => {
                    quote = Some(byte);
                    word.get_or_insert_default();
                }
                (byte, Some(open)) if byte == open => quote = None,
                (b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r', None) => words.extend(word.take()),
                (b'#', None) if word.is_none() => break,
                (b'\\', Some(b'\'')) if !matches!(bytes.peek(), Some(b'\\' | b'\'')) => {
                    word.get_or_insert_default().push(byte)
                }
                (b'\\', _) => match (bytes.next(), quote) {
                    (Some(next @ (b'"' | b'#' | b'$' | b'\'' | b'\\')), _) => word.get_or_insert_default().push(next),
                    (Some(b'_'), None) => words.extend(word.take()),
                    (Some(b'_'), Some(_)) => word.get_or_insert_default().push(b' '),
                    (Some(b'c'), None) => break,
                    (Some(next), _) => match b"fnrtv".iter().position(|&known| known == next) {
                        Some(at) => word.get_or_insert_default().push(b"\x0c\n\r\t\x0b"[at]),
                        None => {
                            let shown = crate::path::display_bytes(&[next]);
                            return End::Call(EnvCall::Refused(format!("invalid sequence '\\{shown}' in -S"), 125));
                        }
                    },
                    (None, _) => {
                        return End::Call(EnvCall::Refused("invalid backslash at end of string in -S".into(), 125));
                    }
                },
                // The value of the variable is not known.
                (b'$', None | Some(b'"')) if bytes.peek() == Some(&b'{') => return End::Call(EnvCall::Other),
                (b'$', None | Some(b'"')) => {
                    let rest: Vec<u8> = std::iter::once(byte).chain(bytes).collect();
                    let shown = crate::path::display_bytes(&rest);
                    let words = format!("only ${{VARNAME}} expansion is supported, error at: {shown}");
                    return End::Call(EnvCall::Refused(words, 125));
                }
                (byte, _) => word.get_or_insert_default().push(byte),
            }
        }
        if quote.is_some() {
            return End::Call(EnvCall::Refused("no terminating quote in -S string".into(), 125));
        }
        words.extend(word);
        words.extend_from_slice(after);
        End::Split(words)
    }
}

fn takes_value(option: u8) -> bool {
    matches!(option, b'u' | b'C' | b'S')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(env: Env, argument: &str) -> EnvCall {
        env.call(&[argument.as_bytes().to_vec()])
    }

    fn word(call: EnvCall) -> Vec<u8> {
        match call {
            EnvCall::Command(command) => command.word,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_argument_is_read_as_the_kernel_passes_it() {
        for env in [Env::Coreutils, Env::BusyBox] {
            assert_eq!(env.call(&[]), EnvCall::Itself);
            assert_eq!(word(of(env, "sh")), b"sh");
            assert_eq!(of(env, "sh -e"), EnvCall::Blanks(b"sh -e".to_vec()));
            for again in ["A=1", "A=1 sh", "-", "-i", "--", "--ignore-environment", "-uA", "-u A", "--unset=A"] {
                assert_eq!(of(env, again), EnvCall::Itself, "{again}");
            }
            assert_eq!(of(env, "-u"), EnvCall::Prints);
            assert!(matches!(of(env, "-i sh"), EnvCall::Refused(words, _) if words == "invalid option -- ' '"));
            assert!(matches!(of(env, "-- sh"), EnvCall::Refused(words, _) if words == "unrecognized option '-- sh'"));
        }
        assert_eq!(of(Env::BusyBox, "-S sh"), EnvCall::NoSplit);
        assert_eq!(of(Env::BusyBox, "-iS sh"), EnvCall::NoSplit);
        assert_eq!(of(Env::BusyBox, "-0"), EnvCall::Itself);
        assert!(matches!(of(Env::Coreutils, "-0"), EnvCall::Refused(_, 125)));
    }

    #[test]
    fn what_is_split_is_read_again() {
        let of = |text: &str| of(Env::Coreutils, text);
        assert_eq!(word(of("-S sh -e")), b"sh");
        assert_eq!(word(of("-vS sh")), b"sh");
        assert_eq!(word(of("-S sh\r")), b"sh", "a carriage return is a blank here");
        assert_eq!(of("--split-string=A=1 'a b'c"), EnvCall::Blanks(b"a bc".to_vec()));
        assert_eq!(word(of("-S-i sh")), b"sh");
        let EnvCall::Command(command) = of("-S -C /opt PATH=/x sh \\_ -c") else { panic!() };
        assert_eq!((command.path.as_deref(), command.directory.as_deref()), (Some(&b"/x"[..]), Some(&b"/opt"[..])));
        assert_eq!(command.arguments, [b"-c".to_vec()]);
        assert_eq!(of("-S ${A} sh"), EnvCall::Other);
        for (text, words) in [
            ("-S echo \"x", "no terminating quote in -S string"),
            ("-S echo $A", "only ${VARNAME} expansion is supported, error at: $A"),
            ("-S -P sh", "invalid option -- 'P'"),
            ("-S a \\x", "invalid sequence '\\x' in -S"),
        ] {
            assert_eq!(of(text), EnvCall::Refused(words.into(), 125), "{text}");
        }
    }
}
